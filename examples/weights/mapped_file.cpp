// SPDX-License-Identifier: Apache-2.0
#include "weights/mapped_file.hpp"

#include <ATen/ATen.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace weights {

// A pipe of that name must not block: O_NONBLOCK means nothing to regular files.
std::shared_ptr<MappedFile> MappedFile::open(const std::filesystem::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  TORCH_CHECK(descriptor >= 0, "it cannot be opened: ", std::strerror(errno));
  struct stat status {};
  if (fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size <= 0) {
    close(descriptor);
    C10_THROW_ERROR(Error, c10::str("it is empty or no regular file"));
  }
  const auto size = static_cast<std::size_t>(status.st_size);
  // MAP_NORESERVE: memory is only needed for pages that are written to.
  void* data = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, descriptor,
                    /*offset=*/0);
  const int error = errno;
  close(descriptor);
  TORCH_CHECK(data != MAP_FAILED, "it cannot be mapped: ", std::strerror(error));
  return std::shared_ptr<MappedFile>(new MappedFile(static_cast<char*>(data), size));
}

MappedFile::~MappedFile() {
  munmap(data_, size_);
}

at::Tensor view_of(const std::shared_ptr<MappedFile>& file, uint64_t offset, at::IntArrayRef sizes,
                   at::ScalarType dtype) {
  char* data = file->at(offset);
  // Complex numbers are pairs: aligned as their halves are.
  const std::size_t alignment = std::min(c10::elementSize(dtype), sizeof(double));
  if (reinterpret_cast<std::uintptr_t>(data) % alignment != 0) {
    at::Tensor copy = at::empty(sizes, dtype);
    if (copy.nbytes() > 0) std::memcpy(copy.mutable_data_ptr(), data, copy.nbytes());
    return copy;
  }
  return at::from_blob(
      data, sizes, [file](void*) {}, at::TensorOptions().dtype(dtype));
}

}  // namespace weights
