// SPDX-License-Identifier: Apache-2.0
// The basis engine along y: images to rows and back (a part of kernels.inl).

namespace pixmim {
inline namespace v0 {
namespace detail {
namespace PIXMIM_SIMD {

// A slab, the columns that are folded and multiplied at once, is few columns: its samples stay in
// the nearest cache. Folded, it lies position by position, a row a sequence.

/// A register of samples; `part` of them, if not 0, and zeros.
template <typename V, typename Element>
PIXMIM_TARGET PIXMIM_ALWAYS_INLINE V load_samples(const Element* from, int64_t part) {
  Element filled[V::lanes];
  if (part != 0) {
    for (int64_t i = 0; i < V::lanes; ++i) filled[i] = i < part ? from[i] : Element(0);
    from = filled;
  }
  if constexpr (std::is_same_v<Element, uint8_t>) {
    return V::load(from) - V::broadcast(static_cast<float>(uint8_centre));
  } else {
    return V::load(from);
  }
}

template <typename V, typename Element>
PIXMIM_TARGET PIXMIM_ALWAYS_INLINE void store_samples(V value, Element* to, int64_t part) {
  if (part == 0) {
    value.store(to);
  } else {
    Element filled[V::lanes];
    value.store(filled);
    for (int64_t i = 0; i < part; ++i) to[i] = filled[i];
  }
}

template <int folds, typename Scalar, typename Element>
PIXMIM_TARGET inline void fold_slab(const BasisPlan<Scalar>& plan, const Element* image,
                                    int64_t stride, int64_t columns, Scalar* folded,
                                    int64_t folded_stride) {
  using V = Vector<Scalar>;
  using Rows = Orbit<V, folds>;
  const int64_t part_rows = plan.y.size / Rows::parts;
  const int64_t part = part_rows * stride;
  for (int64_t n = 0; n < plan.y.positions; ++n) {
    const Element* forward = image + n * stride;
    const Element* mirrored = image + (part_rows - 1 - n) * stride;
    Scalar* to = folded + n * Rows::size * folded_stride;
    const V cosine = V::broadcast(plan.cosine_y[n]);
    const V sine = V::broadcast(plan.sine_y[n]);
    for (int64_t column = 0; column < columns; column += V::lanes) {
      const int64_t count = columns - column < V::lanes ? columns - column : 0;
      Rows rows;
      PIXMIM_UNROLL
      for (int i = 0; i < Rows::parts; ++i) {
        rows.values[2 * i] = load_samples<V>(forward + i * part, count);
        rows.values[2 * i + 1] = load_samples<V>(mirrored + i * part, count);
      }
      rows = fold<folds>(rows, cosine, sine);
      PIXMIM_UNROLL
      for (int i = 0; i < Rows::size; ++i) rows.values[i].store(to + i * folded_stride);
      forward += V::lanes;
      mirrored += V::lanes;
      to += V::lanes;
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
      multiply(plan.analysis_y[s], folded, plan.sequences_y() * slab,
               rows + plan.row_start[s] * plan.row_stride + x, plan.row_stride,
               (columns + lanes - 1) / lanes, traffic);
      folded += slab;
    }
  }
}

template <int folds, bool magnitude, typename Scalar, typename Element>
PIXMIM_TARGET inline void unfold_slab(const BasisPlan<Scalar>& plan, const Epilogue& epilogue,
                                      const Scalar* real, const Scalar* imaginary,
                                      int64_t folded_stride, int64_t columns, Element* result,
                                      int64_t stride) {
  using V = Vector<Scalar>;
  using Rows = Orbit<V, folds>;
  const int64_t part_rows = plan.y.size / Rows::parts;
  const int64_t part = part_rows * stride;
  const V scale = V::broadcast(static_cast<Scalar>(epilogue.scale));
  const V shift = V::broadcast(static_cast<Scalar>(epilogue.shift));
  const V magnitude_shift = V::broadcast(static_cast<Scalar>(epilogue.magnitude_shift));
  for (int64_t n = 0; n < plan.y.positions; ++n) {
    Element* forward = result + n * stride;
    Element* mirrored = result + (part_rows - 1 - n) * stride;
    const int64_t from = n * Rows::size * folded_stride;
    const V cosine = V::broadcast(plan.cosine_y[n]);
    const V sine = V::broadcast(plan.sine_y[n]);
    for (int64_t column = 0; column < columns; column += V::lanes) {
      const int64_t count = columns - column < V::lanes ? columns - column : 0;
      Rows rows;
      PIXMIM_UNROLL
      for (int i = 0; i < Rows::size; ++i) {
        rows.values[i] = V::load(real + from + i * folded_stride + column);
      }
      rows = unfold<folds>(rows, cosine, sine);
      PIXMIM_UNROLL
      for (int i = 0; i < Rows::size; ++i) {
        rows.values[i] = multiply_add(rows.values[i], scale, shift);
      }
      if constexpr (magnitude) {
        Rows other;
        PIXMIM_UNROLL
        for (int i = 0; i < Rows::size; ++i) {
          other.values[i] = imaginary != nullptr
                                ? V::load(imaginary + from + i * folded_stride + column)
                                : V::zero();
        }
        other = unfold<folds>(other, cosine, sine);
        PIXMIM_UNROLL
        for (int i = 0; i < Rows::size; ++i) {
          const V a = rows.values[i];
          const V b = other.values[i] * scale;
          rows.values[i] = multiply_add(a, a, b * b).square_root() + magnitude_shift;
        }
      }
      PIXMIM_UNROLL
      for (int i = 0; i < Rows::parts; ++i) {
        store_samples(rows.values[2 * i], forward + i * part + column, count);
        store_samples(rows.values[2 * i + 1], mirrored + i * part + column, count);
      }
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
               plan.row_stride, folded, plan.sequences_y() * slab_stride,
               (columns + lanes - 1) / lanes, traffic);
      folded += slab_stride;
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

}  // namespace PIXMIM_SIMD
}  // namespace detail
}  // namespace v0
}  // namespace pixmim
