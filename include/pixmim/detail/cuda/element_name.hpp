// SPDX-License-Identifier: Apache-2.0
// What kernels call a tensor's elements.
#pragma once

#include <c10/core/ScalarType.h>

namespace pixmim {
inline namespace v0 {
namespace detail {
namespace cuda {

/// The type of kernels/dialect.cuh for a dtype that kernels take: float, double, float16, bfloat16, uint8.
inline const char* element_name(c10::ScalarType dtype) {
  switch (dtype) {
    case at::kHalf:
      return "float16";
    case at::kBFloat16:
      return "bfloat16";
    case at::kByte:
      return "uint8";
    case at::kDouble:
      return "double";
    default:
      return "float";
  }
}

}  // namespace cuda
}  // namespace detail
}  // namespace v0
}  // namespace pixmim
