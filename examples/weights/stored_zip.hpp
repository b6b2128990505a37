// SPDX-License-Identifier: Apache-2.0
// A zip archive whose files are stored as they are, so that they can be used where they lie.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>

namespace weights {

/// minizip finds the files and checks what their headers say; sizes are checked against the
/// archive's own. Compressed and encrypted files, which torch.save does not write, are refused when
/// asked for: a few bytes of those can stand for any amount of memory.
class StoredZip {
 public:
  struct Place {
    uint64_t offset = 0;
    uint64_t size = 0;
  };

  /// Throws c10::Error if `path`, a regular file of `size` bytes, has no whole directory, or names
  /// a file twice.
  StoredZip(const std::filesystem::path& path, uint64_t size);
  ~StoredZip();

  bool has(const std::string& name) const { return entries_.count(name) > 0; }
  /// The names, in order, with their place in the directory.
  const auto& names() const { return entries_; }
  /// Where its bytes are: within the archive. Throws c10::Error if there is none, or as above.
  Place find(const std::string& name);
  /// The bytes, after the check of their CRC.
  std::string read(const std::string& name);

 private:
  struct Entry {
    uint64_t directory_offset = 0;
    uint64_t directory_index = 0;
  };

  /// Opens the file `name`, which must be stored; returns its size.
  uint64_t open(const std::string& name, bool raw);

  void* zip_ = nullptr;
  uint64_t archive_size_;
  std::map<std::string, Entry> entries_;
};

}  // namespace weights
