// SPDX-License-Identifier: Apache-2.0
// Images to patches and back, in the order of the official MAE.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>
#include <torch/expanding_array.h>

#include <cstdint>

#include "pixmim/detail/check.hpp"
#include "pixmim/detail/patch_operators.hpp"

namespace pixmim {
inline namespace v0 {

/// Cuts images into patches, row by row; inside a patch the order is (h, w, c).
///
/// Shape:   images [N,C,H,W]; result [N,L,p*p*C], L = (H/p) * (W/p).
/// Dtype:   any -> same.
/// Device:  any.
/// Grad:    differentiable.
/// Throws:  c10::Error if images is not 4-d, patch_size <= 0, or H or W is no multiple of it.
/// Source:  MAE models_mae.py patchify; LSMAE's for H != W.
/// Example: auto patches = pixmim::patchify(images, 16);
inline at::Tensor patchify(const at::Tensor& images, int64_t patch_size) {
  constexpr auto caller = "patchify";
  detail::expect_defined(caller, "images", images);
  detail::expect_patch_size(caller, patch_size);
  detail::expect_patches_fit(caller, images, patch_size);
  return detail::cut_into_patches(images, patch_size);
}

/// Puts patches together again: the inverse of `patchify`.
///
/// Shape:   patches [N,L,p*p*C], grid (h, w) with h * w = L; result [N,C,h*p,w*p].
/// Dtype:   any -> same.
/// Grad:    differentiable.
/// Throws:  c10::Error if patches is not 3-d, patch_size <= 0, the grid does not have L cells, or
///          the last side is no multiple of p * p.
/// Source:  MAE models_mae.py unpatchify.
/// Example: auto images = pixmim::unpatchify(prediction, 16, {14, 14});
inline at::Tensor unpatchify(const at::Tensor& patches, int64_t patch_size,
                             torch::ExpandingArray<2> grid) {
  constexpr auto caller = "unpatchify";
  detail::expect_defined(caller, "patches", patches);
  detail::expect_patch_size(caller, patch_size);
  const int64_t rows = grid->at(0);
  const int64_t columns = grid->at(1);
  detail::expect_positive(caller, "grid[0]", rows);
  detail::expect_positive(caller, "grid[1]", columns);
  const int64_t area = patch_size * patch_size;
  TORCH_CHECK(
      patches.dim() == 3 && patches.size(1) == rows * columns && patches.size(2) % area == 0,
      caller, ": expected patches of shape [N,", rows * columns, ",C*", area, "] for a grid of ",
      rows, "x", columns, " and patch_size ", patch_size, ", got ", patches.sizes());
  const int64_t batch = patches.size(0);
  const int64_t channels = patches.size(2) / area;
  return patches.reshape({batch, rows, columns, patch_size, patch_size, channels})
      .permute({0, 5, 1, 3, 2, 4})
      .reshape({batch, channels, rows * patch_size, columns * patch_size});
}

}  // namespace v0
}  // namespace pixmim
