// SPDX-License-Identifier: Apache-2.0
// Folds and their inverse, along columns and along rows (folded_axis.hpp has the formulas).

namespace pixmim {
inline namespace v0 {
namespace detail {
namespace PIXMIM_SIMD {

/// A register of one number, for rows shorter than a register.
template <typename Scalar>
struct Lane {
  static constexpr int64_t lanes = 1;
  Scalar value;

  PIXMIM_TARGET PIXMIM_ALWAYS_INLINE static Lane load(const Scalar* from) { return {*from}; }
  PIXMIM_TARGET PIXMIM_ALWAYS_INLINE void store(Scalar* to) const { *to = value; }
  PIXMIM_TARGET PIXMIM_ALWAYS_INLINE Lane reversed() const { return *this; }
  PIXMIM_TARGET PIXMIM_ALWAYS_INLINE friend Lane operator+(Lane a, Lane b) {
    return {a.value + b.value};
  }
  PIXMIM_TARGET PIXMIM_ALWAYS_INLINE friend Lane operator-(Lane a, Lane b) {
    return {a.value - b.value};
  }
  PIXMIM_TARGET PIXMIM_ALWAYS_INLINE friend Lane operator*(Lane a, Lane b) {
    return {a.value * b.value};
  }
  PIXMIM_TARGET PIXMIM_ALWAYS_INLINE friend Lane multiply_add(Lane a, Lane b, Lane c) {
    return {a.value * b.value + c.value};
  }
  PIXMIM_TARGET PIXMIM_ALWAYS_INLINE friend Lane multiply_subtract(Lane a, Lane b, Lane c) {
    return {a.value * b.value - c.value};
  }
};

/// Samples that are rows of an image, a register across. A mirrored row is a row.
template <typename Register, typename Element>
struct ImageRows {
  using V = Register;
  const Element* from;
  int64_t stride;
  /// Columns that there are, if fewer than a register's; else 0.
  int64_t part;

  PIXMIM_TARGET PIXMIM_ALWAYS_INLINE V forward(int64_t row) const {
    const Element* values = from + row * stride;
    Element filled[V::lanes];
    if (part != 0) {
      for (int64_t i = 0; i < V::lanes; ++i) filled[i] = i < part ? values[i] : Element(0);
      values = filled;
    }
    if constexpr (std::is_same_v<Element, uint8_t>) {
      return V::load(values) - V::broadcast(static_cast<float>(uint8_centre));
    } else {
      return V::load(values);
    }
  }
  PIXMIM_TARGET PIXMIM_ALWAYS_INLINE V mirrored(int64_t row) const { return forward(row); }
};

/// Rows of the result.
template <typename Register, typename Element>
struct ResultRows {
  using V = Register;
  Element* to;
  int64_t stride;
  int64_t part;

  PIXMIM_TARGET PIXMIM_ALWAYS_INLINE void set_forward(int64_t row, V value) const {
    Element* values = to + row * stride;
    if (part == 0) {
      value.store(values);
    } else {
      Element filled[V::lanes];
      value.store(filled);
      for (int64_t i = 0; i < part; ++i) values[i] = filled[i];
    }
  }
  PIXMIM_TARGET PIXMIM_ALWAYS_INLINE void set_mirrored(int64_t row, V value) const {
    set_forward(row, value);
  }
};

/// Folded samples that are rows, sequence after sequence.
template <typename Register, typename Scalar>
struct FoldedRows {
  using V = Register;
  Scalar* rows;
  int64_t stride;
  int64_t positions;
  const std::remove_const_t<Scalar>* cosines;
  const std::remove_const_t<Scalar>* sines;

  PIXMIM_TARGET PIXMIM_ALWAYS_INLINE V get(int64_t sequence, int64_t n) const {
    return V::load(rows + (sequence * positions + n) * stride);
  }
  PIXMIM_TARGET PIXMIM_ALWAYS_INLINE void set(int64_t sequence, int64_t n, V value) const {
    value.store(rows + (sequence * positions + n) * stride);
  }
  PIXMIM_TARGET PIXMIM_ALWAYS_INLINE V cosine(int64_t n) const { return V::broadcast(cosines[n]); }
  PIXMIM_TARGET PIXMIM_ALWAYS_INLINE V sine(int64_t n) const { return V::broadcast(sines[n]); }
};

/// Samples of one row, a register of neighbours: mirrored ones are in the opposite order.
template <typename Register, typename Scalar>
struct RowSamples {
  using V = Register;
  Scalar* row;

  PIXMIM_TARGET PIXMIM_ALWAYS_INLINE V forward(int64_t n) const { return V::load(row + n); }
  PIXMIM_TARGET PIXMIM_ALWAYS_INLINE V mirrored(int64_t n) const {
    return V::load(row + n - (V::lanes - 1)).reversed();
  }
  PIXMIM_TARGET PIXMIM_ALWAYS_INLINE void set_forward(int64_t n, V value) const {
    value.store(row + n);
  }
  PIXMIM_TARGET PIXMIM_ALWAYS_INLINE void set_mirrored(int64_t n, V value) const {
    value.reversed().store(row + n - (V::lanes - 1));
  }
};

/// Folded samples of one row, sequence after sequence.
template <typename Register, typename Scalar>
struct FoldedRow {
  using V = Register;
  Scalar* row;
  int64_t stride;
  const Scalar* cosines;
  const Scalar* sines;

  PIXMIM_TARGET PIXMIM_ALWAYS_INLINE V get(int64_t sequence, int64_t n) const {
    return V::load(row + sequence * stride + n);
  }
  PIXMIM_TARGET PIXMIM_ALWAYS_INLINE void set(int64_t sequence, int64_t n, V value) const {
    value.store(row + sequence * stride + n);
  }
  PIXMIM_TARGET PIXMIM_ALWAYS_INLINE V cosine(int64_t n) const { return V::load(cosines + n); }
  PIXMIM_TARGET PIXMIM_ALWAYS_INLINE V sine(int64_t n) const { return V::load(sines + n); }
};

/// Folds sample `n` and those that mirror it (folded_axis.hpp has the formulas).
template <int folds, typename Samples, typename Folded>
PIXMIM_TARGET PIXMIM_ALWAYS_INLINE void fold(int64_t size, int64_t n, const Samples& samples,
                                             const Folded& folded) {
  using V = typename Folded::V;
  const V first = samples.forward(n);
  const V last = samples.mirrored(size - 1 - n);
  const V sum = first + last;
  const V difference = first - last;
  if constexpr (folds == 1) {
    folded.set(0, n, sum);
    folded.set(1, n, difference);
  } else {
    const int64_t half = size / 2;
    const V before_half = samples.mirrored(half - 1 - n);
    const V after_half = samples.forward(half + n);
    const V half_sum = before_half + after_half;
    const V half_difference = before_half - after_half;
    const V odd_cosines = sum - half_sum;
    const V odd_sines = difference + half_difference;
    const V even_cosines = sum + half_sum;
    const V even_sines = difference - half_difference;
    if constexpr (folds == 2) {
      folded.set(0, n, odd_cosines);
      folded.set(1, n, odd_sines);
      folded.set(2, n, even_cosines);
      folded.set(3, n, even_sines);
    } else {
      const int64_t m = size / 4 - 1 - n;
      const V m_first = samples.mirrored(m);
      const V m_last = samples.forward(size - 1 - m);
      const V m_before_half = samples.forward(half - 1 - m);
      const V m_after_half = samples.mirrored(half + m);
      const V m_sum = m_first + m_last;
      const V m_difference = m_first - m_last;
      const V m_half_sum = m_before_half + m_after_half;
      const V m_half_difference = m_before_half - m_after_half;
      const V m_odd_cosines = m_sum - m_half_sum;
      const V m_odd_sines = m_difference + m_half_difference;
      const V m_even_cosines = m_sum + m_half_sum;
      const V m_even_sines = m_difference - m_half_difference;
      const V cosine = folded.cosine(n);
      const V sine = folded.sine(n);
      folded.set(0, n, multiply_add(odd_cosines, cosine, m_odd_cosines * sine));
      folded.set(1, n, multiply_add(odd_sines, sine, m_odd_sines * cosine));
      folded.set(2, n, multiply_subtract(odd_cosines, sine, m_odd_cosines * cosine));
      folded.set(3, n, multiply_subtract(odd_sines, cosine, m_odd_sines * sine));
      folded.set(4, n, even_cosines - m_even_cosines);
      folded.set(5, n, even_sines + m_even_sines);
      folded.set(6, n, even_cosines + m_even_cosines);
      folded.set(7, n, even_sines - m_even_sines);
    }
  }
}

/// A sample and those that mirror it.
template <typename V, int folds>
struct Orbit {
  V values[1 << folds];
};

/// The inverse of `fold`: sums of what cosines and sines gave.
template <int folds, typename Folded>
PIXMIM_TARGET PIXMIM_ALWAYS_INLINE Orbit<typename Folded::V, folds> unfold(int64_t n,
                                                                           const Folded& folded) {
  using V = typename Folded::V;
  if constexpr (folds == 1) {
    const V even = folded.get(0, n);
    const V odd = folded.get(1, n);
    return {{even + odd, even - odd}};
  } else if constexpr (folds == 2) {
    const V odd_cosines = folded.get(0, n);
    const V odd_sines = folded.get(1, n);
    const V even_cosines = folded.get(2, n);
    const V even_sines = folded.get(3, n);
    const V even = even_cosines + odd_cosines;
    const V half_even = even_cosines - odd_cosines;
    const V odd = odd_sines + even_sines;
    const V half_odd = odd_sines - even_sines;
    return {{even + odd, even - odd, half_even + half_odd, half_even - half_odd}};
  } else {
    const V cosine = folded.cosine(n);
    const V sine = folded.sine(n);
    const V turned[] = {folded.get(0, n), folded.get(1, n), folded.get(2, n), folded.get(3, n)};
    const V odd_cosines = multiply_add(turned[0], cosine, turned[2] * sine);
    const V m_odd_cosines = multiply_subtract(turned[0], sine, turned[2] * cosine);
    const V odd_sines = multiply_add(turned[1], sine, turned[3] * cosine);
    const V m_odd_sines = multiply_subtract(turned[1], cosine, turned[3] * sine);
    const V twos[] = {folded.get(4, n), folded.get(5, n)};
    const V fours[] = {folded.get(6, n), folded.get(7, n)};
    const V even_cosines = fours[0] + twos[0];
    const V m_even_cosines = fours[0] - twos[0];
    const V even_sines = twos[1] + fours[1];
    const V m_even_sines = twos[1] - fours[1];

    const V even = even_cosines + odd_cosines;
    const V half_even = even_cosines - odd_cosines;
    const V odd = odd_sines + even_sines;
    const V half_odd = odd_sines - even_sines;
    const V m_even = m_even_cosines + m_odd_cosines;
    const V m_half_even = m_even_cosines - m_odd_cosines;
    const V m_odd = m_odd_sines + m_even_sines;
    const V m_half_odd = m_odd_sines - m_even_sines;
    return {{even + odd, even - odd, half_even + half_odd, half_even - half_odd, m_even + m_odd,
             m_even - m_odd, m_half_even + m_half_odd, m_half_even - m_half_odd}};
  }
}

/// Puts the samples of an orbit in their places.
template <int folds, typename V, typename Samples>
PIXMIM_TARGET PIXMIM_ALWAYS_INLINE void place(int64_t size, int64_t n, const Orbit<V, folds>& orbit,
                                              const Samples& samples) {
  samples.set_forward(n, orbit.values[0]);
  samples.set_mirrored(size - 1 - n, orbit.values[1]);
  if constexpr (folds >= 2) {
    samples.set_mirrored(size / 2 - 1 - n, orbit.values[2]);
    samples.set_forward(size / 2 + n, orbit.values[3]);
  }
  if constexpr (folds == 3) {
    const int64_t m = size / 4 - 1 - n;
    samples.set_mirrored(m, orbit.values[4]);
    samples.set_forward(size - 1 - m, orbit.values[5]);
    samples.set_forward(size / 2 - 1 - m, orbit.values[6]);
    samples.set_mirrored(size / 2 + m, orbit.values[7]);
  }
}

}  // namespace PIXMIM_SIMD
}  // namespace detail
}  // namespace v0
}  // namespace pixmim
