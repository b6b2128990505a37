// SPDX-License-Identifier: Apache-2.0
// What the model reconstructs: PixMIM's low frequencies, or MAE's pixels.
#pragma once

#include <torch/types.h>
#include <pixmim/low_freq_target.hpp>

#include <cstdint>

#include "pretrain/options.hpp"

namespace pretrain {

class Target {
 public:
  explicit Target(const Options& options)
      : low_freq_(options.target == "low-freq"), generator_(options.radius) {}

  torch::Tensor operator()(const torch::Tensor& images) const {
    return low_freq_ ? generator_(images) : images;
  }

  /// For the loss the low frequencies come as patches, and those alone that `mask` [N,L] names.
  torch::Tensor operator()(const torch::Tensor& images, int64_t patch_size,
                           const torch::Tensor& mask) const {
    return low_freq_ ? generator_.patches(images, patch_size, mask) : images;
  }

 private:
  bool low_freq_;
  pixmim::LowFreqTargetGenerator generator_;
};

}  // namespace pretrain
