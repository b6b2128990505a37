// SPDX-License-Identifier: Apache-2.0
// Decoded images kept in memory, for sets that fit.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <mutex>
#include <unordered_map>

namespace data {

/// Keeps images up to a number of bytes; what does not fit is decoded each time. Shared by threads.
class ImageCache {
 public:
  explicit ImageCache(int64_t capacity) : capacity_(capacity), room_(capacity) {}

  /// Image `index`, or what `decode()` makes of it: uint8 [H,W,3], of which a copy is kept.
  template <typename Decode>
  at::Tensor get(uint64_t index, const Decode& decode) {
    if (capacity_ == 0) return decode();
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      const auto found = images_.find(index);
      if (found != images_.end()) return found->second;
    }
    const at::Tensor image = decode();
    const std::lock_guard<std::mutex> lock(mutex_);
    if (image.numel() <= room_ && images_.count(index) == 0) {
      images_.emplace(index, image.clone());
      room_ -= image.numel();
    }
    return image;
  }

 private:
  int64_t capacity_;
  std::mutex mutex_;
  std::unordered_map<uint64_t, at::Tensor> images_;
  int64_t room_;
};

}  // namespace data
