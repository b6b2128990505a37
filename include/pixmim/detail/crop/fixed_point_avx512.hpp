// SPDX-License-Identifier: Apache-2.0
// Sums of bytes by weights in registers of 64 bytes: four rows of pixels side by side.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "pixmim/detail/crop/taps.hpp"
#include "pixmim/detail/simd/attributes.hpp"

#define PIXMIM_INLINE PIXMIM_ALWAYS_INLINE PIXMIM_AVX512_TARGET

namespace pixmim {
inline namespace v0 {
namespace detail {
namespace avx512 {

/// Rows that `PixelBytes` holds, and bytes of a row that `interleave` reads.
constexpr int64_t rows_at_once = 4;
constexpr int64_t bytes_at_once = 64;

/// Pairs of bytes, each byte in 16 bits.
struct BytePairs {
  __m512i words;
};

/// Sums of weighted bytes, of each pair one.
struct WeightedSums {
  __m512i high;
  __m512i low;

  PIXMIM_INLINE static WeightedSums zero() {
    // Half of what the shift by weight_bits drops.
    return {_mm512_setzero_si512(), _mm512_set1_epi32(whole_weight / 2)};
  }
  PIXMIM_INLINE void add(BytePairs bytes, const WeightPair& weights) {
    high = add_products(high, bytes, weights.high);
    low = add_products(low, bytes, weights.low);
  }
  PIXMIM_INLINE static __m512i add_products(__m512i sums, BytePairs bytes,
                                            const int16_t (&digits)[2]) {
    // Read from memory right into all lanes: out of a general register it would cost a shuffle.
    int32_t both;
    __builtin_memcpy(&both, digits, sizeof both);
    return _mm512_add_epi32(sums, _mm512_madd_epi16(bytes.words, _mm512_set1_epi32(both)));
  }
  PIXMIM_INLINE __m512i rounded() const {
    // All lanes are kept: GCC 12 warns about the forms without a mask.
    constexpr __mmask16 all = 0xffff;
    const __m512i sum =
        _mm512_add_epi32(_mm512_maskz_slli_epi32(all, high, WeightPair::digit_bits), low);
    return _mm512_maskz_srai_epi32(all, sum, weight_bits);
  }
};

/// The sums as bytes, 0..255, in the order of the sums.
PIXMIM_INLINE __m512i to_bytes(const WeightedSums (&sums)[4]) {
  return _mm512_packus_epi16(_mm512_packs_epi32(sums[0].rounded(), sums[1].rounded()),
                             _mm512_packs_epi32(sums[2].rounded(), sums[3].rounded()));
}

/// 16 bytes of each of `rows_at_once` rows: four pixels of `stride` bytes.
struct PixelBytes {
  __m512i bytes;

  PIXMIM_INLINE static __m128i row(const uint8_t* pixels) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(pixels));
  }
  PIXMIM_INLINE static PixelBytes load(const uint8_t* const* rows, int64_t offset) {
    const __m256i first = _mm256_inserti128_si256(_mm256_castsi128_si256(row(rows[0] + offset)),
                                                  row(rows[1] + offset), 1);
    const __m256i second = _mm256_inserti128_si256(_mm256_castsi128_si256(row(rows[2] + offset)),
                                                   row(rows[3] + offset), 1);
    return {_mm512_maskz_inserti64x4(0xff, _mm512_castsi256_si512(first), second, 1)};
  }
  /// Pixels 2 * which and 2 * which + 1: a pair of each channel.
  template <int stride, int which>
  PIXMIM_INLINE BytePairs pair() const {
    constexpr char a = 2 * which * stride;
    constexpr char b = a + stride;
    constexpr char last = stride == 4 ? 3 : -1 - b;  // a fourth channel, or none: zero
    const __m128i order = _mm_setr_epi8(a, -1, b, -1, a + 1, -1, b + 1, -1, a + 2, -1, b + 2, -1,
                                        a + last, -1, b + last, -1);
    return {_mm512_shuffle_epi8(bytes, _mm512_maskz_broadcast_i32x4(0xffff, order))};
  }
};

/// Four pixels of each row, with their channels apart.
PIXMIM_INLINE __m512i channels_apart(__m512i pixels) {
  const __m128i order = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  return _mm512_shuffle_epi8(pixels, _mm512_maskz_broadcast_i32x4(0xffff, order));
}

/// 16 columns of one channel, of row r to `lines[4 * r]`.
PIXMIM_INLINE void store_channel(__m512i values, uint8_t* const* lines, int64_t column) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(lines[0] + column),
                   _mm512_maskz_extracti32x4_epi32(0xf, values, 0));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(lines[4] + column),
                   _mm512_maskz_extracti32x4_epi32(0xf, values, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(lines[8] + column),
                   _mm512_maskz_extracti32x4_epi32(0xf, values, 2));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(lines[12] + column),
                   _mm512_maskz_extracti32x4_epi32(0xf, values, 3));
}

/// Stores 16 columns, of which four are made by each of `sums[0]` .. `sums[3]`: channel c of row r
/// goes to `lines[4 * r + c]`.
PIXMIM_INLINE void store_columns(const WeightedSums (&sums)[4][4], uint8_t* const* lines,
                                 int64_t column) {
  const __m512i a = channels_apart(to_bytes(sums[0]));
  const __m512i b = channels_apart(to_bytes(sums[1]));
  const __m512i c = channels_apart(to_bytes(sums[2]));
  const __m512i d = channels_apart(to_bytes(sums[3]));
  const __m512i ab_low = _mm512_maskz_unpacklo_epi32(0xffff, a, b);
  const __m512i ab_high = _mm512_maskz_unpackhi_epi32(0xffff, a, b);
  const __m512i cd_low = _mm512_maskz_unpacklo_epi32(0xffff, c, d);
  const __m512i cd_high = _mm512_maskz_unpackhi_epi32(0xffff, c, d);
  store_channel(_mm512_maskz_unpacklo_epi64(0xff, ab_low, cd_low), lines, column);
  store_channel(_mm512_maskz_unpackhi_epi64(0xff, ab_low, cd_low), lines + 1, column);
  store_channel(_mm512_maskz_unpacklo_epi64(0xff, ab_high, cd_high), lines + 2, column);
  store_channel(_mm512_maskz_unpackhi_epi64(0xff, ab_high, cd_high), lines + 3, column);
}

/// Each byte of `a` beside that of `b`.
PIXMIM_INLINE void interleave(const uint8_t* a, const uint8_t* b, BytePairs (&pairs)[4]) {
  const __m512i zero = _mm512_setzero_si512();
  const __m512i from_a = _mm512_loadu_si512(reinterpret_cast<const __m512i*>(a));
  const __m512i from_b = _mm512_loadu_si512(reinterpret_cast<const __m512i*>(b));
  const __m512i low = _mm512_unpacklo_epi8(from_a, from_b);
  const __m512i high = _mm512_unpackhi_epi8(from_a, from_b);
  pairs[0] = {_mm512_unpacklo_epi8(low, zero)};
  pairs[1] = {_mm512_unpackhi_epi8(low, zero)};
  pairs[2] = {_mm512_unpacklo_epi8(high, zero)};
  pairs[3] = {_mm512_unpackhi_epi8(high, zero)};
}

/// Stores what the sums of `interleave`d pairs make.
PIXMIM_INLINE void store_bytes(const WeightedSums (&sums)[4], uint8_t* to) {
  _mm512_storeu_si512(reinterpret_cast<__m512i*>(to), to_bytes(sums));
}

}  // namespace avx512
}  // namespace detail
}  // namespace v0
}  // namespace pixmim

#undef PIXMIM_INLINE
