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
#if PIXMIM_X86_DISPATCH
    const std::string capability = at::get_cpu_capability();
    if (capability == "AVX512") return InstructionSet::Avx512;
    if (capability == "AVX2") return InstructionSet::Avx2;
#endif
    return InstructionSet::Portable;
  }();
  return found;
}

}  // namespace detail
}  // namespace v0
}  // namespace pixmim

/// What follows, as compiled for this machine's instructions: PIXMIM_DISPATCH(function(arguments)).
#if PIXMIM_X86_DISPATCH
#define PIXMIM_DISPATCH(...)                           \
  [&] {                                                \
    switch (::pixmim::detail::instruction_set()) {     \
      case ::pixmim::detail::InstructionSet::Avx512:   \
        return avx512::__VA_ARGS__;                    \
      case ::pixmim::detail::InstructionSet::Avx2:     \
        return avx2::__VA_ARGS__;                      \
      case ::pixmim::detail::InstructionSet::Portable: \
        break;                                         \
    }                                                  \
    return portable::__VA_ARGS__;                      \
  }()
#else
#define PIXMIM_DISPATCH(...) portable::__VA_ARGS__
#endif
