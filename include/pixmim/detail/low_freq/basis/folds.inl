// SPDX-License-Identifier: Apache-2.0
// Folds and their inverse, for registers of samples (a part of kernels.inl; folded_axis.hpp
// has the formulas).

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

/// A sample and those that mirror it; or what a fold makes of them, a number a sequence.
///
/// The axis is cut into `size` / 2 parts. Of each part an orbit has the sample at n and the one at
/// its end less n: neighbours of the second are in the opposite order.
template <typename V, int folds>
struct Orbit {
  static constexpr int size = 1 << folds;
  static constexpr int parts = size / 2;
  V values[size];
};

/// Samples -> sequences. `cosine` and `sine` are of the first sample's angle.
template <int folds, typename V>
PIXMIM_TARGET PIXMIM_ALWAYS_INLINE Orbit<V, folds> fold(const Orbit<V, folds>& samples, V cosine,
                                                        V sine) {
  const V* x = samples.values;
  if constexpr (folds == 1) {
    return {{x[0] + x[1], x[0] - x[1]}};
  } else if constexpr (folds == 2) {
    const V sum = x[0] + x[3];
    const V difference = x[0] - x[3];
    const V half_sum = x[1] + x[2];
    const V half_difference = x[1] - x[2];
    return {{sum - half_sum, difference + half_difference, sum + half_sum,
             difference - half_difference}};
  } else {
    const V sum = x[0] + x[7];
    const V difference = x[0] - x[7];
    const V half_sum = x[3] + x[4];
    const V half_difference = x[3] - x[4];
    const V odd_cosines = sum - half_sum;
    const V odd_sines = difference + half_difference;
    const V even_cosines = sum + half_sum;
    const V even_sines = difference - half_difference;
    // The same of the samples that the third fold mirrors.
    const V m_sum = x[1] + x[6];
    const V m_difference = x[1] - x[6];
    const V m_half_sum = x[2] + x[5];
    const V m_half_difference = x[2] - x[5];
    const V m_odd_cosines = m_sum - m_half_sum;
    const V m_odd_sines = m_difference + m_half_difference;
    const V m_even_cosines = m_sum + m_half_sum;
    const V m_even_sines = m_difference - m_half_difference;
    return {{multiply_add(odd_cosines, cosine, m_odd_cosines * sine),
             multiply_add(odd_sines, sine, m_odd_sines * cosine),
             multiply_subtract(odd_cosines, sine, m_odd_cosines * cosine),
             multiply_subtract(odd_sines, cosine, m_odd_sines * sine),
             even_cosines - m_even_cosines, even_sines + m_even_sines,
             even_cosines + m_even_cosines, even_sines - m_even_sines}};
  }
}

/// Sequences, as products with the basis gave them -> samples.
template <int folds, typename V>
PIXMIM_TARGET PIXMIM_ALWAYS_INLINE Orbit<V, folds> unfold(const Orbit<V, folds>& sequences,
                                                          V cosine, V sine) {
  const V* s = sequences.values;
  if constexpr (folds == 1) {
    return {{s[0] + s[1], s[0] - s[1]}};
  } else if constexpr (folds == 2) {
    const V even = s[2] + s[0];
    const V half_even = s[2] - s[0];
    const V odd = s[1] + s[3];
    const V half_odd = s[1] - s[3];
    return {{even + odd, half_even + half_odd, half_even - half_odd, even - odd}};
  } else {
    const V odd_cosines = multiply_add(s[0], cosine, s[2] * sine);
    const V m_odd_cosines = multiply_subtract(s[0], sine, s[2] * cosine);
    const V odd_sines = multiply_add(s[1], sine, s[3] * cosine);
    const V m_odd_sines = multiply_subtract(s[1], cosine, s[3] * sine);
    const V even_cosines = s[6] + s[4];
    const V m_even_cosines = s[6] - s[4];
    const V even_sines = s[5] + s[7];
    const V m_even_sines = s[5] - s[7];

    const V even = even_cosines + odd_cosines;
    const V half_even = even_cosines - odd_cosines;
    const V odd = odd_sines + even_sines;
    const V half_odd = odd_sines - even_sines;
    const V m_even = m_even_cosines + m_odd_cosines;
    const V m_half_even = m_even_cosines - m_odd_cosines;
    const V m_odd = m_odd_sines + m_even_sines;
    const V m_half_odd = m_odd_sines - m_even_sines;
    return {{even + odd, m_even + m_odd, m_half_even + m_half_odd, half_even + half_odd,
             half_even - half_odd, m_half_even - m_half_odd, m_even - m_odd, even - odd}};
  }
}

}  // namespace PIXMIM_SIMD
}  // namespace detail
}  // namespace v0
}  // namespace pixmim
