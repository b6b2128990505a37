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

/// The most recently used tables. Safe to share between threads.
template <typename Tables>
class TableCache {
 public:
  template <typename Make>
  std::shared_ptr<const Tables> get(const TableKey& key, const Make& make) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (auto found = find(key)) return found;
    }
    // Not under the lock: other threads go on meanwhile. Two that miss at once both make them.
    auto made = std::make_shared<const Tables>(make());
    const std::lock_guard<std::mutex> lock(mutex_);
    if (auto found = find(key)) return found;
    entries_.emplace_front(key, std::move(made));
    if (entries_.size() > capacity) entries_.pop_back();
    return entries_.front().second;
  }

 private:
  /// Under the lock.
  std::shared_ptr<const Tables> find(const TableKey& key) {
    for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
      if (entry->first == key) {
        entries_.splice(entries_.begin(), entries_, entry);
        return entry->second;
      }
    }
    return nullptr;
  }

  // Enough for multi-scale training; a folder of images of every size must not fill the memory.
  static constexpr std::size_t capacity = 32;

  std::mutex mutex_;
  std::list<std::pair<TableKey, std::shared_ptr<const Tables>>> entries_;
};

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
