// SPDX-License-Identifier: Apache-2.0
// Registers of 32 bytes.
#pragma once

#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>
#include <immintrin.h>

#include <cfloat>
#include <cstdint>
#include <limits>

#include "pixmim/detail/simd/attributes.hpp"
#include "pixmim/detail/simd/lanes.hpp"

#define PIXMIM_INLINE PIXMIM_ALWAYS_INLINE PIXMIM_AVX2_TARGET

namespace pixmim {
inline namespace v0 {
namespace detail {
namespace avx2 {

template <typename Scalar>
struct Vector;

template <>
struct Vector<float> {
  static constexpr int64_t lanes = 8;
  /// Registers that a kernel may fill.
  static constexpr int registers = 16;
  __m256 values;

  PIXMIM_INLINE static Vector zero() { return {_mm256_setzero_ps()}; }
  PIXMIM_INLINE static Vector broadcast(float value) { return {_mm256_set1_ps(value)}; }

  PIXMIM_INLINE static Vector load(const float* from) { return {_mm256_loadu_ps(from)}; }
  PIXMIM_INLINE static Vector load(const uint8_t* from) {
    const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(from));
    return {_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes))};
  }
  PIXMIM_INLINE static Vector load(const c10::Half* from) {
    return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)))};
  }
  PIXMIM_INLINE static Vector load(const c10::BFloat16* from) {
    const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16))};
  }

  PIXMIM_INLINE void store(float* to) const { _mm256_storeu_ps(to, values); }
  PIXMIM_INLINE void store(c10::Half* to) const {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to),
                     _mm256_cvtps_ph(values, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
  PIXMIM_INLINE void store(c10::BFloat16* to) const {
    // To the nearest, ties to even; what is not a number becomes the one quiet NaN.
    const __m256i bits = _mm256_castps_si256(values);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i rounded =
        _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    const __m256i is_nan = _mm256_castps_si256(_mm256_cmp_ps(values, values, _CMP_UNORD_Q));
    const __m256i shifted = _mm256_srli_epi32(rounded, 16);
    const __m256i result = _mm256_blendv_epi8(shifted, _mm256_set1_epi32(0x7fc0), is_nan);
    _mm_storeu_si128(
        reinterpret_cast<__m128i*>(to),
        _mm_packus_epi32(_mm256_castsi256_si128(result), _mm256_extracti128_si256(result, 1)));
  }

  /// The lanes in the opposite order.
  PIXMIM_INLINE Vector reversed() const {
    return {_mm256_permutevar8x32_ps(values, _mm256_setr_epi32(7, 6, 5, 4, 3, 2, 1, 0))};
  }
  PIXMIM_INLINE float sum() const {
    const __m128 four =
        _mm_add_ps(_mm256_castps256_ps128(values), _mm256_extractf128_ps(values, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
  }
  PIXMIM_INLINE Vector square_root() const {
    // An estimate of 12 bits and a step of Newton's: faster than the exact instruction.
    const __m256 estimate = _mm256_rsqrt_ps(_mm256_max_ps(values, _mm256_set1_ps(FLT_MIN)));
    const __m256 root = _mm256_mul_ps(values, estimate);
    const __m256 half_estimate = _mm256_mul_ps(estimate, _mm256_set1_ps(0.5F));
    const __m256 better =
        _mm256_fmadd_ps(_mm256_fnmadd_ps(root, root, values), half_estimate, root);
    // The root of infinity is not a number then.
    const __m256 infinity = _mm256_set1_ps(std::numeric_limits<float>::infinity());
    return {_mm256_blendv_ps(better, values, _mm256_cmp_ps(values, infinity, _CMP_EQ_OQ))};
  }
  /// -1, 0 or 1; 0 for what is not a number.
  PIXMIM_INLINE Vector sign() const {
    const __m256 above = _mm256_cmp_ps(values, _mm256_setzero_ps(), _CMP_GT_OQ);
    const __m256 below = _mm256_cmp_ps(values, _mm256_setzero_ps(), _CMP_LT_OQ);
    return {_mm256_or_ps(_mm256_and_ps(above, _mm256_set1_ps(1)),
                         _mm256_and_ps(below, _mm256_set1_ps(-1)))};
  }

  PIXMIM_INLINE friend Vector operator+(Vector a, Vector b) {
    return {_mm256_add_ps(a.values, b.values)};
  }
  PIXMIM_INLINE friend Vector operator-(Vector a, Vector b) {
    return {_mm256_sub_ps(a.values, b.values)};
  }
  PIXMIM_INLINE friend Vector operator*(Vector a, Vector b) {
    return {_mm256_mul_ps(a.values, b.values)};
  }
  /// a * b + c, a * b - c
  PIXMIM_INLINE friend Vector multiply_add(Vector a, Vector b, Vector c) {
    return {_mm256_fmadd_ps(a.values, b.values, c.values)};
  }
  PIXMIM_INLINE friend Vector multiply_subtract(Vector a, Vector b, Vector c) {
    return {_mm256_fmsub_ps(a.values, b.values, c.values)};
  }
};

template <>
struct Vector<double> {
  static constexpr int64_t lanes = 4;
  static constexpr int registers = 16;
  __m256d values;

  PIXMIM_INLINE static Vector zero() { return {_mm256_setzero_pd()}; }
  PIXMIM_INLINE static Vector broadcast(double value) { return {_mm256_set1_pd(value)}; }
  PIXMIM_INLINE static Vector load(const double* from) { return {_mm256_loadu_pd(from)}; }
  PIXMIM_INLINE void store(double* to) const { _mm256_storeu_pd(to, values); }
  PIXMIM_INLINE Vector reversed() const {
    return {_mm256_permute4x64_pd(values, _MM_SHUFFLE(0, 1, 2, 3))};
  }
  PIXMIM_INLINE double sum() const {
    const __m128d two =
        _mm_add_pd(_mm256_castpd256_pd128(values), _mm256_extractf128_pd(values, 1));
    return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
  }
  PIXMIM_INLINE Vector square_root() const { return {_mm256_sqrt_pd(values)}; }
  PIXMIM_INLINE Vector sign() const {
    const __m256d above = _mm256_cmp_pd(values, _mm256_setzero_pd(), _CMP_GT_OQ);
    const __m256d below = _mm256_cmp_pd(values, _mm256_setzero_pd(), _CMP_LT_OQ);
    return {_mm256_or_pd(_mm256_and_pd(above, _mm256_set1_pd(1)),
                         _mm256_and_pd(below, _mm256_set1_pd(-1)))};
  }

  PIXMIM_INLINE friend Vector operator+(Vector a, Vector b) {
    return {_mm256_add_pd(a.values, b.values)};
  }
  PIXMIM_INLINE friend Vector operator-(Vector a, Vector b) {
    return {_mm256_sub_pd(a.values, b.values)};
  }
  PIXMIM_INLINE friend Vector operator*(Vector a, Vector b) {
    return {_mm256_mul_pd(a.values, b.values)};
  }
  PIXMIM_INLINE friend Vector multiply_add(Vector a, Vector b, Vector c) {
    return {_mm256_fmadd_pd(a.values, b.values, c.values)};
  }
  PIXMIM_INLINE friend Vector multiply_subtract(Vector a, Vector b, Vector c) {
    return {_mm256_fmsub_pd(a.values, b.values, c.values)};
  }
};

/// a[0], b[0], c[0], a[1], b[1], ..
PIXMIM_INLINE void store_interleaved(Vector<float> a, Vector<float> b, Vector<float> c, float* to) {
  // Lane l of register r holds number 8 r + l: of a, b, c by its rest modulo 3.
  const __m256i order[] = {_mm256_setr_epi32(0, 0, 0, 1, 1, 1, 2, 2),
                           _mm256_setr_epi32(2, 3, 3, 3, 4, 4, 4, 5),
                           _mm256_setr_epi32(5, 5, 6, 6, 6, 7, 7, 7)};
  const __m256 parts[3][3] = {
      {_mm256_permutevar8x32_ps(a.values, order[0]), _mm256_permutevar8x32_ps(b.values, order[0]),
       _mm256_permutevar8x32_ps(c.values, order[0])},
      {_mm256_permutevar8x32_ps(a.values, order[1]), _mm256_permutevar8x32_ps(b.values, order[1]),
       _mm256_permutevar8x32_ps(c.values, order[1])},
      {_mm256_permutevar8x32_ps(a.values, order[2]), _mm256_permutevar8x32_ps(b.values, order[2]),
       _mm256_permutevar8x32_ps(c.values, order[2])}};
  // Bits of the lanes that b and c fill.
  _mm256_storeu_ps(
      to, _mm256_blend_ps(_mm256_blend_ps(parts[0][0], parts[0][1], 0x92), parts[0][2], 0x24));
  _mm256_storeu_ps(
      to + 8, _mm256_blend_ps(_mm256_blend_ps(parts[1][0], parts[1][1], 0x24), parts[1][2], 0x49));
  _mm256_storeu_ps(
      to + 16, _mm256_blend_ps(_mm256_blend_ps(parts[2][0], parts[2][1], 0x49), parts[2][2], 0x92));
}
PIXMIM_INLINE void store_interleaved(Vector<double> a, Vector<double> b, Vector<double> c,
                                     double* to) {
  double numbers[3][Vector<double>::lanes];
  a.store(numbers[0]);
  b.store(numbers[1]);
  c.store(numbers[2]);
  interleave_lanes(numbers, to);
}

}  // namespace avx2
}  // namespace detail
}  // namespace v0
}  // namespace pixmim

#undef PIXMIM_INLINE
