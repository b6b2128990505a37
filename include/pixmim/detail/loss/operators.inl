// SPDX-License-Identifier: Apache-2.0
// The loss in LibTorch's operators: for devices that have no engine of their own.

#include <ATen/core/Tensor.h>
#include <ATen/ops/var_mean.h>
#include <c10/core/DeviceGuard.h>

#include <tuple>

#include "pixmim/patches.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {

/// `normalize_patches` of checked patches.
inline at::Tensor normalize_by_operators(const at::Tensor& patches) {
  const at::Tensor values =
      patches.to(patches.scalar_type() == at::kDouble ? at::kDouble : at::kFloat);
  // One value has no unbiased variance (0 / 0): it is its own mean.
  const bool unbiased = values.size(2) > 1;
  const auto [variance, mean] = at::var_mean(values, /*dim=*/{2}, unbiased, /*keepdim=*/true);
  return values.sub(mean).div(variance.add(1e-6).sqrt());
}

/// `masked_pixel_loss` of checked arguments.
inline at::Tensor pixel_loss_by_operators(const at::Tensor& prediction, const at::Tensor& target,
                                          const at::Tensor& mask, const PixelLossOptions& options) {
  const c10::DeviceGuard device_guard(prediction.device());
  at::Tensor patches = target.detach();
  if (patches.dim() == 4) patches = patchify(patches, options.patch_size());
  const bool wide = prediction.scalar_type() == at::kDouble || target.scalar_type() == at::kDouble;
  const auto dtype = wide ? at::kDouble : at::kFloat;
  if (options.norm_pix()) patches = normalize_by_operators(patches);
  const at::Tensor difference = prediction.to(dtype).sub(patches.to(dtype));
  const at::Tensor cost = options.norm() == PixelNorm::L2 ? difference.square() : difference.abs();
  const at::Tensor weight = mask.detach().to(dtype);
  // Where nothing is masked the numerator is 0: any divisor but 0 will do. Weights that sum to less
  // than 1 are still divided by their sum.
  const at::Tensor total = weight.sum();
  return cost.mean(2).mul(weight).sum().div(total.add(total.eq(0)));
}

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
