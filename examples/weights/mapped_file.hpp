// SPDX-License-Identifier: Apache-2.0
// A file as memory, and tensors that are views of it.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/ScalarType.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string_view>

namespace weights {

/// Maps a regular file privately: what is written to the memory stays out of the file. The file
/// must not be cut short while it is mapped; to replace it by another (rename) is safe.
class MappedFile {
 public:
  /// Throws c10::Error if the file cannot be opened or mapped, or is empty.
  static std::shared_ptr<MappedFile> open(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::string_view bytes() const { return {data_, size_}; }
  uint64_t size() const { return size_; }
  char* at(uint64_t offset) { return data_ + offset; }

 private:
  MappedFile(char* data, std::size_t size) : data_(data), size_(size) {}

  char* data_;
  std::size_t size_;
};

/// A contiguous tensor of `sizes` over the bytes from `offset` on, which the caller has checked to
/// be there. It keeps the mapping alive. Only bytes that the dtype cannot have at that address are
/// copied.
at::Tensor view_of(const std::shared_ptr<MappedFile>& file, uint64_t offset, at::IntArrayRef sizes,
                   at::ScalarType dtype);

}  // namespace weights
