// SPDX-License-Identifier: Apache-2.0
// AdamW whose step reads and writes each parameter once: PyTorch's fused=True, which LibTorch's class
// does not offer.
#pragma once

#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros_like.h>
#include <torch/optim/adamw.h>

#include <cstdint>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

namespace pretrain {

/// For parameters of one device and dtype, with dense gradients, without amsgrad. Saves and loads as
/// torch::optim::AdamW.
class FusedAdamW : public torch::optim::AdamW {
 public:
  using torch::optim::AdamW::AdamW;

  torch::Tensor step(LossClosure closure = nullptr) override {
    torch::Tensor loss;
    if (closure) {
      const torch::AutoGradMode enable_grad(true);
      loss = closure();
    }
    const torch::NoGradGuard no_grad;
    for (auto& group : param_groups()) update(group);
    return loss;
  }

 private:
  void update(torch::optim::OptimizerParamGroup& group) {
    std::vector<torch::Tensor> parameters, gradients, exp_avgs, exp_avg_sqs, steps;
    torch::Tensor step;  // most of a group have taken as many
    int64_t step_number = 0;
    for (const auto& parameter : group.params()) {
      if (!parameter.grad().defined()) continue;
      auto& state = state_of(parameter);
      state.step(state.step() + 1);
      if (!step.defined() || state.step() != step_number) {
        step_number = state.step();
        step = torch::full({}, static_cast<double>(step_number),
                           parameter.options().dtype(torch::kFloat).requires_grad(false));
      }
      parameters.push_back(parameter);
      gradients.push_back(parameter.grad());
      exp_avgs.push_back(state.exp_avg());
      exp_avg_sqs.push_back(state.exp_avg_sq());
      steps.push_back(step);
    }
    if (parameters.empty()) return;
    const auto& options = static_cast<const torch::optim::AdamWOptions&>(group.options());
    TORCH_CHECK(!options.amsgrad(), "FusedAdamW: expected amsgrad false, got true");
    at::_fused_adamw_(parameters, gradients, exp_avgs, exp_avg_sqs, /*max_exp_avg_sqs=*/{}, steps,
                      options.lr(), std::get<0>(options.betas()), std::get<1>(options.betas()),
                      options.weight_decay(), options.eps(), /*amsgrad=*/false,
                      /*maximize=*/false);
  }

  torch::optim::AdamWParamState& state_of(const torch::Tensor& parameter) {
    auto& state = state_[parameter.unsafeGetTensorImpl()];
    if (!state) {
      auto fresh = std::make_unique<torch::optim::AdamWParamState>();
      fresh->exp_avg(torch::zeros_like(parameter));
      fresh->exp_avg_sq(torch::zeros_like(parameter));
      state = std::move(fresh);
    }
    return static_cast<torch::optim::AdamWParamState&>(*state);
  }
};

}  // namespace pretrain
