// SPDX-License-Identifier: Apache-2.0
// What `pretrain` needs of a model, so that it can be any of them.
#pragma once

#include <torch/nn/module.h>
#include <torch/types.h>
#include <pixmim/token_mask.hpp>

#include <cstdint>
#include <memory>
#include <string>

#include "pretrain/options.hpp"

namespace pretrain {

class Host {
 public:
  virtual ~Host() = default;

  /// "MAE, ViT-base"
  virtual std::string name() const = 0;
  virtual torch::nn::Module& module() = 0;

  /// How many random numbers a mask of this model takes.
  virtual int64_t mask_noise() const = 0;
  /// The mask that noise [N,mask_noise()] makes.
  virtual pixmim::TokenMask mask(const torch::Tensor& noise) const = 0;
  /// The side of a token in pixels.
  virtual int64_t patch_size() const = 0;

  /// images [N,3,H,W] -> prediction in patches [N,L,p*p*3], with p = prediction_patch_size().
  virtual torch::Tensor forward(const torch::Tensor& images, const pixmim::TokenMask& mask) = 0;
  virtual int64_t prediction_patch_size() const = 0;
  /// [N,L]: which patches of the prediction the loss looks at (not 0).
  virtual torch::Tensor prediction_mask(const pixmim::TokenMask& mask) const = 0;

  /// The loss against `target`, images or patches of which only the masked ones count.
  virtual torch::Tensor loss(const torch::Tensor& images, const torch::Tensor& target,
                             const pixmim::TokenMask& mask) = 0;
};

/// The host that the options name. Throws c10::Error if they do not fit it.
std::unique_ptr<Host> make_host(const Options& options);

}  // namespace pretrain
