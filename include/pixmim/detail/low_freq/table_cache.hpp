// SPDX-License-Identifier: Apache-2.0
// What a generator keeps between calls: one set of tables for each image size, dtype and device.
#pragma once

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <utility>

namespace pixmim {
inline namespace v0 {
namespace detail {

struct TableKey {
  int64_t height;
  int64_t width;
  c10::ScalarType dtype;
  c10::Device device;

  bool operator==(const TableKey& other) const {
    return height == other.height && width == other.width && dtype == other.dtype &&
           device == other.device;
  }
};

/// The most recently used tables, and those that are kept. Safe to share between threads.
template <typename Tables>
class TableCache {
 public:
  /// `keep`: for as long as the cache is there, whatever else is asked for.
  template <typename Make>
  std::shared_ptr<const Tables> get(const TableKey& key, const Make& make, bool keep = false) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (auto found = find(key, keep)) return found;
    }
    // Not under the lock: other threads go on meanwhile. Two that miss at once both make them.
    auto made = std::make_shared<const Tables>(make());
    const std::lock_guard<std::mutex> lock(mutex_);
    if (auto found = find(key, keep)) return found;
    auto& entries = keep ? kept_ : recent_;
    entries.emplace_front(key, std::move(made));
    if (recent_.size() > capacity) recent_.pop_back();
    return entries.front().second;
  }

 private:
  using Entries = std::list<std::pair<TableKey, std::shared_ptr<const Tables>>>;

  /// Under the lock.
  std::shared_ptr<const Tables> find(const TableKey& key, bool keep) {
    for (Entries* entries : {&recent_, &kept_}) {
      for (auto entry = entries->begin(); entry != entries->end(); ++entry) {
        if (!(entry->first == key)) continue;
        Entries& to = keep ? kept_ : *entries;
        to.splice(to.begin(), *entries, entry);
        return entry->second;
      }
    }
    return nullptr;
  }

  // Enough for multi-scale training; a folder of images of every size must not fill the memory.
  static constexpr std::size_t capacity = 32;

  std::mutex mutex_;
  Entries recent_;
  Entries kept_;
};

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
