// SPDX-License-Identifier: Apache-2.0
// The files that were read last stay open, however many there are.
#pragma once

#include <cstddef>
#include <filesystem>
#include <list>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "data/file.hpp"

namespace data {

/// Shared by threads; a file that another thread still reads is closed when it has done so.
class OpenFiles {
 public:
  explicit OpenFiles(std::size_t capacity) : capacity_(capacity) {}

  /// File number `key`, opened at `path` if it is not open. Throws BadImage.
  std::shared_ptr<const File> get(std::size_t key, const std::filesystem::path& path) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = places_.find(key);
    if (found != places_.end()) {
      files_.splice(files_.begin(), files_, found->second);
      return files_.front().second;
    }
    auto file = std::make_shared<const File>(path);
    if (files_.size() == capacity_) {
      places_.erase(files_.back().first);
      files_.pop_back();
    }
    files_.emplace_front(key, file);
    places_.emplace(key, files_.begin());
    return file;
  }

 private:
  using Entry = std::pair<std::size_t, std::shared_ptr<const File>>;

  std::size_t capacity_;
  std::mutex mutex_;
  std::list<Entry> files_;  // the last one used is first
  std::unordered_map<std::size_t, std::list<Entry>::iterator> places_;
};

}  // namespace data
