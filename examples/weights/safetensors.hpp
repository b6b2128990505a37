// SPDX-License-Identifier: Apache-2.0
// The safetensors format (https://github.com/huggingface/safetensors): eight bytes of header size,
// a JSON header, the numbers.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "weights/mapped_file.hpp"
#include "weights/tensors.hpp"

namespace weights {

/// Maps the file: time and memory do not depend on its size.
///
/// Every dtype of the format that LibTorch has: bool, (u)int8 to 64, float16, bfloat16, float32,
/// float64, complex64, the float8 kinds. Throws c10::Error, naming the file, where the file breaks
/// the format's rules (truncated, offsets outside, overlaps, holes, a name twice, sizes that do not
/// fit) : nothing is allocated on what a file only claims.
///
///     const weights::Weights weights = weights::read_safetensors("vit.safetensors");
///     weights.tensors.at("cls_token");
Weights read_safetensors(const std::filesystem::path& path);

/// The same of a file that is open already, without its path in messages.
Weights read_safetensors(const std::shared_ptr<MappedFile>& file);

/// Writes the file whole or not at all. Tensors of any device and strides; tensors that share
/// memory are written apart. Throws c10::Error for dtypes that the format lacks, or if it cannot be
/// written.
///
///     weights::write_safetensors("vit.safetensors", weights.tensors);
void write_safetensors(const std::filesystem::path& path, const Tensors& tensors,
                       const std::map<std::string, std::string>& metadata = {{"format", "pt"}});

}  // namespace weights
