// SPDX-License-Identifier: Apache-2.0
// What the model reconstructs: PixMIM's low frequencies, or MAE's pixels.
#pragma once

#include <torch/types.h>
#include <pixmim/low_freq_target.hpp>
#include <pixmim/token_mask.hpp>

#include <cstdint>

#include "pretrain/options.hpp"

namespace pretrain {

class Target {
 public:
  Target(const Options& options, int64_t patch_size)
      : low_freq_(options.target == "low-freq"),
        patch_size_(patch_size),
        generator_(options.radius) {}

  torch::Tensor operator()(const torch::Tensor& images) const {
    return low_freq_ ? generator_(images) : images;
  }

  /// For the loss the low frequencies come as patches, and the masked ones alone.
  torch::Tensor operator()(const torch::Tensor& images, const pixmim::TokenMask& mask) const {
    return low_freq_ ? generator_.patches(images, patch_size_, mask.mask) : images;
  }

 private:
  bool low_freq_;
  int64_t patch_size_;
  pixmim::LowFreqTargetGenerator generator_;
};

}  // namespace pretrain
