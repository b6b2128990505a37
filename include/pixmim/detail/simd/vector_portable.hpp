// SPDX-License-Identifier: Apache-2.0
// Registers of 16 bytes in the compiler's own vectors: SSE2 on x86-64, NEON on arm64. Compilers
// without them get one lane.
#pragma once

#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>

#include <cmath>
#include <cstdint>
#include <cstring>

#include "pixmim/detail/simd/attributes.hpp"
#include "pixmim/detail/simd/lanes.hpp"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace pixmim {
inline namespace v0 {
namespace detail {
namespace portable {

#if defined(__GNUC__) || defined(__clang__)
template <typename Scalar>
struct Register;
template <>
struct Register<float> {
  typedef float Type __attribute__((vector_size(16)));
};
template <>
struct Register<double> {
  typedef double Type __attribute__((vector_size(16)));
};
#else
template <typename Scalar>
struct Register {
  using Type = Scalar;
};
#endif

template <typename Scalar>
struct Vector {
  using Register = typename portable::Register<Scalar>::Type;
  static constexpr int64_t lanes = sizeof(Register) / sizeof(Scalar);
  /// Registers that a kernel may fill.
#if defined(__aarch64__)
  static constexpr int registers = 32;
#else
  static constexpr int registers = 16;
#endif
  Register values;

  PIXMIM_ALWAYS_INLINE static Vector zero() {
    return {Register{}};
  }
  PIXMIM_ALWAYS_INLINE static Vector broadcast(Scalar value) {
    return {value + Register{}};
  }

  PIXMIM_ALWAYS_INLINE static Vector load(const Scalar* from) {
    Vector result;
    std::memcpy(&result.values, from, sizeof(Register));
    return result;
  }
  template <typename Element>
  PIXMIM_ALWAYS_INLINE static Vector load(const Element* from) {
    Scalar wide[lanes];
    PIXMIM_UNROLL
    for (int64_t i = 0; i < lanes; ++i) wide[i] = static_cast<Scalar>(from[i]);
    return load(wide);
  }

  PIXMIM_ALWAYS_INLINE void store(Scalar* to) const {
    std::memcpy(to, &values, sizeof(Register));
  }
  template <typename Element>
  PIXMIM_ALWAYS_INLINE void store(Element* to) const {
    Scalar wide[lanes];
    store(wide);
    PIXMIM_UNROLL
    for (int64_t i = 0; i < lanes; ++i) to[i] = static_cast<Element>(wide[i]);
  }

  /// The lanes in the opposite order.
  PIXMIM_ALWAYS_INLINE Vector reversed() const {
    Scalar forward[lanes];
    Scalar backward[lanes];
    store(forward);
    PIXMIM_UNROLL
    for (int64_t i = 0; i < lanes; ++i) backward[i] = forward[lanes - 1 - i];
    return load(backward);
  }
  PIXMIM_ALWAYS_INLINE Scalar sum() const {
    Scalar numbers[lanes];
    store(numbers);
    return sum_of_lanes(numbers);
  }
  PIXMIM_ALWAYS_INLINE Vector square_root() const {
#if defined(__SSE2__)
    // std::sqrt would ask for errno.
    if constexpr (sizeof(Scalar) == 4) {
      return {_mm_sqrt_ps(values)};
    } else {
      return {_mm_sqrt_pd(values)};
    }
#else
    Scalar roots[lanes];
    store(roots);
    PIXMIM_UNROLL
    for (int64_t i = 0; i < lanes; ++i) roots[i] = std::sqrt(roots[i]);
    return load(roots);
#endif
  }
  /// -1, 0 or 1; 0 for what is not a number.
  PIXMIM_ALWAYS_INLINE Vector sign() const {
    const Register zero = Register{};
    return {values > zero ? zero + 1 : (values < zero ? zero - 1 : zero)};
  }

  PIXMIM_ALWAYS_INLINE friend Vector operator+(Vector a, Vector b) {
    return {a.values + b.values};
  }
  PIXMIM_ALWAYS_INLINE friend Vector operator-(Vector a, Vector b) {
    return {a.values - b.values};
  }
  PIXMIM_ALWAYS_INLINE friend Vector operator*(Vector a, Vector b) {
    return {a.values * b.values};
  }
  /// a * b + c, a * b - c
  PIXMIM_ALWAYS_INLINE friend Vector multiply_add(Vector a, Vector b, Vector c) {
    return {a.values * b.values + c.values};
  }
  PIXMIM_ALWAYS_INLINE friend Vector multiply_subtract(Vector a, Vector b, Vector c) {
    return {a.values * b.values - c.values};
  }
};

/// a[0], b[0], c[0], a[1], b[1], ..
template <typename Scalar>
PIXMIM_ALWAYS_INLINE void store_interleaved(Vector<Scalar> a, Vector<Scalar> b, Vector<Scalar> c,
                                            Scalar* to) {
  constexpr int64_t lanes = Vector<Scalar>::lanes;
  Scalar numbers[3][lanes];
  a.store(numbers[0]);
  b.store(numbers[1]);
  c.store(numbers[2]);
  interleave_lanes(numbers, to);
}

}  // namespace portable
}  // namespace detail
}  // namespace v0
}  // namespace pixmim
