// SPDX-License-Identifier: Apache-2.0
// BEiT's generator of one blockwise mask, on the host.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "pixmim/detail/random.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {

/// What a block may look like.
struct BlockLimits {
  int64_t min_num_patches;
  double min_aspect;
  double max_aspect;
};

/// Draws blocks into `mask` [grid_h][grid_w], a row-major grid of 0 and 1.
template <typename Bits>
class BlockPainter {
 public:
  BlockPainter(int64_t grid_h, int64_t grid_w, BlockLimits limits, Bits& bits, float* mask)
      : grid_h_(grid_h), grid_w_(grid_w), limits_(limits), bits_(bits), mask_(mask) {}

  /// Places one block that hides 1 to `room` new tokens, in at most ten tries. Returns how many it
  /// hid.
  int64_t place_block(int64_t room) {
    constexpr int tries = 10;
    for (int i = 0; i < tries; ++i) {
      const double area =
          uniform(bits_, static_cast<double>(limits_.min_num_patches), static_cast<double>(room));
      const double aspect =
          std::exp(uniform(bits_, std::log(limits_.min_aspect), std::log(limits_.max_aspect)));
      const double rows = std::nearbyint(std::sqrt(area * aspect));
      const double columns = std::nearbyint(std::sqrt(area / aspect));
      // Smaller than the grid, not equal: so the original does. Before the cast: an extreme aspect
      // gives sides that no integer holds.
      if (!(columns < static_cast<double>(grid_w_) && rows < static_cast<double>(grid_h_)))
        continue;
      const auto height = static_cast<int64_t>(rows);
      const auto width = static_cast<int64_t>(columns);

      const int64_t top = uniform_integer(bits_, grid_h_ - height + 1);
      const int64_t left = uniform_integer(bits_, grid_w_ - width + 1);
      const int64_t fresh = count_visible(top, left, height, width);
      if (fresh == 0 || fresh > room) continue;
      for (int64_t y = top; y < top + height; ++y) std::fill_n(cell(y, left), width, 1.0F);
      return fresh;
    }
    return 0;
  }

  /// Hides one visible token; there must be one.
  void place_single() {
    std::vector<int64_t> visible;
    for (int64_t token = 0; token < grid_h_ * grid_w_; ++token) {
      if (mask_[token] == 0) visible.push_back(token);
    }
    const int64_t chosen = uniform_integer(bits_, static_cast<int64_t>(visible.size()));
    mask_[visible[static_cast<std::size_t>(chosen)]] = 1;
  }

 private:
  float* cell(int64_t y, int64_t x) const { return mask_ + y * grid_w_ + x; }

  int64_t count_visible(int64_t top, int64_t left, int64_t height, int64_t width) const {
    int64_t count = 0;
    for (int64_t y = top; y < top + height; ++y) {
      count += std::count(cell(y, left), cell(y, left) + width, 0.0F);
    }
    return count;
  }

  int64_t grid_h_;
  int64_t grid_w_;
  BlockLimits limits_;
  Bits& bits_;
  float* mask_;
};

/// Hides up to `count` tokens of a clear grid by blocks; exactly `count` if `exact`.
template <typename Bits>
void paint_blocks(BlockPainter<Bits> painter, int64_t count, int64_t max_block, bool exact) {
  // mmpretrain tries for ever; on a grid that is nearly full that may not end.
  constexpr int vain_rounds_allowed = 100;
  int vain_rounds = 0;
  int64_t hidden = 0;
  while (hidden < count) {
    const int64_t placed = painter.place_block(std::min(count - hidden, max_block));
    hidden += placed;
    if (placed > 0) continue;
    if (!exact) return;
    if (++vain_rounds > vain_rounds_allowed) {
      painter.place_single();
      ++hidden;
    }
  }
}

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
