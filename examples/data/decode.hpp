// SPDX-License-Identifier: Apache-2.0
// JPEG and PNG to pixels and back: libjpeg-turbo and libspng behind two functions.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

namespace data {

/// A file that is not a whole, sound image. The message says why, without the file's name.
struct BadImage : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The most pixels that an image may have, so that a small file cannot fill the memory.
constexpr int64_t max_pixels = int64_t{1} << 28;

/// Decodes a JPEG or a PNG (told by its content, not its name) to uint8 [H,W,3]: grey, palette,
/// CMYK and 16-bit images become RGB, transparency is dropped, as Pillow's `convert("RGB")` does.
/// Throws BadImage.
torch::Tensor decode_image(const std::vector<uint8_t>& bytes);

/// Reads and decodes a file. Throws BadImage.
torch::Tensor read_image(const std::filesystem::path& path);

/// Writes uint8 [H,W,3] as PNG. Throws std::runtime_error.
void write_png(const std::filesystem::path& path, const torch::Tensor& image);

}  // namespace data
