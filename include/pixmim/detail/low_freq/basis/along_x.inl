// SPDX-License-Identifier: Apache-2.0
// The basis engine along x: rows to coefficients and back (a part of kernels.inl).

namespace pixmim {
inline namespace v0 {
namespace detail {
namespace PIXMIM_SIMD {

/// Folds a register of the row `samples` into the row `folded`, or back.
template <bool inverse, int folds, typename V, typename Scalar>
PIXMIM_TARGET PIXMIM_ALWAYS_INLINE void fold_row_at(const BasisPlan<Scalar>& plan, int64_t n,
                                                    Scalar* samples, Scalar* folded) {
  using Samples = Orbit<V, folds>;
  const int64_t part = plan.x.size / Samples::parts;
  // A mirrored register begins at its last neighbour.
  Scalar* forward = samples + n;
  Scalar* mirrored = samples + part - n - V::lanes;
  folded += n;
  const V cosine = V::load(plan.cosine_x.data() + n);
  const V sine = V::load(plan.sine_x.data() + n);
  Samples orbit;
  if constexpr (!inverse) {
    PIXMIM_UNROLL
    for (int i = 0; i < Samples::parts; ++i) {
      orbit.values[2 * i] = V::load(forward + i * part);
      orbit.values[2 * i + 1] = V::load(mirrored + i * part).reversed();
    }
    orbit = fold<folds>(orbit, cosine, sine);
    PIXMIM_UNROLL
    for (int i = 0; i < Samples::size; ++i) {
      orbit.values[i].store(folded + i * plan.sequence_stride);
    }
  } else {
    PIXMIM_UNROLL
    for (int i = 0; i < Samples::size; ++i) {
      orbit.values[i] = V::load(folded + i * plan.sequence_stride);
    }
    orbit = unfold<folds>(orbit, cosine, sine);
    PIXMIM_UNROLL
    for (int i = 0; i < Samples::parts; ++i) {
      orbit.values[2 * i].store(forward + i * part);
      orbit.values[2 * i + 1].reversed().store(mirrored + i * part);
    }
  }
}

template <bool inverse, int folds, typename Scalar>
PIXMIM_TARGET inline void fold_rows(const BasisPlan<Scalar>& plan, int64_t count, Scalar* samples,
                                    Scalar* folded) {
  using V = Vector<Scalar>;
  const int64_t positions = plan.x.positions;
  // A register that reaches past the last position meets mirror images, which it computes once
  // more: right as long as they are there.
  const bool fits = plan.x.size >> (folds - 1) >= V::lanes;
  for (int64_t i = 0; i < count; ++i) {
    if (fits) {
      int64_t n = 0;
      for (; n + V::lanes < positions; n += V::lanes) {
        fold_row_at<inverse, folds, V>(plan, n, samples, folded);
      }
      const int64_t last = positions > V::lanes ? positions - V::lanes : 0;
      fold_row_at<inverse, folds, V>(plan, last, samples, folded);
    } else {
      for (int64_t n = 0; n < positions; ++n) {
        fold_row_at<inverse, folds, Lane<Scalar>>(plan, n, samples, folded);
      }
    }
    samples += plan.row_stride;
    folded += plan.sequences_x() * plan.sequence_stride;
  }
}

/// Folds `count` rows, or back.
template <bool inverse, typename Scalar>
PIXMIM_TARGET inline void fold_rows(const BasisPlan<Scalar>& plan, int64_t count, Scalar* samples,
                                    Scalar* folded) {
  if (plan.x.folds == 3) fold_rows<inverse, 3>(plan, count, samples, folded);
  if (plan.x.folds == 2) fold_rows<inverse, 2>(plan, count, samples, folded);
  if (plan.x.folds == 1) fold_rows<inverse, 1>(plan, count, samples, folded);
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
    fold_rows<false>(plan, block.rows, rows + block.first_row * plan.row_stride,
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
    fold_rows<true>(plan, block.rows, rows + block.first_row * plan.row_stride, scratch.folded_row);
  }
}

}  // namespace PIXMIM_SIMD
}  // namespace detail
}  // namespace v0
}  // namespace pixmim
