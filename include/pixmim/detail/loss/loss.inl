// SPDX-License-Identifier: Apache-2.0
// The bodies of the loss: what is checked, and who computes.

#include <c10/util/Exception.h>

#include <array>
#include <cstdint>

#include "pixmim/detail/check.hpp"
#include "pixmim/detail/cuda/default_engines.hpp"
#include "pixmim/detail/cuda/launcher_of.hpp"
#include "pixmim/detail/loss/autograd.inl"
#include "pixmim/detail/loss/operators.inl"
#include "pixmim/detail/patch_operators.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {

inline void expect_floating(const char* caller, const char* name, const at::Tensor& tensor) {
  TORCH_CHECK_TYPE(has_floating_dtype(tensor), caller, ": expected ", name,
                   " of a floating dtype, got ", tensor.scalar_type());
}

/// What starts the loss's kernels, where they are chosen and serve; else null.
inline cuda::Launcher* loss_launcher(const at::Tensor& prediction, const at::Tensor& target) {
  if (!prediction.is_cuda() || cuda::engine_on_cuda(cuda::Component::Loss) != cuda::Engine::Fused) {
    return nullptr;
  }
  cuda::Launcher* const launcher = cuda::launcher_of(prediction.device());
  const bool serves = launcher != nullptr && cuda::serves_loss(*launcher, prediction, target);
  return serves ? launcher : nullptr;
}

}  // namespace detail

inline at::Tensor normalize_patches(const at::Tensor& patches) {
  constexpr auto caller = "normalize_patches";
  detail::expect_defined(caller, "patches", patches);
  detail::expect_floating(caller, "patches", patches);
  TORCH_CHECK(patches.dim() == 3, caller, ": expected patches of shape [N,L,D], got ",
              patches.sizes());
  return detail::normalize_each_patch(patches);
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
  TORCH_CHECK(target.dim() == 3 || target.dim() == 4, caller,
              ": expected target of shape [N,C,H,W] or [N,L,p*p*C], got ", target.sizes());
  detail::expect_mask(caller, mask, "prediction", prediction.device(), prediction.size(0),
                      prediction.size(1));

  const int64_t area = options.patch_size() * options.patch_size();
  TORCH_CHECK(prediction.size(2) > 0 && prediction.size(2) % area == 0, caller,
              ": expected prediction of shape [N,L,C*", area, "] for patch_size ",
              options.patch_size(), ", got ", prediction.sizes());
  TORCH_CHECK(target.dim() == 3 || (target.size(2) % options.patch_size() == 0 &&
                                    target.size(3) % options.patch_size() == 0),
              caller, ": expected target images with H and W multiples of patch_size, ",
              options.patch_size(), ", got ", target.size(2), "x", target.size(3));

  const std::array<int64_t, 3> cut =
      target.dim() == 3
          ? std::array<int64_t, 3>{target.size(0), target.size(1), target.size(2)}
          : std::array<int64_t, 3>{target.size(0), target.size(2) * target.size(3) / area,
                                   area * target.size(1)};
  TORCH_CHECK(at::IntArrayRef(cut) == prediction.sizes(), caller,
              ": expected target and prediction of one shape in patches, got ",
              at::IntArrayRef(cut), " and ", prediction.sizes());
  detail::cuda::Launcher* const launcher = detail::loss_launcher(prediction, target);
  return prediction.is_cpu() || launcher != nullptr
             ? detail::differentiable_pixel_loss(prediction, target, mask, options, launcher)
             : detail::pixel_loss_by_operators(prediction, target, mask, options);
}

}  // namespace v0
}  // namespace pixmim
