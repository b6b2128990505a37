// SPDX-License-Identifier: Apache-2.0
// A product that is rounded before anything is added to it.
#pragma once

namespace pixmim {
inline namespace v0 {
namespace detail {

/// a * b. Compilers for machines that multiply and add in one instruction (arm64, x86-64 with
/// -march=native) make one rounding of a * b + c: pixels and windows would depend on the build.
inline double rounded_product(double a, double b) {
  double product = a * b;
#if defined(__GNUC__) && defined(__x86_64__)
  __asm__("" : "+x"(product));
#elif defined(__GNUC__) && defined(__aarch64__)
  __asm__("" : "+w"(product));
#endif
  return product;
}

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
