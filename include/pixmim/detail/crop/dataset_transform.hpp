// SPDX-License-Identifier: Apache-2.0
// What `torch::data` asks of a transform, without including torch/data.h.
#pragma once

#include <ATen/core/Tensor.h>

#include <utility>
#include <vector>

namespace torch {
namespace data {
template <typename Data, typename Target>
struct Example;
}  // namespace data
}  // namespace torch

namespace pixmim {
inline namespace v0 {
namespace detail {

/// Lets `dataset.map(transform)` work for a transform with `operator()(image)`: it maps the `data`
/// of each example and keeps the `target`.
template <typename Transform>
class DatasetTransform {
 public:
  using InputType = torch::data::Example<at::Tensor, at::Tensor>;
  using OutputType = InputType;
  using InputBatchType = std::vector<InputType>;
  using OutputBatchType = InputBatchType;

  template <typename Batch>
  Batch apply_batch(Batch examples) const {
    for (auto& example : examples) {
      example.data = static_cast<const Transform&>(*this)(example.data);
    }
    return examples;
  }
};

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
