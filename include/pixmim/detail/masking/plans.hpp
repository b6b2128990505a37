// SPDX-License-Identifier: Apache-2.0
// What the mask makers do with an order of units, in numbers: for the engine and the operators alike.
#pragma once

#include <cstdint>

namespace pixmim {
inline namespace v0 {
namespace detail {

inline int64_t divide_up(int64_t value, int64_t divisor) {
  return (value + divisor - 1) / divisor;
}

/// The first `kept` of the tokens stay (MAE).
struct TokenPlan {
  int64_t count;
  int64_t kept;

  int64_t units() const { return count; }
  int64_t tokens() const { return count; }
};

/// The way through the tokens of a block.
enum class BlockWalk { RowByRow, ColumnByColumn };

/// Units are blocks of block x block tokens, cut at the border of the grid. The first `kept` tokens on
/// the way through all of them stay (LSMAE, Hiera).
struct BlockPlan {
  int64_t grid_h;
  int64_t grid_w;
  int64_t block;
  BlockWalk walk;
  int64_t kept;

  int64_t units() const { return divide_up(grid_h, block) * divide_up(grid_w, block); }
  int64_t tokens() const { return grid_h * grid_w; }
};

/// Units are squares of scale x scale tokens. The first `hidden` squares are masked (SimMIM).
struct SquarePlan {
  int64_t rows;
  int64_t columns;
  int64_t scale;
  int64_t hidden;

  int64_t units() const { return rows * columns; }
  int64_t tokens() const { return units() * scale * scale; }
  int64_t kept() const { return (units() - hidden) * scale * scale; }
};

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
