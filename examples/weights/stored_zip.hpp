// SPDX-License-Identifier: Apache-2.0
// A zip archive whose files are stored as they are, so that they can be used where they lie.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace weights {

/// minizip finds the files in the archive's bytes and checks what their headers say; sizes are
/// checked against the archive's own. Compressed and encrypted files, which torch.save does not
/// write, are refused when asked for: a few bytes of those can stand for any amount of memory.
class StoredZip {
 public:
  struct Place {
    uint64_t offset = 0;
    uint64_t size = 0;
  };

  /// `bytes` have to stay where they are. Throws c10::Error if they have no whole directory, or
  /// name a file twice.
  explicit StoredZip(std::string_view bytes);
  ~StoredZip();
  StoredZip(const StoredZip&) = delete;
  StoredZip& operator=(const StoredZip&) = delete;

  bool has(const std::string& name) const { return entries_.count(name) > 0; }
  /// The names, in order, with their place in the directory.
  const auto& names() const { return entries_; }
  /// Where its bytes are: within the archive. Throws c10::Error if there is none, or as above.
  Place find(const std::string& name);
  /// The bytes, after the check of their CRC.
  std::string_view read(const std::string& name);

 private:
  struct Entry {
    uint64_t directory_offset = 0;
    uint64_t directory_index = 0;
    uint64_t size = 0;
  };

  void index();
  const Entry& entry(const std::string& name) const;

  std::string_view bytes_;
  void* zip_ = nullptr;
  std::map<std::string, Entry> entries_;
};

}  // namespace weights
