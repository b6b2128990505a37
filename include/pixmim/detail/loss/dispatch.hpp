// SPDX-License-Identifier: Apache-2.0
// The kernels of the loss for this machine.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "pixmim/detail/loss/patch_kernels.hpp"
#include "pixmim/detail/simd/instruction_set.hpp"

#define PIXMIM_KERNELS "pixmim/detail/loss/kernels.inl"
#include "pixmim/detail/simd/multiversion.inl"

namespace pixmim {
inline namespace v0 {
namespace detail {

template <typename Scalar>
PatchKernels<Scalar> patch_kernels(c10::ScalarType prediction, c10::ScalarType target) {
  return PIXMIM_DISPATCH(pixel_loss::patch_kernels<Scalar>(prediction, target));
}

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
