// SPDX-License-Identifier: Apache-2.0
// What a compiler makes of a kernel.
#pragma once

#include <string>

namespace pixmim {
inline namespace v0 {
namespace detail {
namespace cuda {

struct CompiledKernel {
  /// The kernel's name in `code`.
  std::string lowered_name;
  /// A cubin, or PTX that ends in a zero.
  std::string code;
};

}  // namespace cuda
}  // namespace detail
}  // namespace v0
}  // namespace pixmim
