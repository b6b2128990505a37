// SPDX-License-Identifier: Apache-2.0
// Registers of 32 bytes.
#pragma once

#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>
#include <immintrin.h>

#include <cfloat>
#include <cstdint>

#include "pixmim/detail/simd/attributes.hpp"

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
  PIXMIM_INLINE Vector square_root() const {
    // An estimate of 12 bits and a step of Newton's: faster than the exact instruction.
    const __m256 estimate = _mm256_rsqrt_ps(_mm256_max_ps(values, _mm256_set1_ps(FLT_MIN)));
    const __m256 root = _mm256_mul_ps(values, estimate);
    const __m256 half_estimate = _mm256_mul_ps(estimate, _mm256_set1_ps(0.5F));
    return {_mm256_fmadd_ps(_mm256_fnmadd_ps(root, root, values), half_estimate, root)};
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
  PIXMIM_INLINE Vector square_root() const { return {_mm256_sqrt_pd(values)}; }

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

}  // namespace avx2
}  // namespace detail
}  // namespace v0
}  // namespace pixmim

#undef PIXMIM_INLINE
