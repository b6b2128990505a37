// SPDX-License-Identifier: Apache-2.0
#include "weights/cast.hpp"

#include <ATen/ATen.h>

namespace weights {

Tensors with_floats_as(const Tensors& tensors, at::ScalarType dtype) {
  Tensors result;
  for (const auto& [name, tensor] : tensors) {
    const bool other = at::isFloatingType(tensor.scalar_type()) && tensor.scalar_type() != dtype;
    at::Tensor cast = other ? tensor.to(dtype) : tensor;
    if (other && cast.isinf().any().item<bool>()) {
      // What was infinite before may stay so.
      const at::Tensor before = tensor.to(at::kDouble);
      const at::Tensor grown = cast.isinf().logical_and(before.isinf().logical_not());
      TORCH_CHECK(!grown.any().item<bool>(), name, " has ",
                  before.abs().masked_select(grown).max().item<double>(), ", too large for ",
                  dtype);
    }
    result.emplace(name, std::move(cast));
  }
  return result;
}

}  // namespace weights
