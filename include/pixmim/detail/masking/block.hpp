// SPDX-License-Identifier: Apache-2.0
// BEiT's generator of one blockwise mask, on the host.
#pragma once

#include <algorithm>
#include <bitset>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "pixmim/detail/random.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {

/// How blocks are painted.
struct PaintPlan {
  int64_t grid_h;
  int64_t grid_w;
  /// Tokens to hide.
  int64_t count;
  /// Of a block.
  int64_t min_area;
  int64_t max_area;
  double min_aspect;
  double max_aspect;
  /// Goes on to `count` in any case.
  bool exact;
};

/// The hidden cells of a grid, a bit each.
class CellGrid {
 public:
  CellGrid(int64_t grid_h, int64_t grid_w)
      : grid_h_(grid_h),
        grid_w_(grid_w),
        words_a_row_((grid_w + 63) / 64),
        words_(static_cast<std::size_t>(grid_h * words_a_row_)) {}

  int64_t height() const { return grid_h_; }
  int64_t width() const { return grid_w_; }

  int64_t count_visible(int64_t top, int64_t left, int64_t height, int64_t width) const {
    std::size_t hidden = 0;
    each_word(top, left, height, width, [&](std::size_t word, uint64_t bits) {
      hidden += std::bitset<64>(words_[word] & bits).count();
    });
    return height * width - static_cast<int64_t>(hidden);
  }

  void hide(int64_t top, int64_t left, int64_t height, int64_t width) {
    each_word(top, left, height, width,
              [&](std::size_t word, uint64_t bits) { words_[word] |= bits; });
  }

  /// Row by row: 1 = hidden.
  void write(float* mask) const {
    for (int64_t y = 0; y < grid_h_; ++y) {
      for (int64_t x = 0; x < grid_w_; ++x) *mask++ = is_hidden(y, x) ? 1.0F : 0.0F;
    }
  }

  bool is_hidden(int64_t y, int64_t x) const {
    return (words_[static_cast<std::size_t>(y * words_a_row_ + x / 64)] >> (x % 64) & 1) != 0;
  }

 private:
  /// Calls `visit(word, its bits)` for all words of a rectangle.
  template <typename Visit>
  void each_word(int64_t top, int64_t left, int64_t height, int64_t width,
                 const Visit& visit) const {
    if (width == 0) return;
    const int64_t last = left + width - 1;
    for (int64_t word = left / 64; word <= last / 64; ++word) {
      uint64_t bits = ~uint64_t{0};
      if (word == left / 64) bits &= ~uint64_t{0} << (left % 64);
      if (word == last / 64) bits &= ~uint64_t{0} >> (63 - last % 64);
      for (int64_t y = top; y < top + height; ++y) {
        visit(static_cast<std::size_t>(y * words_a_row_ + word), bits);
      }
    }
  }

  int64_t grid_h_;
  int64_t grid_w_;
  int64_t words_a_row_;
  std::vector<uint64_t> words_;
};

/// Draws blocks.
template <typename Bits, typename Grid>
class BlockPainter {
 public:
  BlockPainter(const PaintPlan& plan, Bits& bits, Grid& grid)
      : plan_(plan),
        low_aspect_(std::log(plan.min_aspect)),
        high_aspect_(std::log(plan.max_aspect)),
        bits_(bits),
        grid_(grid) {}

  /// Places one block that hides 1 to `room` new tokens, in at most ten tries. Returns how many it
  /// hid.
  int64_t place_block(int64_t room) {
    constexpr int tries = 10;
    for (int i = 0; i < tries; ++i) {
      const double area =
          uniform(bits_, static_cast<double>(plan_.min_area), static_cast<double>(room));
      const double aspect = std::exp(uniform(bits_, low_aspect_, high_aspect_));
      const double rows = std::nearbyint(std::sqrt(area * aspect));
      const double columns = std::nearbyint(std::sqrt(area / aspect));
      // Smaller than the grid, not equal: so the original does. Before the cast: an extreme aspect
      // gives sides that no integer holds.
      if (!(columns < static_cast<double>(grid_.width()) &&
            rows < static_cast<double>(grid_.height()))) {
        continue;
      }
      const auto height = static_cast<int64_t>(rows);
      const auto width = static_cast<int64_t>(columns);

      const int64_t top = uniform_integer(bits_, grid_.height() - height + 1);
      const int64_t left = uniform_integer(bits_, grid_.width() - width + 1);
      const int64_t fresh = grid_.count_visible(top, left, height, width);
      if (fresh == 0 || fresh > room) continue;
      grid_.hide(top, left, height, width);
      return fresh;
    }
    return 0;
  }

  /// Hides one visible token; there must be one.
  void place_single() {
    const int64_t visible = grid_.count_visible(0, 0, grid_.height(), grid_.width());
    int64_t before = uniform_integer(bits_, visible);
    for (int64_t y = 0; y < grid_.height(); ++y) {
      for (int64_t x = 0; x < grid_.width(); ++x) {
        if (grid_.is_hidden(y, x) || before-- > 0) continue;
        return grid_.hide(y, x, 1, 1);
      }
    }
  }

 private:
  const PaintPlan& plan_;
  double low_aspect_;
  double high_aspect_;
  Bits& bits_;
  Grid& grid_;
};

/// Hides up to `plan.count` tokens of a clear grid by blocks; exactly as many if `plan.exact`. Returns
/// how many.
template <typename Bits, typename Grid>
int64_t paint_blocks(const PaintPlan& plan, Bits& bits, Grid& grid) {
  // mmpretrain tries for ever; on a grid that is nearly full that may not end.
  constexpr int vain_rounds_allowed = 100;
  BlockPainter<Bits, Grid> painter(plan, bits, grid);
  int vain_rounds = 0;
  int64_t hidden = 0;
  while (hidden < plan.count) {
    const int64_t placed = painter.place_block(std::min(plan.count - hidden, plan.max_area));
    hidden += placed;
    if (placed > 0) continue;
    if (!plan.exact) break;
    if (++vain_rounds > vain_rounds_allowed) {
      painter.place_single();
      ++hidden;
    }
  }
  return hidden;
}

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
