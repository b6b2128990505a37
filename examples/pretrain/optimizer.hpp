// SPDX-License-Identifier: Apache-2.0
// AdamW as MAE and PixMIM use it: who is decayed, and the learning rate of each step.
#pragma once

#include <torch/nn/module.h>
#include <torch/optim/adamw.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "pretrain/fused_adamw.hpp"
#include "pretrain/options.hpp"

namespace pretrain {

/// Whether weight decay spares a parameter. All sources spare biases and norms. mmselfsup's configs
/// spare cls_token, mask_token and pos_embed too; the official SimMIM (optimizer.py) spares
/// cls_token and pos_embed; the official MAE (timm's add_weight_decay) none of them.
inline bool spares_decay(const std::string& name, const torch::Tensor& parameter,
                         const std::string& decay) {
  const auto ends_with = [&name](const std::string& end) {
    return name.size() >= end.size() &&
           name.compare(name.size() - end.size(), end.size(), end) == 0;
  };
  if (parameter.dim() == 1 || ends_with(".bias")) return true;
  if (decay == "mae") return false;
  return ends_with("cls_token") || ends_with("pos_embed") ||
         (decay == "openmmlab" && ends_with("mask_token"));
}

inline std::unique_ptr<torch::optim::AdamW> make_optimizer(const torch::nn::Module& model,
                                                           const Options& options) {
  std::vector<torch::Tensor> decayed;
  std::vector<torch::Tensor> spared;
  for (const auto& item : model.named_parameters()) {
    if (!item.value().requires_grad()) continue;
    (spares_decay(item.key(), item.value(), options.decay) ? spared : decayed)
        .push_back(item.value());
  }
  const auto adamw = torch::optim::AdamWOptions(options.learning_rate())
                         .betas({options.beta1, options.beta2})
                         .weight_decay(options.weight_decay);
  const auto group = [&adamw](std::vector<torch::Tensor> parameters, double weight_decay) {
    auto of_group = std::make_unique<torch::optim::AdamWOptions>(adamw);
    of_group->weight_decay(weight_decay);
    return torch::optim::OptimizerParamGroup(std::move(parameters), std::move(of_group));
  };
  std::vector<torch::optim::OptimizerParamGroup> groups;
  groups.push_back(group(std::move(spared), 0));
  groups.push_back(group(std::move(decayed), options.weight_decay));
  return std::make_unique<FusedAdamW>(std::move(groups), adamw);
}

inline void set_learning_rate(torch::optim::Optimizer& optimizer, double rate) {
  for (auto& group : optimizer.param_groups()) group.options().set_lr(rate);
}

/// Where a step stands in the schedule, in steps; all lengths may be fractions.
struct Schedule {
  std::string kind;
  double peak;
  double minimum;
  double warmup_start;
  double warmup_steps;
  double total_steps;
  /// multistep: from `fall_at` on the rate is `fall_to` of the peak.
  double fall_at = 0;
  double fall_to = 1;

  /// The learning rate of step 0, 1, ... (or between them).
  double at(double step) const {
    // SimMIM sets the rate after the step that it is counted for: the next one has it.
    if (kind == "multistep") step = std::max(step - 1, 0.0);
    if (step < warmup_steps) {
      // MAE (util/lr_sched.py) starts from 0 and reaches the peak as the warm-up ends, SimMIM
      // (lr_scheduler.py) from a share of it; mmengine's LinearLR is there one step earlier.
      if (kind == "mae") return peak * step / warmup_steps;
      const double length = kind == "openmmlab" ? warmup_steps - 1 : warmup_steps;
      const double progress = length > 0 ? std::min(step / length, 1.0) : 1;
      return peak * (warmup_start + (1 - warmup_start) * progress);
    }
    if (kind == "multistep") return step < fall_at ? peak : peak * fall_to;
    constexpr double pi = 3.14159265358979323846;
    const double progress = (step - warmup_steps) / std::max(total_steps - warmup_steps, 1e-9);
    return minimum + (peak - minimum) * 0.5 * (1 + std::cos(pi * std::min(progress, 1.0)));
  }
};

}  // namespace pretrain
