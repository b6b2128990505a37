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
PatchKernels<Scalar> patch_kernels(c10::ScalarType prediction, const TargetPatches& target) {
  auto result = PIXMIM_DISPATCH(pixel_loss::patch_kernels<Scalar>(prediction, target.dtype));
#if PIXMIM_X86_DISPATCH
  // Rows that are shorter than a register are copied value by value: a shorter register is faster.
  if (instruction_set() == InstructionSet::Avx512 &&
      target.columns < avx512::Vector<Scalar>::lanes) {
    result.gather = avx2::pixel_loss::patch_kernels<Scalar>(prediction, target.dtype).gather;
  }
#endif
  return result;
}

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
