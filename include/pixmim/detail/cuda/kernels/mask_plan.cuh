// SPDX-License-Identifier: Apache-2.0
// What a mask kernel does with the order of units, in numbers: for the host, too.
#pragma once

namespace pixmim {
namespace kernels {

/// Units are tokens, or squares of `block` x `block` tokens of a grid that is `grid_w` wide, cut at its
/// border.
struct MaskPlan {
  int units;
  int tokens;
  int kept;
  int grid_w;
  int block;
  /// The way through a block: row by row, or column by column.
  bool by_rows;
  /// The first units that are masked, where all tokens of a unit are masked or none.
  int hidden;
};

}  // namespace kernels
}  // namespace pixmim
