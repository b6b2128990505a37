// SPDX-License-Identifier: Apache-2.0
// The bodies of the loss.

#include <ATen/ops/var_mean.h>
#include <c10/core/DeviceGuard.h>
#include <c10/util/Exception.h>

#include <tuple>

#include "pixmim/detail/check.hpp"
#include "pixmim/patches.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {

inline void expect_floating(const char* caller, const char* name, const at::Tensor& tensor) {
  TORCH_CHECK_TYPE(has_floating_dtype(tensor), caller, ": expected ", name,
                   " of a floating dtype, got ", tensor.scalar_type());
}

}  // namespace detail

inline at::Tensor normalize_patches(const at::Tensor& patches) {
  constexpr auto caller = "normalize_patches";
  detail::expect_defined(caller, "patches", patches);
  detail::expect_floating(caller, "patches", patches);
  TORCH_CHECK(patches.dim() == 3, caller, ": expected patches of shape [N,L,D], got ",
              patches.sizes());
  const at::Tensor values =
      patches.to(patches.scalar_type() == at::kDouble ? at::kDouble : at::kFloat);
  // One value has no unbiased variance (0 / 0): it is its own mean.
  const bool unbiased = values.size(2) > 1;
  const auto [variance, mean] = at::var_mean(values, /*dim=*/{2}, unbiased, /*keepdim=*/true);
  return values.sub(mean).div(variance.add(1e-6).sqrt());
}

inline at::Tensor masked_pixel_loss(const at::Tensor& prediction, const at::Tensor& target,
                                    const at::Tensor& mask, const PixelLossOptions& options) {
  constexpr auto caller = "masked_pixel_loss";
  detail::expect_patch_size(caller, options.patch_size());
  detail::expect_defined(caller, "prediction", prediction);
  detail::expect_floating(caller, "prediction", prediction);
  TORCH_CHECK(prediction.dim() == 3, caller, ": expected prediction of shape [N,L,p*p*C], got ",
              prediction.sizes());
  detail::expect_on_device(caller, "target", target, "prediction", prediction.device());
  detail::expect_floating(caller, "target", target);
  detail::expect_on_device(caller, "mask", mask, "prediction", prediction.device());
  TORCH_CHECK(target.dim() == 3 || target.dim() == 4, caller,
              ": expected target of shape [N,C,H,W] or [N,L,p*p*C], got ", target.sizes());
  TORCH_CHECK_TYPE(!mask.is_complex(), caller, ": expected mask of a real dtype, got ",
                   mask.scalar_type());
  TORCH_CHECK(
      mask.dim() == 2 && mask.size(0) == prediction.size(0) && mask.size(1) == prediction.size(1),
      caller, ": expected mask of shape [", prediction.size(0), ",", prediction.size(1), "], got ",
      mask.sizes());

  const int64_t area = options.patch_size() * options.patch_size();
  TORCH_CHECK(prediction.size(2) > 0 && prediction.size(2) % area == 0, caller,
              ": expected prediction of shape [N,L,C*", area, "] for patch_size ",
              options.patch_size(), ", got ", prediction.sizes());
  TORCH_CHECK(target.dim() == 3 || (target.size(2) % options.patch_size() == 0 &&
                                    target.size(3) % options.patch_size() == 0),
              caller, ": expected target images with H and W multiples of patch_size, ",
              options.patch_size(), ", got ", target.size(2), "x", target.size(3));

  const c10::DeviceGuard device_guard(prediction.device());
  at::Tensor patches = target.detach();
  if (patches.dim() == 4) patches = patchify(patches, options.patch_size());
  TORCH_CHECK(patches.sizes() == prediction.sizes(), caller,
              ": expected target and prediction of one shape in patches, got ", patches.sizes(),
              " and ", prediction.sizes());

  const bool wide = prediction.scalar_type() == at::kDouble || target.scalar_type() == at::kDouble;
  const auto dtype = wide ? at::kDouble : at::kFloat;
  if (options.norm_pix()) patches = normalize_patches(patches);
  const at::Tensor difference = prediction.to(dtype).sub(patches.to(dtype));
  const at::Tensor cost = options.norm() == PixelNorm::L2 ? difference.square() : difference.abs();
  const at::Tensor weight = mask.detach().to(dtype);
  // Where nothing is masked the numerator is 0: any divisor but 0 will do. Weights that sum to less
  // than 1 are still divided by their sum.
  const at::Tensor total = weight.sum();
  return cost.mean(2).mul(weight).sum().div(total.add(total.eq(0)));
}

}  // namespace v0
}  // namespace pixmim
