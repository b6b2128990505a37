// SPDX-License-Identifier: Apache-2.0
// 16 words of 32 bits. The masked intrinsics have all lanes on: of the others GCC 12 says that they
// read uninitialised memory.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "pixmim/detail/simd/attributes.hpp"

#define PIXMIM_INLINE PIXMIM_ALWAYS_INLINE PIXMIM_AVX512_TARGET

namespace pixmim {
inline namespace v0 {
namespace detail {
namespace avx512 {

struct Words {
  static constexpr int64_t lanes = 16;
  __m512i values;

  PIXMIM_INLINE static Words broadcast(uint32_t value) {
    return {_mm512_set1_epi32(static_cast<int>(value))};
  }
  /// first .. first + 15, in the order that `store_blocks` expects of its lanes.
  PIXMIM_INLINE static Words block_numbers(uint32_t first) {
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    return {_mm512_add_epi32(broadcast(first).values, order)};
  }
  /// The halves of the products with `factor`.
  PIXMIM_INLINE static void multiply(Words a, uint32_t factor, Words& low, Words& high) {
    constexpr __mmask8 all = 0xff;
    constexpr __mmask16 odd = 0xaaaa;
    const __m512i b = broadcast(factor).values;
    const __m512i even_products = _mm512_maskz_mul_epu32(all, a.values, b);
    const __m512i odd_products =
        _mm512_maskz_mul_epu32(all, _mm512_maskz_srli_epi64(all, a.values, 32), b);
    low.values =
        _mm512_mask_mov_epi32(even_products, odd, _mm512_maskz_slli_epi64(all, odd_products, 32));
    high.values =
        _mm512_mask_mov_epi32(_mm512_maskz_srli_epi64(all, even_products, 32), odd, odd_products);
  }
  PIXMIM_INLINE friend Words operator^(Words a, Words b) {
    return {_mm512_xor_si512(a.values, b.values)};
  }
  /// Block after block of a[i], b[i], c[i], d[i].
  PIXMIM_INLINE static void store_blocks(Words a, Words b, Words c, Words d, uint32_t* to) {
    constexpr __mmask16 all = 0xffff;
    constexpr __mmask8 pairs = 0xff;
    const __m512i low_ab = _mm512_maskz_unpacklo_epi32(all, a.values, b.values);
    const __m512i high_ab = _mm512_maskz_unpackhi_epi32(all, a.values, b.values);
    const __m512i low_cd = _mm512_maskz_unpacklo_epi32(all, c.values, d.values);
    const __m512i high_cd = _mm512_maskz_unpackhi_epi32(all, c.values, d.values);
    _mm512_storeu_si512(to, _mm512_maskz_unpacklo_epi64(pairs, low_ab, low_cd));
    _mm512_storeu_si512(to + 16, _mm512_maskz_unpackhi_epi64(pairs, low_ab, low_cd));
    _mm512_storeu_si512(to + 32, _mm512_maskz_unpacklo_epi64(pairs, high_ab, high_cd));
    _mm512_storeu_si512(to + 48, _mm512_maskz_unpackhi_epi64(pairs, high_ab, high_cd));
  }
};

}  // namespace avx512
}  // namespace detail
}  // namespace v0
}  // namespace pixmim

#undef PIXMIM_INLINE
