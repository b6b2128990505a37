// SPDX-License-Identifier: Apache-2.0
// What runs for a patch. Included once for each instruction set: see detail/simd/multiversion.inl.

// Conversions and sums first: the others need them.
#include "pixmim/detail/loss/convert.inl"
#include "pixmim/detail/loss/sums.inl"
// These need them.
#include "pixmim/detail/loss/costs.inl"
#include "pixmim/detail/loss/gather.inl"

namespace pixmim {
inline namespace v0 {
namespace detail {
namespace PIXMIM_SIMD {
namespace pixel_loss {

template <typename Scalar>
PatchKernels<Scalar> patch_kernels(c10::ScalarType prediction, c10::ScalarType target) {
  PatchKernels<Scalar> result;
  visit_dtype<Scalar>(target,
                      [&](auto element) { result.gather = &gather<Scalar, decltype(element)>; });
  visit_dtype<Scalar>(prediction, [&](auto element) {
    result.squares = &costs<Square, Scalar, decltype(element)>;
    result.absolutes = &costs<Absolute, Scalar, decltype(element)>;
  });
  result.normalization = &normalization<Scalar>;
  return result;
}

}  // namespace pixel_loss
}  // namespace PIXMIM_SIMD
}  // namespace detail
}  // namespace v0
}  // namespace pixmim
