// SPDX-License-Identifier: Apache-2.0
// 4 words of 32 bits, one by one: their steps do not wait for each other.
#pragma once

#include <cstdint>

#include "pixmim/detail/simd/attributes.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {
namespace portable {

struct Words {
  static constexpr int64_t lanes = 4;
  uint32_t values[lanes];

  PIXMIM_ALWAYS_INLINE static Words broadcast(uint32_t value) {
    return {{value, value, value, value}};
  }
  /// first .. first + 3, in the order that `store_blocks` expects of its lanes.
  PIXMIM_ALWAYS_INLINE static Words block_numbers(uint32_t first) {
    return {{first, first + 1, first + 2, first + 3}};
  }
  /// The halves of the products with `factor`.
  PIXMIM_ALWAYS_INLINE static void multiply(Words a, uint32_t factor, Words& low, Words& high) {
    PIXMIM_UNROLL
    for (int64_t i = 0; i < lanes; ++i) {
      const uint64_t product = static_cast<uint64_t>(a.values[i]) * factor;
      low.values[i] = static_cast<uint32_t>(product);
      high.values[i] = static_cast<uint32_t>(product >> 32);
    }
  }
  PIXMIM_ALWAYS_INLINE friend Words operator^(Words a, Words b) {
    PIXMIM_UNROLL
    for (int64_t i = 0; i < lanes; ++i) a.values[i] ^= b.values[i];
    return a;
  }
  /// Block after block of a[i], b[i], c[i], d[i].
  PIXMIM_ALWAYS_INLINE static void store_blocks(Words a, Words b, Words c, Words d, uint32_t* to) {
    PIXMIM_UNROLL
    for (int64_t i = 0; i < lanes; ++i) {
      to[4 * i] = a.values[i];
      to[4 * i + 1] = b.values[i];
      to[4 * i + 2] = c.values[i];
      to[4 * i + 3] = d.values[i];
    }
  }
};

}  // namespace portable
}  // namespace detail
}  // namespace v0
}  // namespace pixmim
