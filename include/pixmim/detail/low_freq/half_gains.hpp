// SPDX-License-Identifier: Apache-2.0
// The half of a table of gains that a real transform needs.
#pragma once

#include <ATen/core/Tensor.h>

namespace pixmim {
inline namespace v0 {
namespace detail {

/// `gain` [H,W] at -f.
inline at::Tensor mirrored(const at::Tensor& gain) {
  return gain.flip({0, 1}).roll({1, 1}, {0, 1});
}

inline at::Tensor half_of(const at::Tensor& gain) {
  return gain.narrow(1, 0, gain.size(1) / 2 + 1).contiguous();
}

/// [H,W/2+1]. The real part of the inverse depends on the mean of the gains at f and -f only, which is
/// what makes one half enough for any filter.
inline at::Tensor real_half(const at::Tensor& gain) {
  return half_of(gain.add(mirrored(gain)).mul_(0.5));
}

/// [H,W/2+1]. Half the difference, times i, makes the imaginary part.
inline at::Tensor imaginary_half(const at::Tensor& gain) {
  return half_of(gain.sub(mirrored(gain)).mul_(0.5));
}

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
