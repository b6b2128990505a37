// SPDX-License-Identifier: Apache-2.0
// The basis engine's gains (a part of kernels.inl).

namespace pixmim {
inline namespace v0 {
namespace detail {
namespace PIXMIM_SIMD {

// Coefficients past what a block needs are whatever the memory held: they are weighed along with the
// others, and never read.

/// Turned coefficients in y -> those of waves, or back.
template <bool inverse, typename Scalar>
PIXMIM_TARGET inline void turn_rows(const BasisPlan<Scalar>& plan, Scalar* coefficients) {
  if (plan.y.folds != 3) return;
  const int64_t count = plan.row_start[1] * plan.columns;
  turn<inverse, false>(coefficients, coefficients + 2 * count, count);
  turn<inverse, true>(coefficients + count, coefficients + 3 * count, count);
}

/// The real part of filters that are even in y and in x: turn, weigh and turn back in one.
template <bool sine, typename Scalar>
PIXMIM_TARGET inline void weigh_turned(Scalar* first, Scalar* second, const Scalar* first_gains,
                                       const Scalar* second_gains, int64_t count) {
  using V = Vector<Scalar>;
  for (int64_t i = 0; i < count; i += V::lanes) {
    const V a = V::load(first + i);
    const V b = V::load(second + i);
    const V p = (sine ? a + b : a - b) * V::load(first_gains + i);
    const V q = (sine ? b - a : a + b) * V::load(second_gains + i);
    (sine ? p - q : p + q).store(first + i);
    (sine ? p + q : q - p).store(second + i);
  }
}

template <typename Scalar>
PIXMIM_TARGET inline void weigh_in_place(const BasisPlan<Scalar>& plan, Scalar* coefficients) {
  using V = Vector<Scalar>;
  const Scalar* gains = plan.same.data();
  int64_t start = 0;
  if (plan.y.folds == 3) {
    const int64_t count = plan.row_start[1] * plan.columns;
    weigh_turned<false>(coefficients, coefficients + 2 * count, gains, gains + 2 * count, count);
    weigh_turned<true>(coefficients + count, coefficients + 3 * count, gains + count,
                       gains + 3 * count, count);
    start = 4 * count;
  }
  for (int64_t i = start; i < plan.rows * plan.columns; i += V::lanes) {
    (V::load(coefficients + i) * V::load(gains + i)).store(coefficients + i);
  }
}

/// The waves cos cos, cos sin, sin cos and sin sin of a few frequencies, or of others in x: each
/// result takes from the wave itself, and from those with one or both kinds swapped.
template <bool imaginary, typename Scalar>
PIXMIM_TARGET inline void weigh_crossed(const BasisPlan<Scalar>& plan, Scalar* coefficients,
                                        const Parts<Scalar>& weighed) {
  using V = Vector<Scalar>;
  turn_rows<false>(plan, coefficients);
  for (const CoefficientBlock& block : plan.blocks) {
    for (int64_t i = 0; i < block.rows; ++i) {
      const int64_t row = (block.first_row + i) * plan.columns;
      const Scalar* own = coefficients + row;
      const Scalar* swapped = coefficients + (block.swapped_row + i) * plan.columns;
      for (std::size_t s = 0; s < plan.x.sequences.size(); ++s) {
        const int64_t start = plan.column_start[s];
        const int64_t other = plan.column_start[s ^ 1U];
        const int64_t needed = block.needed[plan.x.sequences[s].family];
        for (int64_t j = 0; j < needed; j += V::lanes) {
          const int64_t place = row + start + j;
          const V both = V::load(plan.both_swapped.data() + place) * V::load(swapped + other + j);
          multiply_add(V::load(plan.same.data() + place), V::load(own + start + j), both)
              .store(weighed[0] + place);
          if constexpr (imaginary) {
            const V rows = V::load(plan.rows_swapped.data() + place) * V::load(swapped + start + j);
            multiply_add(V::load(plan.columns_swapped.data() + place), V::load(own + other + j),
                         rows)
                .store(weighed[1] + place);
          }
        }
      }
    }
  }
  turn_rows<true>(plan, weighed[0]);
  if constexpr (imaginary) turn_rows<true>(plan, weighed[1]);
}

}  // namespace PIXMIM_SIMD
}  // namespace detail
}  // namespace v0
}  // namespace pixmim
