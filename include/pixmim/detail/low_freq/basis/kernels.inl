// SPDX-License-Identifier: Apache-2.0
// The basis engine's loops (detail/simd/multiversion.inl).

#include "pixmim/detail/low_freq/basis/folds.inl"
#include "pixmim/detail/low_freq/basis/products.inl"

namespace pixmim {
inline namespace v0 {
namespace detail {
namespace PIXMIM_SIMD {

// ---- Along x ------------------------------------------------------------------------------------

template <bool inverse, int folds, typename V, typename Scalar>
PIXMIM_TARGET PIXMIM_ALWAYS_INLINE void fold_register(int64_t size, int64_t n,
                                                      const RowSamples<V, Scalar>& samples,
                                                      const FoldedRow<V, Scalar>& folded) {
  if constexpr (inverse) {
    place<folds>(size, n, unfold<folds>(n, folded), samples);
  } else {
    fold<folds>(size, n, samples, folded);
  }
}

/// Folds the row `samples` into the row `folded`, or back.
template <bool inverse, int folds, typename Scalar>
PIXMIM_TARGET PIXMIM_ALWAYS_INLINE void fold_row(const BasisPlan<Scalar>& plan, Scalar* samples,
                                                 Scalar* folded) {
  using V = Vector<Scalar>;
  const int64_t size = plan.x.size;
  const int64_t positions = plan.x.positions;
  const Scalar* cosines = plan.cosine_x.data();
  const Scalar* sines = plan.sine_x.data();
  // A register that reaches past the last position meets mirror images, which it computes once
  // more: right as long as they are there.
  if (size >> (folds - 1) >= V::lanes) {
    const RowSamples<V, Scalar> row = {samples};
    const FoldedRow<V, Scalar> folded_row = {folded, plan.sequence_stride, cosines, sines};
    int64_t n = 0;
    for (; n + V::lanes < positions; n += V::lanes) {
      fold_register<inverse, folds>(size, n, row, folded_row);
    }
    fold_register<inverse, folds>(size, positions > V::lanes ? positions - V::lanes : 0, row,
                                  folded_row);
  } else {
    const RowSamples<Lane<Scalar>, Scalar> row = {samples};
    const FoldedRow<Lane<Scalar>, Scalar> folded_row = {folded, plan.sequence_stride, cosines,
                                                        sines};
    for (int64_t n = 0; n < positions; ++n) {
      fold_register<inverse, folds>(size, n, row, folded_row);
    }
  }
}

/// The same for several rows.
template <bool inverse, typename Scalar>
PIXMIM_TARGET inline void fold_rows_of(const BasisPlan<Scalar>& plan, int64_t count,
                                       Scalar* samples, Scalar* folded) {
  const int64_t stride = plan.sequences_x() * plan.sequence_stride;
  for (int64_t i = 0; i < count; ++i) {
    if (plan.x.folds == 3) fold_row<inverse, 3>(plan, samples, folded);
    if (plan.x.folds == 2) fold_row<inverse, 2>(plan, samples, folded);
    if (plan.x.folds == 1) fold_row<inverse, 1>(plan, samples, folded);
    samples += plan.row_stride;
    folded += stride;
  }
}

/// Coefficients of turned samples become those of the waves 4i + 1 and 4i - 1, or back.
template <bool inverse, bool sine, typename Scalar>
PIXMIM_TARGET inline void turn(Scalar* first, Scalar* second, int64_t count) {
  using V = Vector<Scalar>;
  for (int64_t i = 0; i < count; i += V::lanes) {
    const V a = V::load(first + i);
    const V b = V::load(second + i);
    (sine == inverse ? a - b : a + b).store(first + i);
    (sine == inverse ? a + b : b - a).store(second + i);
  }
}

template <bool inverse, typename Scalar>
PIXMIM_TARGET inline void turn_columns(const BasisPlan<Scalar>& plan, int64_t rows,
                                       Scalar* coefficients) {
  if (plan.x.folds != 3) return;
  const int64_t count = plan.column_start[1];
  for (int64_t i = 0; i < rows; ++i, coefficients += plan.columns) {
    turn<inverse, false>(coefficients, coefficients + 2 * count, count);
    turn<inverse, true>(coefficients + count, coefficients + 3 * count, count);
  }
}

/// rows -> coefficients, turned in y.
template <typename Scalar>
PIXMIM_TARGET inline void analyse_rows(const BasisPlan<Scalar>& plan,
                                       const BasisScratch<Scalar>& scratch, Scalar* rows,
                                       Traffic& traffic) {
  constexpr int64_t lanes = Vector<Scalar>::lanes;
  const int64_t stride = plan.sequences_x() * plan.sequence_stride;
  for (const CoefficientBlock& block : plan.blocks) {
    fold_rows_of<false>(plan, block.rows, rows + block.first_row * plan.row_stride,
                        scratch.folded_row);
    const Scalar* folded = scratch.folded_row;
    Scalar* result = scratch.coefficients + block.first_row * plan.columns;
    for (std::size_t s = 0; s < plan.x.sequences.size(); ++s) {
      traffic.step();
      const PaddedMatrix<Scalar>& basis = plan.analysis_x[s];
      const int64_t needed = block.needed[plan.x.sequences[s].family];
      multiply<Scalar, false>(block.rows, folded, stride, basis.values.data(), basis.stride,
                              result + plan.column_start[s], plan.columns, plan.x.positions,
                              (needed + lanes - 1) / lanes);
      folded += plan.sequence_stride;
    }
    turn_columns<false>(plan, block.rows, result);
  }
}

/// Coefficients, turned in y -> rows.
template <typename Scalar>
PIXMIM_TARGET inline void synthesise_rows(const BasisPlan<Scalar>& plan,
                                          const BasisScratch<Scalar>& scratch, Scalar* coefficients,
                                          Scalar* rows, Traffic& traffic) {
  constexpr int64_t lanes = Vector<Scalar>::lanes;
  const int64_t stride = plan.sequences_x() * plan.sequence_stride;
  for (const CoefficientBlock& block : plan.blocks) {
    Scalar* weighed = coefficients + block.first_row * plan.columns;
    turn_columns<true>(plan, block.rows, weighed);
    Scalar* folded = scratch.folded_row;
    for (std::size_t s = 0; s < plan.x.sequences.size(); ++s) {
      traffic.step();
      const PaddedMatrix<Scalar>& basis = plan.synthesis_x[s];
      multiply<Scalar, false>(block.rows, weighed + plan.column_start[s], plan.columns,
                              basis.values.data(), basis.stride, folded, stride,
                              block.needed[plan.x.sequences[s].family], basis.stride / lanes);
      folded += plan.sequence_stride;
    }
    fold_rows_of<true>(plan, block.rows, rows + block.first_row * plan.row_stride,
                       scratch.folded_row);
  }
}

// ---- Gains --------------------------------------------------------------------------------------

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

// ---- Along y ------------------------------------------------------------------------------------

// A slab, the columns that are folded and multiplied at once, is few columns: its samples stay in
// the nearest cache.

template <typename Scalar, typename Folded>
PIXMIM_TARGET PIXMIM_ALWAYS_INLINE FoldedRows<Vector<Scalar>, Folded> folded_at(
    const BasisPlan<Scalar>& plan, Folded* folded, int64_t stride) {
  return {folded, stride, plan.y.positions, plan.cosine_y.data(), plan.sine_y.data()};
}

template <int folds, typename Scalar, typename Element>
PIXMIM_TARGET inline void fold_slab(const BasisPlan<Scalar>& plan, const Element* image,
                                    int64_t stride, int64_t columns, Scalar* folded,
                                    int64_t folded_stride) {
  using V = Vector<Scalar>;
  for (int64_t n = 0; n < plan.y.positions; ++n) {
    int64_t column = 0;
    for (; column + V::lanes <= columns; column += V::lanes) {
      fold<folds>(plan.y.size, n, ImageRows<V, Element>{image + column, stride, 0},
                  folded_at(plan, folded + column, folded_stride));
    }
    if (column < columns) {
      fold<folds>(plan.y.size, n, ImageRows<V, Element>{image + column, stride, columns - column},
                  folded_at(plan, folded + column, folded_stride));
    }
  }
}

/// image -> rows
template <typename Scalar, typename Element>
PIXMIM_TARGET inline void analyse_image(const BasisPlan<Scalar>& plan,
                                        const BasisScratch<Scalar>& scratch, const Element* image,
                                        int64_t stride, Scalar* rows, Traffic& traffic) {
  constexpr int64_t lanes = Vector<Scalar>::lanes;
  constexpr int64_t slab = block_shape<Scalar>.columns;
  for (int64_t x = 0; x < plan.x.size; x += slab) {
    const int64_t columns = std::min(slab, plan.x.size - x);
    Scalar* folded = scratch.slab[0];
    if (plan.y.folds == 3) fold_slab<3>(plan, image + x, stride, columns, folded, slab);
    if (plan.y.folds == 2) fold_slab<2>(plan, image + x, stride, columns, folded, slab);
    if (plan.y.folds == 1) fold_slab<1>(plan, image + x, stride, columns, folded, slab);
    for (std::size_t s = 0; s < plan.y.sequences.size(); ++s) {
      multiply(plan.analysis_y[s], folded, slab, rows + plan.row_start[s] * plan.row_stride + x,
               plan.row_stride, (columns + lanes - 1) / lanes, traffic);
      folded += plan.y.positions * slab;
    }
  }
}

template <int folds, bool magnitude, typename Scalar, typename Element>
PIXMIM_TARGET inline void unfold_slab(const BasisPlan<Scalar>& plan, const Epilogue& epilogue,
                                      const Scalar* real, const Scalar* imaginary,
                                      int64_t folded_stride, int64_t columns, Element* result,
                                      int64_t stride) {
  using V = Vector<Scalar>;
  const V scale = V::broadcast(static_cast<Scalar>(epilogue.scale));
  const V shift = V::broadcast(static_cast<Scalar>(epilogue.shift));
  const V magnitude_shift = V::broadcast(static_cast<Scalar>(epilogue.magnitude_shift));
  for (int64_t n = 0; n < plan.y.positions; ++n) {
    for (int64_t column = 0; column < columns; column += V::lanes) {
      Orbit<V, folds> orbit = unfold<folds>(n, folded_at(plan, real + column, folded_stride));
      PIXMIM_UNROLL
      for (int i = 0; i < 1 << folds; ++i) {
        orbit.values[i] = multiply_add(orbit.values[i], scale, shift);
      }
      if constexpr (magnitude) {
        Orbit<V, folds> other;
        if (imaginary != nullptr) {
          other = unfold<folds>(n, folded_at(plan, imaginary + column, folded_stride));
        } else {
          PIXMIM_UNROLL
          for (int i = 0; i < 1 << folds; ++i) other.values[i] = V::zero();
        }
        PIXMIM_UNROLL
        for (int i = 0; i < 1 << folds; ++i) {
          const V a = orbit.values[i];
          const V b = other.values[i] * scale;
          orbit.values[i] = multiply_add(a, a, b * b).square_root() + magnitude_shift;
        }
      }
      const int64_t part = columns - column < V::lanes ? columns - column : 0;
      place<folds>(plan.y.size, n, orbit, ResultRows<V, Element>{result + column, stride, part});
    }
  }
}

/// rows -> columns x .. x + columns of the result. Slabs are `slab_stride` wide in scratch.
template <bool magnitude, typename Scalar, typename Element>
PIXMIM_TARGET inline void synthesise_slab(const BasisPlan<Scalar>& plan,
                                          const BasisScratch<Scalar>& scratch,
                                          const Parts<Scalar>& rows, const Epilogue& epilogue,
                                          int64_t x, int64_t columns, int64_t slab_stride,
                                          Element* result, int64_t stride, Traffic& traffic) {
  constexpr int64_t lanes = Vector<Scalar>::lanes;
  for (std::size_t part = 0; part < (plan.has_imaginary_part() ? 2U : 1U); ++part) {
    Scalar* folded = scratch.slab[part];
    for (std::size_t s = 0; s < plan.y.sequences.size(); ++s) {
      multiply(plan.synthesis_y[s], rows[part] + plan.row_start[s] * plan.row_stride + x,
               plan.row_stride, folded, slab_stride, (columns + lanes - 1) / lanes, traffic);
      folded += plan.y.positions * slab_stride;
    }
  }
  const Scalar* real = scratch.slab[0];
  const Scalar* imaginary = plan.has_imaginary_part() ? scratch.slab[1] : nullptr;
  if (plan.y.folds == 3) {
    unfold_slab<3, magnitude>(plan, epilogue, real, imaginary, slab_stride, columns, result,
                              stride);
  } else if (plan.y.folds == 2) {
    unfold_slab<2, magnitude>(plan, epilogue, real, imaginary, slab_stride, columns, result,
                              stride);
  } else {
    unfold_slab<1, magnitude>(plan, epilogue, real, imaginary, slab_stride, columns, result,
                              stride);
  }
}

// ---- Whole channels -----------------------------------------------------------------------------

/// A channel -> its filtered rows.
template <typename Scalar, typename Element>
PIXMIM_TARGET inline void analyse(const BasisPlan<Scalar>& plan,
                                  const BasisScratch<Scalar>& scratch, const Element* image,
                                  int64_t stride, const Parts<Scalar>& rows, Traffic& traffic) {
  analyse_image(plan, scratch, image, stride, rows[0], traffic);
  analyse_rows(plan, scratch, rows[0], traffic);
  if (!plan.is_crossed()) {
    weigh_in_place(plan, scratch.coefficients);
  } else if (plan.has_imaginary_part()) {
    weigh_crossed<true>(plan, scratch.coefficients, scratch.weighed);
    synthesise_rows(plan, scratch, scratch.weighed[1], rows[1], traffic);
  } else {
    weigh_crossed<false>(plan, scratch.coefficients, scratch.weighed);
  }
  synthesise_rows(plan, scratch, scratch.weighed[0], rows[0], traffic);
}

/// A channel -> the filtered channel. `next` is the channel to come, or null.
template <bool magnitude, typename Scalar, typename Element, typename Result>
PIXMIM_TARGET inline void filter_channel(const BasisPlan<Scalar>& plan,
                                         const BasisScratch<Scalar>& scratch,
                                         const Epilogue& epilogue, const Element* image,
                                         const Element* next, Result* result) {
  constexpr int64_t slab = block_shape<Scalar>.columns;
  const int64_t width = plan.x.size;
  const int64_t pixels = plan.y.size * width;
  Traffic traffic;
  traffic.written =
      Upcoming(result, pixels * static_cast<int64_t>(sizeof(Result)), plan.analysis_steps(slab));
  if (next != nullptr) {
    traffic.read = Upcoming(next, pixels * static_cast<int64_t>(sizeof(Element)),
                            plan.analysis_steps(slab) + plan.synthesis_steps(slab));
  }
  analyse(plan, scratch, image, width, scratch.rows, traffic);
  for (int64_t x = 0; x < width; x += slab) {
    synthesise_slab<magnitude>(plan, scratch, scratch.rows, epilogue, x, std::min(slab, width - x),
                               slab, result + x, width, traffic);
  }
}

/// Channels begin .. end of a batch of images of `channels`; an epilogue a channel.
template <bool magnitude, typename Scalar, typename Element, typename Result>
PIXMIM_TARGET inline void filter_channels(const BasisPlan<Scalar>& plan,
                                          const BasisScratch<Scalar>& scratch,
                                          const Epilogue* epilogues, int64_t channels,
                                          const Element* images, Result* results, int64_t begin,
                                          int64_t end) {
  const int64_t pixels = plan.y.size * plan.x.size;
  for (int64_t i = begin; i < end; ++i) {
    const Element* image = images + i * pixels;
    filter_channel<magnitude>(plan, scratch, epilogues[i % channels], image,
                              i + 1 < end ? image + pixels : nullptr, results + i * pixels);
  }
}

}  // namespace PIXMIM_SIMD
}  // namespace detail
}  // namespace v0
}  // namespace pixmim
