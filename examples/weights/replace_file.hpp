// SPDX-License-Identifier: Apache-2.0
// A file that is whole or not there.
#pragma once

#include <c10/util/Exception.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

namespace weights {

/// Writes by `write(temporary path)`, then renames: a reader, or a power cut, sees the old file or
/// the new one. What has the old one mapped keeps it. Throws what `write` throws, and c10::Error.
template <typename Write>
void replace_file(const std::filesystem::path& path, const Write& write) {
  const std::filesystem::path temporary = path.string() + ".tmp";
  try {
    write(temporary);
    const int file = open(temporary.c_str(), O_RDONLY | O_CLOEXEC);
    const bool written = file >= 0 && fsync(file) == 0;
    const int error = errno;
    if (file >= 0) close(file);
    TORCH_CHECK(written, "cannot write ", temporary.string(), ": ", std::strerror(error));
    std::filesystem::rename(temporary, path);
  } catch (...) {
    std::error_code ignored;
    std::filesystem::remove(temporary, ignored);
    throw;
  }
}

}  // namespace weights
