// SPDX-License-Identifier: Apache-2.0
// What registers without an instruction for it do number by number.
#pragma once

#include <cstdint>

#include "pixmim/detail/simd/attributes.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {

template <typename Scalar, int64_t lanes>
PIXMIM_ALWAYS_INLINE Scalar sum_of_lanes(const Scalar (&numbers)[lanes]) {
  Scalar total = 0;
  PIXMIM_UNROLL
  for (int64_t i = 0; i < lanes; ++i) total += numbers[i];
  return total;
}

/// numbers[0][0], numbers[1][0], numbers[2][0], numbers[0][1], ..
template <typename Scalar, int64_t lanes>
PIXMIM_ALWAYS_INLINE void interleave_lanes(const Scalar (&numbers)[3][lanes], Scalar* to) {
  PIXMIM_UNROLL
  for (int64_t i = 0; i < lanes; ++i) {
    for (int64_t source = 0; source < 3; ++source) to[3 * i + source] = numbers[source][i];
  }
}

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
