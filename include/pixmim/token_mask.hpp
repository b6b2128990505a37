// SPDX-License-Identifier: Apache-2.0
// TokenMask: which tokens a batch hides, and the way to the visible ones and back.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/TensorOptions.h>

namespace pixmim {
inline namespace v0 {

/// The masks of N samples of L tokens, K of them kept. Tokens are patches: a class token is the
/// model's business and no part of the mask.
struct TokenMask {
  /// [N,L] float32: 1 = masked, 0 = kept.
  at::Tensor mask;
  /// [N,K] int64: positions of the kept tokens, in the order that `visible` gives them. Undefined
  /// if the samples keep different numbers (only `block_mask` can make such a mask).
  at::Tensor ids_keep;
  /// [N,L] int64: where each token is in the order "kept ones, then masked ones".
  at::Tensor ids_restore;

  /// The same mask on another device. A tensor that is there already is shared, as `at::Tensor::to` does.
  ///
  /// Device:  that of `options` (a device converts to it); nothing else of `options` is read.
  ///          `non_blocking` is that of `at::Tensor::to`: from pinned memory the host does not wait.
  /// Example: const auto mask = pixmim::block_mask(64, 14, 14, 75).to(images.device());
  TokenMask to(const at::TensorOptions& options, bool non_blocking = false) const;

  /// Picks the kept tokens.
  ///
  /// Shape:   tokens [N,L,D] (more trailing dimensions, or none, are kept too); result [N,K,D].
  /// Dtype:   any.
  /// Device:  that of the mask.
  /// Grad:    differentiable in `tokens`, to any order.
  /// Throws:  c10::Error if the shape or the device does not fit, or `ids_keep` is undefined; on the
  ///          CPU also if an id is out of range or the ids contradict each other, in forward or backward.
  /// Source:  MAE models_mae.py random_masking.
  /// Example: auto latent = encoder(mask.visible(patch_embed(images) + pos_embed));
  at::Tensor visible(const at::Tensor& tokens) const;

  /// Positions of the masked tokens, in the order that `masked` gives them.
  ///
  /// Shape:   [N,L-K] int64.
  /// Device:  that of the mask.
  /// Throws:  as `visible`.
  /// Example: const auto hidden_pos = pos_embed.squeeze(0).index({mask.ids_masked()});
  at::Tensor ids_masked() const;

  /// Picks the masked tokens: of a target, for a loss on those alone.
  ///
  /// Shape:   tokens [N,L,D] (more trailing dimensions, or none, are kept too); result [N,L-K,D].
  /// Dtype:   any.
  /// Device:  that of the mask.
  /// Grad:    differentiable in `tokens`, to any order.
  /// Throws:  as `visible`.
  /// Example: const auto target = mask.masked(pixmim::patchify(images, 16));
  ///          const auto loss = torch::mse_loss(predictor(latent, mask.ids_masked()), target);
  at::Tensor masked(const at::Tensor& tokens) const;

  /// Puts the kept tokens back to their places and `mask_token` to the others.
  ///
  /// Shape:   visible [N,K,D], mask_token [D] or [1,1,D]; result [N,L,D].
  /// Dtype:   the wider of the two.
  /// Device:  that of the mask.
  /// Grad:    differentiable in both, to any order. On the CPU the mask token's is summed in float32, or
  ///          float64 for float64: the same bits for any number of threads.
  /// Throws:  c10::Error if the shapes or the devices do not fit; on the CPU also if an id is out of
  ///          range or the ids contradict each other, in forward or backward.
  /// Source:  MAE models_mae.py forward_decoder.
  /// Example: auto full = mask.restore(decoder_embed(latent), mask_token);
  at::Tensor restore(const at::Tensor& visible, const at::Tensor& mask_token) const;

  /// Puts `mask_token` in the place of the masked tokens: for encoders that see all of them. Reads `mask`
  /// alone, so that the samples may hide different numbers.
  ///
  /// Shape:   tokens [N,L,D], mask_token [D] or [1,1,D]; result [N,L,D].
  /// Dtype:   the wider of the two.
  /// Device:  that of the mask.
  /// Grad:    differentiable in both, to any order; the mask token's is summed as that of `restore`.
  /// Throws:  c10::Error if the shapes or the devices do not fit.
  /// Source:  BEiT modeling_pretrain.py forward_features, SimMIM models/simmim.py.
  /// Example: auto latent = encoder(mask.masked_fill(patch_embed(images), mask_token));
  at::Tensor masked_fill(const at::Tensor& tokens, const at::Tensor& mask_token) const;
};

}  // namespace v0
}  // namespace pixmim

#include "pixmim/detail/masking/token_mask.inl"
