// SPDX-License-Identifier: Apache-2.0
// 8 words of 32 bits.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "pixmim/detail/simd/attributes.hpp"

#define PIXMIM_INLINE PIXMIM_ALWAYS_INLINE PIXMIM_AVX2_TARGET

namespace pixmim {
inline namespace v0 {
namespace detail {
namespace avx2 {

struct Words {
  static constexpr int64_t lanes = 8;
  __m256i values;

  PIXMIM_INLINE static Words broadcast(uint32_t value) {
    return {_mm256_set1_epi32(static_cast<int>(value))};
  }
  /// first .. first + 7, in the order that `store_blocks` expects of its lanes.
  PIXMIM_INLINE static Words block_numbers(uint32_t first) {
    const __m256i order = _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7);
    return {_mm256_add_epi32(broadcast(first).values, order)};
  }
  /// The halves of the products with `factor`.
  PIXMIM_INLINE static void multiply(Words a, uint32_t factor, Words& low, Words& high) {
    constexpr int odd = 0xaa;
    const __m256i b = broadcast(factor).values;
    const __m256i even_products = _mm256_mul_epu32(a.values, b);
    const __m256i odd_products = _mm256_mul_epu32(_mm256_srli_epi64(a.values, 32), b);
    low.values = _mm256_blend_epi32(even_products, _mm256_slli_epi64(odd_products, 32), odd);
    high.values = _mm256_blend_epi32(_mm256_srli_epi64(even_products, 32), odd_products, odd);
  }
  PIXMIM_INLINE friend Words operator^(Words a, Words b) {
    return {_mm256_xor_si256(a.values, b.values)};
  }
  /// Block after block of a[i], b[i], c[i], d[i].
  PIXMIM_INLINE static void store_blocks(Words a, Words b, Words c, Words d, uint32_t* to) {
    const __m256i low_ab = _mm256_unpacklo_epi32(a.values, b.values);
    const __m256i high_ab = _mm256_unpackhi_epi32(a.values, b.values);
    const __m256i low_cd = _mm256_unpacklo_epi32(c.values, d.values);
    const __m256i high_cd = _mm256_unpackhi_epi32(c.values, d.values);
    auto* const results = reinterpret_cast<__m256i*>(to);
    _mm256_storeu_si256(results, _mm256_unpacklo_epi64(low_ab, low_cd));
    _mm256_storeu_si256(results + 1, _mm256_unpackhi_epi64(low_ab, low_cd));
    _mm256_storeu_si256(results + 2, _mm256_unpacklo_epi64(high_ab, high_cd));
    _mm256_storeu_si256(results + 3, _mm256_unpackhi_epi64(high_ab, high_cd));
  }
};

}  // namespace avx2
}  // namespace detail
}  // namespace v0
}  // namespace pixmim

#undef PIXMIM_INLINE
