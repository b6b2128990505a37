// SPDX-License-Identifier: Apache-2.0
// The memory that a crop works in, kept from one call to the next.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "pixmim/detail/aligned_array.hpp"
#include "pixmim/detail/crop/taps.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {

/// Bytes that grow and never shrink.
class GrowingBytes {
 public:
  uint8_t* of_size(int64_t size) {
    if (bytes_.size() < size) bytes_ = AlignedArray<uint8_t>(size);
    return bytes_.data();
  }

 private:
  AlignedArray<uint8_t> bytes_;
};

/// What one crop needs beside its input and output.
struct CropWorkspace {
  TapTable rows;
  TapTable columns;
  std::vector<double> weights;
  /// Where each position of the resized rows is shown: a list of places, -1 at its end.
  std::vector<int64_t> first_place;
  std::vector<int64_t> next_place;
  /// Rows of the input that cannot be read in place, and which these are.
  GrowingBytes input;
  std::vector<int64_t> held;
  /// Rows after the first pass, and after the second.
  GrowingBytes halfway;
  GrowingBytes resized;
  std::vector<const uint8_t*> row_pointers;
};

/// As many workspaces as threads ever cropped at once. Safe to share between threads.
class CropWorkspaces {
 public:
  /// A workspace, until the end of its life.
  class Lease {
   public:
    explicit Lease(CropWorkspaces& owner) : owner_(owner), workspace_(owner.take()) {}
    ~Lease() { owner_.give_back(std::move(workspace_)); }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;

    CropWorkspace& operator*() { return *workspace_; }

   private:
    CropWorkspaces& owner_;
    std::unique_ptr<CropWorkspace> workspace_;
  };

 private:
  std::unique_ptr<CropWorkspace> take() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (free_.empty()) {
      // A place for it, so that to give it back cannot fail.
      free_.reserve(++count_);
      return std::make_unique<CropWorkspace>();
    }
    auto workspace = std::move(free_.back());
    free_.pop_back();
    return workspace;
  }

  void give_back(std::unique_ptr<CropWorkspace> workspace) noexcept {
    const std::lock_guard<std::mutex> lock(mutex_);
    free_.push_back(std::move(workspace));
  }

  std::mutex mutex_;
  std::size_t count_ = 0;
  std::vector<std::unique_ptr<CropWorkspace>> free_;
};

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
