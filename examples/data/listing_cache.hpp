// SPDX-License-Identifier: Apache-2.0
// Listings of large data sets, kept in files between two runs.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>

namespace data {

/// `$XDG_CACHE_HOME/pixmim`, else `~/.cache/pixmim`; empty if the environment names neither.
std::filesystem::path default_cache_folder();

/// Nanoseconds since 1970.
int64_t wall_clock();

/// Whether what was changed at `modified` and read at `read` would get another time by any later
/// change: clocks of file systems have steps of up to two seconds.
bool settled(int64_t modified, int64_t read);

/// A file for each key. A cache that cannot be read or written is as good as none: nothing throws.
class ListingCache {
 public:
  /// An empty `folder` is no cache.
  explicit ListingCache(std::filesystem::path folder) : folder_(std::move(folder)) {}

  /// The content that was stored last, if its file is whole.
  std::optional<std::string> load(const std::string& key) const;

  /// Replaces the file at once: whoever reads meanwhile has the old one or the new one.
  void store(const std::string& key, const std::string& content) const;

 private:
  std::filesystem::path file(const std::string& key) const;

  std::filesystem::path folder_;
};

}  // namespace data
