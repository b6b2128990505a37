// SPDX-License-Identifier: Apache-2.0
// Sums of bytes by weights in registers of 32 bytes: two rows of pixels side by side.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "pixmim/detail/crop/taps.hpp"
#include "pixmim/detail/simd/attributes.hpp"

#define PIXMIM_INLINE PIXMIM_ALWAYS_INLINE PIXMIM_AVX2_TARGET

namespace pixmim {
inline namespace v0 {
namespace detail {
namespace avx2 {

/// Rows that `PixelBytes` holds, and bytes of a row that `interleave` reads.
constexpr int64_t rows_at_once = 2;
constexpr int64_t bytes_at_once = 32;

/// Pairs of bytes, each byte in 16 bits.
struct BytePairs {
  __m256i words;
};

/// Sums of weighted bytes, of each pair one.
struct WeightedSums {
  __m256i high;
  __m256i low;

  PIXMIM_INLINE static WeightedSums zero() {
    // Half of what the shift by weight_bits drops.
    return {_mm256_setzero_si256(), _mm256_set1_epi32(whole_weight / 2)};
  }
  PIXMIM_INLINE void add(BytePairs bytes, const WeightPair& weights) {
    high = add_products(high, bytes, weights.high);
    low = add_products(low, bytes, weights.low);
  }
  PIXMIM_INLINE static __m256i add_products(__m256i sums, BytePairs bytes,
                                            const int16_t (&digits)[2]) {
    // Read from memory right into all lanes: out of a general register it would cost a shuffle.
    int32_t both;
    __builtin_memcpy(&both, digits, sizeof both);
    return _mm256_add_epi32(sums, _mm256_madd_epi16(bytes.words, _mm256_set1_epi32(both)));
  }
  PIXMIM_INLINE __m256i rounded() const {
    const __m256i sum = _mm256_add_epi32(_mm256_slli_epi32(high, WeightPair::digit_bits), low);
    return _mm256_srai_epi32(sum, weight_bits);
  }
};

/// The sums as bytes, 0..255, in the order of the sums.
PIXMIM_INLINE __m256i to_bytes(const WeightedSums (&sums)[4]) {
  return _mm256_packus_epi16(_mm256_packs_epi32(sums[0].rounded(), sums[1].rounded()),
                             _mm256_packs_epi32(sums[2].rounded(), sums[3].rounded()));
}

/// 16 bytes of each of `rows_at_once` rows: four pixels of `stride` bytes.
struct PixelBytes {
  __m256i bytes;

  PIXMIM_INLINE static __m128i row(const uint8_t* pixels) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(pixels));
  }
  PIXMIM_INLINE static PixelBytes load(const uint8_t* const* rows, int64_t offset) {
    return {_mm256_inserti128_si256(_mm256_castsi128_si256(row(rows[0] + offset)),
                                    row(rows[1] + offset), 1)};
  }
  /// Pixels 2 * which and 2 * which + 1: a pair of each channel.
  template <int stride, int which>
  PIXMIM_INLINE BytePairs pair() const {
    constexpr char a = 2 * which * stride;
    constexpr char b = a + stride;
    constexpr char last = stride == 4 ? 3 : -1 - b;  // a fourth channel, or none: zero
    const __m128i order = _mm_setr_epi8(a, -1, b, -1, a + 1, -1, b + 1, -1, a + 2, -1, b + 2, -1,
                                        a + last, -1, b + last, -1);
    return {_mm256_shuffle_epi8(bytes, _mm256_broadcastsi128_si256(order))};
  }
};

/// Four pixels of each row, with their channels apart.
PIXMIM_INLINE __m256i channels_apart(__m256i pixels) {
  const __m128i order = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  return _mm256_shuffle_epi8(pixels, _mm256_broadcastsi128_si256(order));
}

/// 16 columns of one channel, of row r to `lines[4 * r]`.
PIXMIM_INLINE void store_channel(__m256i values, uint8_t* const* lines, int64_t column) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(lines[0] + column), _mm256_castsi256_si128(values));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(lines[4] + column),
                   _mm256_extracti128_si256(values, 1));
}

/// Stores 16 columns, of which four are made by each of `sums[0]` .. `sums[3]`: channel c of row r
/// goes to `lines[4 * r + c]`.
PIXMIM_INLINE void store_columns(const WeightedSums (&sums)[4][4], uint8_t* const* lines,
                                 int64_t column) {
  const __m256i a = channels_apart(to_bytes(sums[0]));
  const __m256i b = channels_apart(to_bytes(sums[1]));
  const __m256i c = channels_apart(to_bytes(sums[2]));
  const __m256i d = channels_apart(to_bytes(sums[3]));
  const __m256i ab_low = _mm256_unpacklo_epi32(a, b);
  const __m256i ab_high = _mm256_unpackhi_epi32(a, b);
  const __m256i cd_low = _mm256_unpacklo_epi32(c, d);
  const __m256i cd_high = _mm256_unpackhi_epi32(c, d);
  store_channel(_mm256_unpacklo_epi64(ab_low, cd_low), lines, column);
  store_channel(_mm256_unpackhi_epi64(ab_low, cd_low), lines + 1, column);
  store_channel(_mm256_unpacklo_epi64(ab_high, cd_high), lines + 2, column);
  store_channel(_mm256_unpackhi_epi64(ab_high, cd_high), lines + 3, column);
}

/// Each byte of `a` beside that of `b`.
PIXMIM_INLINE void interleave(const uint8_t* a, const uint8_t* b, BytePairs (&pairs)[4]) {
  const __m256i zero = _mm256_setzero_si256();
  const __m256i from_a = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(a));
  const __m256i from_b = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b));
  const __m256i low = _mm256_unpacklo_epi8(from_a, from_b);
  const __m256i high = _mm256_unpackhi_epi8(from_a, from_b);
  pairs[0] = {_mm256_unpacklo_epi8(low, zero)};
  pairs[1] = {_mm256_unpackhi_epi8(low, zero)};
  pairs[2] = {_mm256_unpacklo_epi8(high, zero)};
  pairs[3] = {_mm256_unpackhi_epi8(high, zero)};
}

/// Stores what the sums of `interleave`d pairs make.
PIXMIM_INLINE void store_bytes(const WeightedSums (&sums)[4], uint8_t* to) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), to_bytes(sums));
}

}  // namespace avx2
}  // namespace detail
}  // namespace v0
}  // namespace pixmim

#undef PIXMIM_INLINE
