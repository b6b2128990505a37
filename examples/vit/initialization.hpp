// SPDX-License-Identifier: Apache-2.0
// How the weights of MAE and its kin start.
#pragma once

#include <torch/nn.h>

#include <cmath>
#include <cstdint>

#include "vit/block.hpp"

namespace vit {

/// The initialisation of the official MAE: Xavier for matrices (a patch embedding counts as one),
/// zero biases, unit norms.
inline void initialize(torch::nn::Module& model) {
  const torch::NoGradGuard no_grad;
  for (const auto& module : model.modules(/*include_self=*/false)) {
    if (auto* linear = module->as<torch::nn::Linear>()) {
      torch::nn::init::xavier_uniform_(linear->weight);
      if (linear->bias.defined()) linear->bias.zero_();
    } else if (auto* embed = module->as<PatchEmbed>()) {
      torch::nn::init::xavier_uniform_(embed->proj->weight.flatten(1));
    }
  }
}

/// A learnt token [1,1,dim], as MAE starts it.
inline torch::Tensor token(int64_t dim) {
  return torch::randn({1, 1, dim}) * 0.02;
}

/// A normal distribution of a deviation, cut at +-`limit` deviations.
inline void trunc_normal_(torch::Tensor& weight, double deviation, double limit) {
  // The inverse of the distribution function, of numbers even in what is left of its range.
  const double edge = std::erf(limit / std::sqrt(2.0));
  weight.uniform_(-edge, edge).erfinv_().mul_(deviation * std::sqrt(2.0));
  weight.clamp_(-limit * deviation, limit * deviation);
}

}  // namespace vit
