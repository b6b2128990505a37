// SPDX-License-Identifier: Apache-2.0
// The memory that one thread works in.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "pixmim/detail/low_freq/basis/matrices.hpp"
#include "pixmim/detail/low_freq/basis/plan.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {

/// Of the real part [0] and the imaginary part [1], where there are two.
template <typename Scalar>
using Parts = std::array<Scalar*, 2>;

template <typename Scalar>
struct BasisScratch {
  /// A block of rows, folded.
  Scalar* folded_row = nullptr;
  Scalar* coefficients = nullptr;
  /// Coefficients times gains.
  Parts<Scalar> weighed = {};
  /// Between the two axes: for each channel, y's indices and x's samples.
  Parts<Scalar> rows = {};
  /// A few columns, folded.
  Parts<Scalar> slab = {};
  /// The same columns of each channel, filtered: what patches are put together from.
  Scalar* stage = nullptr;
};

/// How such memory is cut into its pieces.
template <typename Scalar>
class BasisScratchLayout {
 public:
  BasisScratchLayout(const BasisPlan<Scalar>& plan, int64_t slab_columns, int64_t channels,
                     int64_t stage_size)
      : parts_(plan.has_imaginary_part() ? 2 : 1),
        crossed_(plan.is_crossed()),
        folded_row_(plan.shape.rows * plan.sequences_x() * plan.sequence_stride),
        coefficients_(plan.rows * plan.columns),
        // Registers reach past the last row's end.
        rows_(channels * plan.rows * plan.row_stride + plan.shape.lanes),
        slab_(plan.sequences_y() * plan.y.positions * slab_columns),
        stage_(stage_size) {}

  int64_t size() const {
    return whole_lines(folded_row_) + whole_lines(stage_) +
           whole_lines(coefficients_) * (crossed_ ? 1 + parts_ : 1) +
           parts_ * (whole_lines(rows_) + whole_lines(slab_));
  }

  BasisScratch<Scalar> cut(Scalar* memory) const {
    const auto take = [&](int64_t count) {
      Scalar* piece = memory;
      memory += whole_lines(count);
      return piece;
    };
    BasisScratch<Scalar> scratch;
    scratch.folded_row = take(folded_row_);
    scratch.coefficients = take(coefficients_);
    for (std::size_t part = 0; part < static_cast<std::size_t>(parts_); ++part) {
      // Gains of a wave's own are applied in place.
      scratch.weighed[part] = crossed_ ? take(coefficients_) : scratch.coefficients;
      scratch.rows[part] = take(rows_);
      scratch.slab[part] = take(slab_);
    }
    scratch.stage = take(stage_);
    return scratch;
  }

 private:
  static int64_t whole_lines(int64_t count) {
    return round_up(count, static_cast<int64_t>(cache_line_bytes / sizeof(Scalar)));
  }

  int64_t parts_;
  bool crossed_;
  int64_t folded_row_;
  int64_t coefficients_;
  int64_t rows_;
  int64_t slab_;
  int64_t stage_;
};

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
