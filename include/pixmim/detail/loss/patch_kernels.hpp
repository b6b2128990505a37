// SPDX-License-Identifier: Apache-2.0
// What the kernels of the loss do to one patch.
#pragma once

#include <c10/core/ScalarType.h>
#include <c10/util/BFloat16.h>
#include <c10/util/Exception.h>
#include <c10/util/Half.h>

#include <cstdint>
#include <type_traits>

#include "pixmim/detail/loss/target_patches.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {

/// The target's values get `mean` taken away, then `scale` multiplied.
template <typename Scalar>
struct Normalization {
  Scalar mean = 0;
  Scalar scale = 1;
};

/// A masked patch of the prediction, and of the target as `gather` left it.
template <typename Scalar>
struct MaskedPatch {
  const void* prediction;
  const Scalar* target;
  Normalization<Scalar> normalization;
  int64_t pixels;
  /// None: no gradient is wanted.
  void* gradient;
  /// Factor of the gradient: of the difference (L2) or of its sign (L1).
  Scalar gradient_scale;
};

/// Values that a gathered patch takes in memory: whole registers of any width.
constexpr int64_t padded(int64_t pixels) {
  constexpr int64_t widest = 16;
  return (pixels + widest - 1) / widest * widest;
}

/// The kernels for one dtype of the target and one of the prediction. They compute in `Scalar`.
template <typename Scalar>
struct PatchKernels {
  /// Writes the values of the patch at `offset`, and zeros as far as they are padded.
  void (*gather)(const TargetPatches& target, int64_t offset, Scalar* to);
  /// To mean 0 and (unbiased) variance 1. Pads with the mean.
  Normalization<Scalar> (*normalization)(Scalar* target, int64_t pixels);
  /// The sum of squares, of absolute values.
  double (*squares)(const MaskedPatch<Scalar>& patch);
  double (*absolutes)(const MaskedPatch<Scalar>& patch);
};

/// The gradient has the prediction's dtype. Where that is float16 it is kept as float32: a product of
/// 1 / pixels would be lost before a loss scale has multiplied it.
template <typename Prediction>
struct GradientOf {
  using Type = Prediction;
};
template <>
struct GradientOf<c10::Half> {
  using Type = float;
};

/// Calls `visit` with a value of the dtype's type. float64 is computed in float64 only.
template <typename Scalar, typename Visit>
void visit_dtype(c10::ScalarType dtype, const Visit& visit) {
  switch (dtype) {
    case c10::kHalf:
      return visit(c10::Half());
    case c10::kBFloat16:
      return visit(c10::BFloat16());
    case c10::kFloat:
      return visit(float());
    default:
      if constexpr (std::is_same_v<Scalar, double>) return visit(double());
  }
  TORCH_INTERNAL_ASSERT(false, "no kernel for ", dtype);
}

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
