// SPDX-License-Identifier: Apache-2.0
// Registers of 64 bytes. Some intrinsics are the masked ones with all lanes on: of the others GCC 12
// says that they read uninitialised memory.
#pragma once

#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>
#include <immintrin.h>

#include <cfloat>
#include <cstdint>
#include <limits>

#include "pixmim/detail/simd/attributes.hpp"
#include "pixmim/detail/simd/lanes.hpp"

#define PIXMIM_INLINE PIXMIM_ALWAYS_INLINE PIXMIM_AVX512_TARGET

namespace pixmim {
inline namespace v0 {
namespace detail {
namespace avx512 {

template <typename Scalar>
struct Vector;

constexpr __mmask16 all = 0xffff;

template <>
struct Vector<float> {
  static constexpr int64_t lanes = 16;
  /// Registers that a kernel may fill.
  static constexpr int registers = 32;
  __m512 values;

  PIXMIM_INLINE static Vector zero() { return {_mm512_setzero_ps()}; }
  PIXMIM_INLINE static Vector broadcast(float value) { return {_mm512_set1_ps(value)}; }

  PIXMIM_INLINE static Vector load(const float* from) { return {_mm512_loadu_ps(from)}; }
  PIXMIM_INLINE static Vector load(const uint8_t* from) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    return {_mm512_maskz_cvtepi32_ps(all, _mm512_maskz_cvtepu8_epi32(all, bytes))};
  }
  PIXMIM_INLINE static Vector load(const c10::Half* from) {
    return {_mm512_maskz_cvtph_ps(all, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)))};
  }
  PIXMIM_INLINE static Vector load(const c10::BFloat16* from) {
    const __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
    return {_mm512_castsi512_ps(
        _mm512_maskz_slli_epi32(all, _mm512_maskz_cvtepu16_epi32(all, halves), 16))};
  }

  PIXMIM_INLINE void store(float* to) const { _mm512_storeu_ps(to, values); }
  PIXMIM_INLINE void store(c10::Half* to) const {
    _mm256_storeu_si256(
        reinterpret_cast<__m256i*>(to),
        _mm512_maskz_cvtps_ph(all, values, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
  PIXMIM_INLINE void store(c10::BFloat16* to) const {
    // To the nearest, ties to even; what is not a number becomes the one quiet NaN.
    const __m512i bits = _mm512_castps_si512(values);
    const __m512i odd =
        _mm512_and_si512(_mm512_maskz_srli_epi32(all, bits, 16), _mm512_set1_epi32(1));
    const __m512i rounded =
        _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    const __mmask16 is_nan = _mm512_cmp_ps_mask(values, values, _CMP_UNORD_Q);
    const __m512i shifted = _mm512_maskz_srli_epi32(all, rounded, 16);
    const __m512i result = _mm512_mask_mov_epi32(shifted, is_nan, _mm512_set1_epi32(0x7fc0));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm512_maskz_cvtepi32_epi16(all, result));
  }

  /// The lanes in the opposite order.
  PIXMIM_INLINE Vector reversed() const {
    const __m512i order = _mm512_setr_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    return {_mm512_maskz_permutexvar_ps(all, order, values)};
  }
  PIXMIM_INLINE float sum() const {
    const __m256 eight = _mm256_add_ps(_mm512_maskz_extractf32x8_ps(0xff, values, 0),
                                       _mm512_maskz_extractf32x8_ps(0xff, values, 1));
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
  }
  PIXMIM_INLINE Vector square_root() const {
    // An estimate of 14 bits and a step of Newton's: half the time of the exact instruction.
    const __m512 estimate =
        _mm512_maskz_rsqrt14_ps(all, _mm512_maskz_max_ps(all, values, _mm512_set1_ps(FLT_MIN)));
    const __m512 root = _mm512_mul_ps(values, estimate);
    const __m512 half_estimate = _mm512_mul_ps(estimate, _mm512_set1_ps(0.5F));
    const __m512 better =
        _mm512_fmadd_ps(_mm512_fnmadd_ps(root, root, values), half_estimate, root);
    // The root of infinity is not a number then.
    const __m512 infinity = _mm512_set1_ps(std::numeric_limits<float>::infinity());
    const __mmask16 infinite = _mm512_cmp_ps_mask(values, infinity, _CMP_EQ_OQ);
    return {_mm512_mask_mov_ps(better, infinite, values)};
  }
  /// -1, 0 or 1; 0 for what is not a number.
  PIXMIM_INLINE Vector sign() const {
    const __mmask16 above = _mm512_cmp_ps_mask(values, _mm512_setzero_ps(), _CMP_GT_OQ);
    const __mmask16 below = _mm512_cmp_ps_mask(values, _mm512_setzero_ps(), _CMP_LT_OQ);
    return {_mm512_mask_mov_ps(_mm512_maskz_mov_ps(above, _mm512_set1_ps(1)), below,
                               _mm512_set1_ps(-1))};
  }

  PIXMIM_INLINE friend Vector operator+(Vector a, Vector b) {
    return {_mm512_add_ps(a.values, b.values)};
  }
  PIXMIM_INLINE friend Vector operator-(Vector a, Vector b) {
    return {_mm512_sub_ps(a.values, b.values)};
  }
  PIXMIM_INLINE friend Vector operator*(Vector a, Vector b) {
    return {_mm512_mul_ps(a.values, b.values)};
  }
  /// a * b + c, a * b - c
  PIXMIM_INLINE friend Vector multiply_add(Vector a, Vector b, Vector c) {
    return {_mm512_fmadd_ps(a.values, b.values, c.values)};
  }
  PIXMIM_INLINE friend Vector multiply_subtract(Vector a, Vector b, Vector c) {
    return {_mm512_fmsub_ps(a.values, b.values, c.values)};
  }
};

template <>
struct Vector<double> {
  static constexpr int64_t lanes = 8;
  static constexpr int registers = 32;
  __m512d values;

  PIXMIM_INLINE static Vector zero() { return {_mm512_setzero_pd()}; }
  PIXMIM_INLINE static Vector broadcast(double value) { return {_mm512_set1_pd(value)}; }
  PIXMIM_INLINE static Vector load(const double* from) { return {_mm512_loadu_pd(from)}; }
  PIXMIM_INLINE void store(double* to) const { _mm512_storeu_pd(to, values); }
  PIXMIM_INLINE Vector reversed() const {
    return {_mm512_maskz_permutexvar_pd(0xff, _mm512_setr_epi64(7, 6, 5, 4, 3, 2, 1, 0), values)};
  }
  PIXMIM_INLINE double sum() const {
    double numbers[lanes];
    store(numbers);
    return sum_of_lanes(numbers);
  }
  PIXMIM_INLINE Vector square_root() const { return {_mm512_maskz_sqrt_pd(0xff, values)}; }
  PIXMIM_INLINE Vector sign() const {
    const __mmask8 above = _mm512_cmp_pd_mask(values, _mm512_setzero_pd(), _CMP_GT_OQ);
    const __mmask8 below = _mm512_cmp_pd_mask(values, _mm512_setzero_pd(), _CMP_LT_OQ);
    return {_mm512_mask_mov_pd(_mm512_maskz_mov_pd(above, _mm512_set1_pd(1)), below,
                               _mm512_set1_pd(-1))};
  }

  PIXMIM_INLINE friend Vector operator+(Vector a, Vector b) {
    return {_mm512_add_pd(a.values, b.values)};
  }
  PIXMIM_INLINE friend Vector operator-(Vector a, Vector b) {
    return {_mm512_sub_pd(a.values, b.values)};
  }
  PIXMIM_INLINE friend Vector operator*(Vector a, Vector b) {
    return {_mm512_mul_pd(a.values, b.values)};
  }
  PIXMIM_INLINE friend Vector multiply_add(Vector a, Vector b, Vector c) {
    return {_mm512_fmadd_pd(a.values, b.values, c.values)};
  }
  PIXMIM_INLINE friend Vector multiply_subtract(Vector a, Vector b, Vector c) {
    return {_mm512_fmsub_pd(a.values, b.values, c.values)};
  }
};

/// a[0], b[0], c[0], a[1], b[1], ..
PIXMIM_INLINE void store_interleaved(Vector<float> a, Vector<float> b, Vector<float> c, float* to) {
  // Lane l of register r holds number 16 r + l: of a, b, c by its rest modulo 3. Indices from 16 on
  // are the second source's.
  const __m512i ab[] = {
      _mm512_setr_epi32(0, 16, 0, 1, 17, 0, 2, 18, 0, 3, 19, 0, 4, 20, 0, 5),
      _mm512_setr_epi32(21, 0, 6, 22, 0, 7, 23, 0, 8, 24, 0, 9, 25, 0, 10, 26),
      _mm512_setr_epi32(0, 11, 27, 0, 12, 28, 0, 13, 29, 0, 14, 30, 0, 15, 31, 0)};
  const __m512i with_c[] = {
      _mm512_setr_epi32(0, 1, 16, 3, 4, 17, 6, 7, 18, 9, 10, 19, 12, 13, 20, 15),
      _mm512_setr_epi32(0, 21, 2, 3, 22, 5, 6, 23, 8, 9, 24, 11, 12, 25, 14, 15),
      _mm512_setr_epi32(26, 1, 2, 27, 4, 5, 28, 7, 8, 29, 10, 11, 30, 13, 14, 31)};
  PIXMIM_UNROLL
  for (int r = 0; r < 3; ++r) {
    const __m512 two = _mm512_permutex2var_ps(a.values, ab[r], b.values);
    _mm512_storeu_ps(to + 16 * r, _mm512_permutex2var_ps(two, with_c[r], c.values));
  }
}
PIXMIM_INLINE void store_interleaved(Vector<double> a, Vector<double> b, Vector<double> c,
                                     double* to) {
  double numbers[3][Vector<double>::lanes];
  a.store(numbers[0]);
  b.store(numbers[1]);
  c.store(numbers[2]);
  interleave_lanes(numbers, to);
}

}  // namespace avx512
}  // namespace detail
}  // namespace v0
}  // namespace pixmim

#undef PIXMIM_INLINE
