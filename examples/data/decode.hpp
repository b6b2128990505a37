// SPDX-License-Identifier: Apache-2.0
// JPEG and PNG to pixels and back: libjpeg-turbo and libspng behind one class.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/arg.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

#include "data/bad_image.hpp"

namespace data {

/// Options of Decoder. `DecodeOptions().fast_short_side(224)`
struct DecodeOptions {
  /// The most pixels that an image may have, so that a small file cannot fill the memory. The
  /// default is Pillow's.
  TORCH_ARG(int64_t, max_pixels) = 178956970;
  /// 0: every pixel. Else a JPEG whose shorter side is at least twice this is decoded at 1/2, 1/4
  /// or 1/8 of its size, the smallest whose shorter side is not below it: faster, and not the same
  /// pixels.
  TORCH_ARG(int64_t, fast_short_side) = 0;
};

/// Decodes image after image with the same libjpeg-turbo handle and into the same memory. For one
/// thread.
class Decoder {
 public:
  explicit Decoder(DecodeOptions options = {}) : options_(options) {}

  /// Decodes a JPEG or a PNG, told by its content and not its name: grey, palette and CMYK images
  /// become RGB and transparency is dropped, as Pillow's `convert("RGB")` does; of 16 bits the high
  /// 8 are taken.
  ///
  /// Shape:   result [H,W,3], valid until the next call.
  /// Dtype:   result uint8.
  /// Throws:  BadImage if it is no whole, sound image, or larger than `max_pixels`.
  at::Tensor decode(const std::vector<uint8_t>& bytes);

 private:
  struct DestroyTurboJpeg {
    void operator()(void* handle) const;
  };

  at::Tensor decode_jpeg(const std::vector<uint8_t>& bytes);
  at::Tensor decode_png(const std::vector<uint8_t>& bytes);
  void check_size(int64_t height, int64_t width) const;
  /// Memory of at least `size` bytes, the last one's if it is large enough.
  at::Tensor memory(int64_t size);

  DecodeOptions options_;
  std::unique_ptr<void, DestroyTurboJpeg> turbojpeg_;
  at::Tensor memory_;
};

/// Reads and decodes a file to uint8 [H,W,3]. Throws BadImage.
at::Tensor read_image(const std::filesystem::path& path);

/// Writes uint8 [H,W,3] as PNG. Throws std::runtime_error.
void write_png(const std::filesystem::path& path, const at::Tensor& image);

}  // namespace data
