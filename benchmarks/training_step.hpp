// SPDX-License-Identifier: Apache-2.0
// A training step of one of the example's hosts, as `pretrain` does it.
#pragma once

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/optim/adamw.h>
#include <pixmim/masking.hpp>

#include <cstdint>
#include <memory>
#include <string>

#include "pretrain/host.hpp"
#include "pretrain/optimizer.hpp"
#include "pretrain/recipes.hpp"
#include "pretrain/target.hpp"
#include "vit/autocast.hpp"

namespace pixmim_bench {

class TrainingStep {
 public:
  TrainingStep(const pretrain::Options& options, int64_t batch, const at::Device& device)
      : options_(options),
        host_(pretrain::make_host(options)),
        target_(options),
        images_(at::randn({batch, 3, options.image_size, options.image_size}).to(device)),
        index_(at::arange(batch)) {
    host_->module().to(device);
    host_->module().train();
    optimizer_ = pretrain::make_optimizer(host_->module(), options);
  }

  /// Masks, target, forward, backward, AdamW.
  at::Tensor run() {
    const at::AutoGradMode enable_grad(true);
    const auto hidden = mask();
    at::Tensor loss;
    {
      const vit::Autocast autocast(images_.device().type(), options_.bf16);
      loss = host_->loss(images_, target(hidden), hidden);
    }
    loss.backward();
    optimizer_->step();
    optimizer_->zero_grad();
    return loss.detach();
  }

  pixmim::TokenMask mask() const {
    const auto noise =
        pixmim::keyed_noise(index_, at::zeros({}, at::kLong), host_->mask_noise(), 0);
    return host_->mask(noise.to(images_.device()));
  }

  at::Tensor target(const pixmim::TokenMask& mask) const {
    return target_(images_, host_->prediction_patch_size(), host_->prediction_mask(mask));
  }

  /// A mask and a target of its own, made once: for parts of a step that start from them.
  const pixmim::TokenMask& first_mask() {
    if (!first_mask_.mask.defined()) first_mask_ = mask();
    return first_mask_;
  }
  const at::Tensor& first_target() {
    if (!first_target_.defined()) first_target_ = target(first_mask());
    return first_target_;
  }

  const pretrain::Options& options() const { return options_; }
  const pretrain::Host& host() const { return *host_; }
  const at::Tensor& images() const { return images_; }

 private:
  pretrain::Options options_;
  std::unique_ptr<pretrain::Host> host_;
  pretrain::Target target_;
  at::Tensor images_;
  at::Tensor index_;
  pixmim::TokenMask first_mask_;
  at::Tensor first_target_;
  std::unique_ptr<torch::optim::AdamW> optimizer_;
};

}  // namespace pixmim_bench
