// SPDX-License-Identifier: Apache-2.0
// The reconstruction loss: pixels against a target, over the masked patches.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/arg.h>

#include <cstdint>

#include "pixmim/token_mask.hpp"

namespace pixmim {
inline namespace v0 {

/// What a difference of two pixels costs.
enum class PixelNorm {
  L2,  ///< its square: MAE, PixMIM
  L1,  ///< its absolute value
};

/// Options of `masked_pixel_loss`. `PixelLossOptions(16).norm_pix(true)`
struct PixelLossOptions {
  /* implicit */ PixelLossOptions(int64_t patch_size) : patch_size_(patch_size) {}

  /// Side of a patch in pixels.
  TORCH_ARG(int64_t, patch_size);
  /// Normalise each patch of the target by its own mean and (unbiased) variance.
  TORCH_ARG(bool, norm_pix) = false;
  /// What a difference costs.
  TORCH_ARG(PixelNorm, norm) = PixelNorm::L2;
};

/// Normalises each patch by its own mean and deviation, as `norm_pix` does with the target.
///
/// Shape:   patches [N,L,D] -> same. D = 1 gives zeros.
/// Dtype:   floating -> float32, or float64 for float64.
/// Source:  MAE models_mae.py forward_loss: unbiased variance, 1e-6 inside the root.
/// Example: auto normalised = pixmim::normalize_patches(pixmim::patchify(target, 16));
at::Tensor normalize_patches(const at::Tensor& patches);

/// The mean over the masked patches of the mean difference in a patch.
///
/// Shape:   prediction [N,L,p*p*C]; target images [N,C,H,W] or patches [N,L,p*p*C]; result [].
/// Dtype:   prediction and target floating, each of its own; mask any but complex; computed in
///          float32, or float64 if one of the two is; so is the result.
/// Units:   whatever the target has; with `norm_pix` deviations of a patch.
/// Device:  any, one for all three. Nothing synchronises. On the CPU, and by the kernels of a GPU where
///          these are chosen (docs/cuda.md), value and gradient are computed in one
///          pass over the masked patches, with the same bits every time.
/// Grad:    differentiable in `prediction`; none flows to the target. Where one pass gives both, once: a
///          second derivative throws.
/// Random:  no.
/// Throws:  c10::Error if a shape, dtype or device does not fit, or patch_size <= 0.
/// Source:  MAE models_mae.py forward_loss; mmselfsup losses/mae_loss.py. A mask without a masked
///          token gives 0, where the reference divides by zero. A mask may have weights between 0
///          and 1 (LSMAE). What is not a number in a visible patch: the CPU and the kernels do not look at
///          it, where the reference multiplies it by 0, as LibTorch's operators do on other devices.
/// Example: auto loss = pixmim::masked_pixel_loss(prediction, target, mask,
///                                                pixmim::PixelLossOptions(16).norm_pix(true));
at::Tensor masked_pixel_loss(const at::Tensor& prediction, const at::Tensor& target,
                             const at::Tensor& mask, const PixelLossOptions& options);

/// The same for a TokenMask.
inline at::Tensor masked_pixel_loss(const at::Tensor& prediction, const at::Tensor& target,
                                    const TokenMask& mask, const PixelLossOptions& options) {
  return masked_pixel_loss(prediction, target, mask.mask, options);
}

}  // namespace v0
}  // namespace pixmim

#include "pixmim/detail/loss/loss.inl"
