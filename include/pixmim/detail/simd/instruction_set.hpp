// SPDX-License-Identifier: Apache-2.0
// Which instructions the kernels use on this machine.
#pragma once

#include <ATen/Version.h>

#include <string>

#include "pixmim/detail/simd/attributes.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {

enum class InstructionSet { Portable, Avx2, Avx512 };

/// The widest that the machine has, as LibTorch found it: ATEN_CPU_CAPABILITY=avx2 or =default
/// narrows it for LibTorch and for this library alike.
inline InstructionSet instruction_set() {
  static const InstructionSet found = [] {
    const std::string capability = PIXMIM_X86_DISPATCH != 0 ? at::get_cpu_capability() : "";
    if (capability == "AVX512") return InstructionSet::Avx512;
    if (capability == "AVX2") return InstructionSet::Avx2;
    return InstructionSet::Portable;
  }();
  return found;
}

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
