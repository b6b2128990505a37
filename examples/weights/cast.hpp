// SPDX-License-Identifier: Apache-2.0
// Weights in another precision.
#pragma once

#include <c10/core/ScalarType.h>

#include "weights/tensors.hpp"

namespace weights {

/// Floating-point tensors in `dtype`; integers, booleans and complex numbers as they are. Throws
/// c10::Error, naming the tensor, if a number becomes infinite: float16 ends at 65504.
///
///     weights::with_floats_as(weights.tensors, at::kHalf)
Tensors with_floats_as(const Tensors& tensors, at::ScalarType dtype);

}  // namespace weights
