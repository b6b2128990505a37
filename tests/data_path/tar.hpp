// SPDX-License-Identifier: Apache-2.0
// Writes tar files by libarchive.
#pragma once

#include <archive.h>
#include <archive_entry.h>

#include <filesystem>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "data_path/files.hpp"

namespace data_path {

using Members = std::vector<std::pair<std::string, Bytes>>;

/// `format` and `filter` are libarchive's names: "ustar", "pax", "gnutar"; "gzip", "zstd".
inline void write_tar(const std::filesystem::path& path, const Members& members,
                      const std::string& format = "ustar", const std::string& filter = "") {
  archive* writer = archive_write_new();
  const auto check = [writer](int code) {
    // A warning: a name that the locale cannot show.
    if (code < ARCHIVE_WARN) throw std::runtime_error(archive_error_string(writer));
  };
  check(archive_write_set_format_by_name(writer, format.c_str()));
  if (!filter.empty()) check(archive_write_add_filter_by_name(writer, filter.c_str()));
  std::filesystem::create_directories(path.parent_path());
  check(archive_write_open_filename(writer, path.c_str()));
  for (const auto& [name, bytes] : members) {
    archive_entry* entry = archive_entry_new();
    archive_entry_set_pathname(entry, name.c_str());
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_size(entry, static_cast<la_int64_t>(bytes.size()));
    check(archive_write_header(writer, entry));
    if (!bytes.empty()) archive_write_data(writer, bytes.data(), bytes.size());
    archive_entry_free(entry);
  }
  check(archive_write_close(writer));
  archive_write_free(writer);
}

}  // namespace data_path
