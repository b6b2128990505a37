// SPDX-License-Identifier: Apache-2.0
// The loss in LibTorch's operators: for devices that have no engine of their own.

#include <ATen/core/Tensor.h>
#include <c10/core/DeviceGuard.h>

#include "pixmim/detail/loss/loss_and_gradient.hpp"
#include "pixmim/detail/patch_operators.hpp"
#include "pixmim/patches.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {

/// `masked_pixel_loss` of checked arguments.
inline at::Tensor pixel_loss_by_operators(const at::Tensor& prediction, const at::Tensor& target,
                                          const at::Tensor& mask, const PixelLossOptions& options) {
  const c10::DeviceGuard device_guard(prediction.device());
  at::Tensor patches = target.detach();
  if (patches.dim() == 4) patches = patchify(patches, options.patch_size());
  const auto dtype = is_wide(prediction, target) ? at::kDouble : at::kFloat;
  if (options.norm_pix()) patches = normalize_each_patch(patches);
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
