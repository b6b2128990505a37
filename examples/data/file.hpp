// SPDX-License-Identifier: Apache-2.0
// A file that is open for reading, by several threads if need be.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace data {

/// What tells that a file or a folder was not changed.
struct Stamp {
  int64_t modified = 0;  // nanoseconds since 1970
  int64_t size = 0;

  friend bool operator==(const Stamp& a, const Stamp& b) {
    return a.modified == b.modified && a.size == b.size;
  }
};

class File {
 public:
  /// Throws BadImage if it cannot be opened or is no regular file.
  explicit File(const std::filesystem::path& path);
  ~File();
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  const Stamp& stamp() const { return stamp_; }

  /// Reads `size` bytes from `offset` on into `bytes`, whose memory is used again. Throws BadImage
  /// if they cannot be read, or are more than any image file has.
  void read(int64_t offset, int64_t size, std::vector<uint8_t>& bytes) const;

 private:
  int descriptor_;
  Stamp stamp_;
};

}  // namespace data
