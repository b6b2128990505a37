// SPDX-License-Identifier: Apache-2.0
// What the engines of the loss give.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/ScalarType.h>

namespace pixmim {
inline namespace v0 {
namespace detail {

struct LossAndGradient {
  at::Tensor loss;
  /// Undefined if none was wanted; of stored_gradient_dtype().
  at::Tensor gradient;
};

/// The prediction's, but float32 for float16: a product of 1 / pixels would be lost before a loss scale has
/// multiplied it.
inline c10::ScalarType stored_gradient_dtype(const at::Tensor& prediction) {
  const auto dtype = prediction.scalar_type();
  return dtype == at::kHalf ? at::kFloat : dtype;
}

/// Whether float64 is computed in, not float32.
inline bool is_wide(c10::ScalarType prediction, c10::ScalarType target) {
  return prediction == at::kDouble || target == at::kDouble;
}
inline bool is_wide(const at::Tensor& prediction, const at::Tensor& target) {
  return is_wide(prediction.scalar_type(), target.scalar_type());
}

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
