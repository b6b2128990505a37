// SPDX-License-Identifier: Apache-2.0
// The text of a kernel's file.
#pragma once

#include <c10/util/ArrayRef.h>

namespace pixmim {
inline namespace v0 {
namespace detail {
namespace cuda {

struct KernelSource {
  /// As other kernels include it: "dialect.cuh".
  const char* file;
  const char* text;
};

using KernelSources = c10::ArrayRef<KernelSource>;

}  // namespace cuda
}  // namespace detail
}  // namespace v0
}  // namespace pixmim
