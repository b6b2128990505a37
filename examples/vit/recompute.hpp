// SPDX-License-Identifier: Apache-2.0
// Activation checkpointing (Chen et al., arXiv 1604.06174), which LibTorch offers in Python only.
#pragma once

#include <ATen/autocast_mode.h>
#include <ATen/core/ivalue.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include <functional>
#include <utility>

#include "vit/autocast.hpp"

namespace vit {

/// What is run again: (input, extra) -> output. `extra` may be undefined.
using Recomputable = std::function<torch::Tensor(const torch::Tensor&, const torch::Tensor&)>;

namespace detail {

struct Recomputed : torch::CustomClassHolder {
  Recomputed(Recomputable run, c10::DeviceType device)
      : run(std::move(run)),
        autocast(at::autocast::is_autocast_enabled(device)),
        autocast_dtype(at::autocast::get_autocast_dtype(device)) {}

  Recomputable run;
  // As it was: a backward pass stands outside of the scope, and its threads inherit none.
  bool autocast;
  at::ScalarType autocast_dtype;
};

class Recompute : public torch::autograd::Function<Recompute> {
 public:
  static torch::Tensor forward(torch::autograd::AutogradContext* context, const Recomputable& run,
                               const torch::Tensor& input, const torch::Tensor& extra_or_empty,
                               bool has_extra) {
    const auto extra = has_extra ? extra_or_empty : torch::Tensor();
    context->saved_data["run"] =
        c10::IValue::make_capsule(c10::make_intrusive<Recomputed>(run, input.device().type()));
    context->save_for_backward({input, extra});
    return run(input, extra);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    const auto capsule = context->saved_data["run"].toCapsule();
    const auto& recomputed = static_cast<const Recomputed&>(*capsule);
    const auto saved = context->get_saved_variables();
    const auto leaf = [](const torch::Tensor& tensor) {
      return tensor.defined() ? tensor.detach().requires_grad_(tensor.requires_grad()) : tensor;
    };
    const auto input = leaf(saved[0]);
    const auto extra = leaf(saved[1]);

    torch::Tensor output;
    {
      const torch::AutoGradMode enable_grad(true);
      const Autocast autocast(input.device().type(), recomputed.autocast,
                              recomputed.autocast_dtype);
      output = recomputed.run(input, extra);
    }
    // The gradients of the weights are added to them here.
    torch::autograd::backward({output}, {gradients[0]});
    return {{}, input.grad(), extra.defined() ? extra.grad() : torch::Tensor(), {}};
  }
};

}  // namespace detail

/// run(input, extra), whose intermediate results are not kept but computed again by backward().
/// As PyTorch's checkpoint with use_reentrant: gradients of weights go to their `grad`, and
/// torch::autograd::grad cannot ask for them; `run` draws no random numbers.
inline torch::Tensor recompute(const Recomputable& run, const torch::Tensor& input,
                               const torch::Tensor& extra = {}) {
  // Nothing would ask for the gradients of the weights if the input needed none.
  if (!torch::GradMode::is_enabled() || !input.requires_grad()) return run(input, extra);
  // A Function takes no undefined tensors.
  const bool has_extra = extra.defined();
  return detail::Recompute::apply(
      run, input, has_extra ? extra : torch::empty({0}, input.options()), has_extra);
}

}  // namespace vit
