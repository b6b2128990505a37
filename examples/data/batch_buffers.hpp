// SPDX-License-Identifier: Apache-2.0
// Memory for batches that is used again.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace data {

/// Hands out a tensor that nobody uses any more, else a new one: the first touch of fresh pages
/// costs more than the crops that fill them. For one thread at a time.
class BatchBuffers {
 public:
  /// Tensors of `shape`, float32 on the CPU; `kept` of them are remembered. `pinned`: page-locked,
  /// for copies to a GPU that do not block.
  BatchBuffers(std::vector<int64_t> shape, std::size_t kept, bool pinned)
      : shape_(std::move(shape)), kept_(kept), pinned_(pinned) {}

  at::Tensor take() {
    const auto fresh = [this] {
      return at::empty(shape_, at::TensorOptions().dtype(at::kFloat).pinned_memory(pinned_));
    };
    // LibTorch's allocator of pinned memory keeps blocks itself, and knows which ones a copy that
    // was asked for has yet to read.
    if (pinned_) return fresh();
    // The storage counts, not the tensor: views, which consumers have, hold the storage alone.
    const auto unused = std::find_if(buffers_.begin(), buffers_.end(), [](const at::Tensor& t) {
      return t.storage().use_count() == 1;
    });
    if (unused != buffers_.end()) {
      // The count is read relaxed: what its last user did to the memory comes before this.
      std::atomic_thread_fence(std::memory_order_acquire);
      return unused->detach();
    }
    const at::Tensor buffer = fresh();
    if (buffers_.size() < kept_) buffers_.push_back(buffer.detach());
    return buffer;
  }

 private:
  std::vector<int64_t> shape_;
  std::size_t kept_;
  bool pinned_;
  std::vector<at::Tensor> buffers_;
};

}  // namespace data
