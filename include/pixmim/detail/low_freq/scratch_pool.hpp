// SPDX-License-Identifier: Apache-2.0
// The memory that threads work in, kept from one call to the next.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

#include "pixmim/detail/aligned_array.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {

/// As many blocks of memory as threads ever worked at once. Safe to share between threads.
class ScratchPool {
 public:
  /// A block, until the end of its life.
  class Lease {
   public:
    Lease(ScratchPool& pool, std::size_t bytes) : pool_(pool), block_(pool.take(bytes)) {}
    ~Lease() { pool_.give_back(std::move(block_)); }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;

    template <typename Scalar>
    Scalar* as() {
      return reinterpret_cast<Scalar*>(block_.data());
    }

   private:
    ScratchPool& pool_;
    AlignedArray<unsigned char> block_;
  };

 private:
  AlignedArray<unsigned char> take(std::size_t bytes) {
    AlignedArray<unsigned char> block;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (!blocks_.empty()) {
        block = std::move(blocks_.back());
        blocks_.pop_back();
      } else {
        // A place for it, so that to give it back cannot fail.
        blocks_.reserve(++count_);
      }
    }
    const auto size = static_cast<int64_t>(bytes);
    if (block.size() < size) block = AlignedArray<unsigned char>(size);
    return block;
  }

  void give_back(AlignedArray<unsigned char> block) noexcept {
    const std::lock_guard<std::mutex> lock(mutex_);
    blocks_.push_back(std::move(block));
  }

  std::mutex mutex_;
  std::size_t count_ = 0;
  std::vector<AlignedArray<unsigned char>> blocks_;
};

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
