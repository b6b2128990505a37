// SPDX-License-Identifier: Apache-2.0
// The loss and its gradient by the formula, in float64, in LibTorch's operators.
#pragma once

#include <ATen/ATen.h>
#include <pixmim/loss.hpp>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

namespace oracle {

struct Expected {
  at::Tensor loss;
  at::Tensor gradient;
};

/// [N,C,H,W] -> [N,L,p*p*C], inside a patch (h, w, c).
inline at::Tensor patches(const at::Tensor& images, int64_t size) {
  return images.unfold(2, size, size)
      .unfold(3, size, size)
      .permute({0, 2, 3, 4, 5, 1})
      .flatten(3)
      .flatten(1, 2);
}

inline Expected pixel_loss(const at::Tensor& prediction, const at::Tensor& target,
                           const at::Tensor& mask, const pixmim::PixelLossOptions& options) {
  const at::Tensor predicted = prediction.detach().to(at::kDouble).requires_grad_();
  at::Tensor wanted = target.detach().to(at::kDouble);
  if (wanted.dim() == 4) wanted = patches(wanted, options.patch_size());
  if (options.norm_pix()) {
    wanted = wanted - wanted.mean(2, /*keepdim=*/true);
    const auto values = static_cast<double>(std::max<int64_t>(wanted.size(2) - 1, 1));
    wanted = wanted / (wanted.square().sum(2, /*keepdim=*/true) / values + 1e-6).sqrt();
  }
  const at::Tensor difference = predicted - wanted;
  const at::Tensor cost =
      options.norm() == pixmim::PixelNorm::L2 ? difference.square() : difference.abs();
  const at::Tensor weight = mask.to(at::kDouble);
  const at::Tensor loss = (cost.mean(2) * weight).sum() / weight.sum();
  loss.backward();
  return {loss.detach(), predicted.grad()};
}

inline std::vector<pixmim::PixelLossOptions> all_options(int64_t patch_size) {
  std::vector<pixmim::PixelLossOptions> all;
  for (const bool norm_pix : {false, true}) {
    for (const auto norm : {pixmim::PixelNorm::L2, pixmim::PixelNorm::L1}) {
      all.push_back(pixmim::PixelLossOptions(patch_size).norm_pix(norm_pix).norm(norm));
    }
  }
  return all;
}

inline std::string name(const pixmim::PixelLossOptions& options) {
  return std::string(options.norm() == pixmim::PixelNorm::L2 ? "L2" : "L1") +
         (options.norm_pix() ? " norm_pix" : "") + " p " + std::to_string(options.patch_size());
}

}  // namespace oracle
