// SPDX-License-Identifier: Apache-2.0
// Sums of bytes by weights in registers of four numbers: SSE2, NEON, or what the compiler has.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "pixmim/detail/crop/taps.hpp"
#include "pixmim/detail/simd/attributes.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {
namespace portable {

/// Rows that `PixelBytes` holds, and bytes of a row that `interleave` reads.
constexpr int64_t rows_at_once = 1;
constexpr int64_t bytes_at_once = 16;

/// Four 32-bit numbers.
struct FourNumbers {
#if defined(__GNUC__) || defined(__clang__)
  typedef int32_t Register __attribute__((vector_size(16)));
  Register values;

  PIXMIM_ALWAYS_INLINE static FourNumbers load(const uint8_t* from) {
    typedef uint8_t Bytes __attribute__((vector_size(4)));
    Bytes bytes;
    std::memcpy(&bytes, from, sizeof bytes);
    return {__builtin_convertvector(bytes, Register)};
  }
  PIXMIM_ALWAYS_INLINE static FourNumbers broadcast(int32_t value) {
    return {value + Register{}};
  }
  PIXMIM_ALWAYS_INLINE void add_product(FourNumbers numbers, int32_t weight) {
    values += numbers.values * weight;
  }
  /// The bytes that sums of weighted bytes make: 0..255.
  PIXMIM_ALWAYS_INLINE void store_rounded(uint8_t* to) const {
    const Register shifted = values >> weight_bits;
    const Register not_negative = shifted & ~(shifted >> 31);
    const Register too_large = (255 - not_negative) >> 31;
    typedef uint8_t Bytes __attribute__((vector_size(4)));
    const Bytes bytes = __builtin_convertvector(not_negative | too_large, Bytes);
    std::memcpy(to, &bytes, sizeof bytes);
  }
#else
  int32_t values[4];

  static FourNumbers load(const uint8_t* from) {
    return {{from[0], from[1], from[2], from[3]}};
  }
  static FourNumbers broadcast(int32_t value) {
    return {{value, value, value, value}};
  }
  void add_product(FourNumbers numbers, int32_t weight) {
    for (int i = 0; i < 4; ++i) values[i] += numbers.values[i] * weight;
  }
  void store_rounded(uint8_t* to) const {
    for (int i = 0; i < 4; ++i) {
      to[i] = static_cast<uint8_t>(std::clamp(values[i] >> weight_bits, 0, 255));
    }
  }
#endif
};

/// Pairs of bytes.
struct BytePairs {
  FourNumbers first;
  FourNumbers second;
};

/// Sums of weighted bytes, of each pair one.
struct WeightedSums {
  FourNumbers sums;

  PIXMIM_ALWAYS_INLINE static WeightedSums zero() {
    // Half of what the shift by weight_bits drops.
    return {FourNumbers::broadcast(whole_weight / 2)};
  }
  PIXMIM_ALWAYS_INLINE void add(BytePairs bytes, const WeightPair& weights) {
    sums.add_product(bytes.first, weights.weight(0));
    sums.add_product(bytes.second, weights.weight(1));
  }
};

/// Four pixels of `stride` bytes.
struct PixelBytes {
  const uint8_t* bytes;

  PIXMIM_ALWAYS_INLINE static PixelBytes load(const uint8_t* const* rows, int64_t offset) {
    return {rows[0] + offset};
  }
  /// Pixels 2 * which and 2 * which + 1: a pair of each channel.
  template <int stride, int which>
  PIXMIM_ALWAYS_INLINE BytePairs pair() const {
    return {FourNumbers::load(bytes + 2 * which * stride),
            FourNumbers::load(bytes + (2 * which + 1) * stride)};
  }
};

/// Stores 16 columns, of which four are made by each of `sums[0]` .. `sums[3]`: channel c goes to
/// `lines[c]`.
PIXMIM_ALWAYS_INLINE void store_columns(const WeightedSums (&sums)[4][4], uint8_t* const* lines,
                                        int64_t column) {
  uint8_t bytes[16][4];
  PIXMIM_UNROLL
  for (int i = 0; i < 16; ++i) sums[i / 4][i % 4].sums.store_rounded(bytes[i]);
  for (int channel = 0; channel < 4; ++channel) {
    for (int i = 0; i < 16; ++i) lines[channel][column + i] = bytes[i][channel];
  }
}

/// Each byte of `a` beside that of `b`.
PIXMIM_ALWAYS_INLINE void interleave(const uint8_t* a, const uint8_t* b, BytePairs (&pairs)[4]) {
  for (int i = 0; i < 4; ++i)
    pairs[i] = {FourNumbers::load(a + 4 * i), FourNumbers::load(b + 4 * i)};
}

/// Stores what the sums of `interleave`d pairs make.
PIXMIM_ALWAYS_INLINE void store_bytes(const WeightedSums (&sums)[4], uint8_t* to) {
  PIXMIM_UNROLL
  for (int i = 0; i < 4; ++i) sums[i].sums.store_rounded(to + 4 * i);
}

}  // namespace portable
}  // namespace detail
}  // namespace v0
}  // namespace pixmim
