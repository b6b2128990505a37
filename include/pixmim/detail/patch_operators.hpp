// SPDX-License-Identifier: Apache-2.0
// Patches in LibTorch's operators, of checked arguments.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/var_mean.h>

#include <cstdint>
#include <tuple>

namespace pixmim {
inline namespace v0 {
namespace detail {

/// Images [N,C,H,W] -> patches [N,L,p*p*C], row by row; inside a patch (h, w, c).
inline at::Tensor cut_into_patches(const at::Tensor& images, int64_t patch_size) {
  const int64_t batch = images.size(0);
  const int64_t channels = images.size(1);
  const int64_t rows = images.size(2) / patch_size;
  const int64_t columns = images.size(3) / patch_size;
  return images.reshape({batch, channels, rows, patch_size, columns, patch_size})
      .permute({0, 2, 4, 3, 5, 1})
      .reshape({batch, rows * columns, patch_size * patch_size * channels});
}

/// Each of the patches [N,L,D] by its own mean and deviation, in float32 or float64.
inline at::Tensor normalize_each_patch(const at::Tensor& patches) {
  const at::Tensor values =
      patches.to(patches.scalar_type() == at::kDouble ? at::kDouble : at::kFloat);
  // One value has no unbiased variance (0 / 0): it is its own mean.
  const bool unbiased = values.size(2) > 1;
  const auto [variance, mean] = at::var_mean(values, /*dim=*/{2}, unbiased, /*keepdim=*/true);
  return values.sub(mean).div(variance.add(1e-6).sqrt());
}

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
