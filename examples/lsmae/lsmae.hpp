// SPDX-License-Identifier: Apache-2.0
// LSMAE, "Exploring Long-Sequence Masked Autoencoders" (Hu et al., arXiv 2210.07224), with the
// parameter names of the official code: MAE on images of twice the side, with four times the
// patches. They are masked in blocks of 2x2, so that what is hidden is as large as in MAE:
// `pixmim::joint_mask(N, 28, 28, 0.75, /*block=*/2)`.
#pragma once

#include <torch/nn.h>
#include <pixmim/loss.hpp>
#include <pixmim/token_mask.hpp>

#include <cstdint>
#include <string>

#include "vit/block.hpp"
#include "vit/encoder_size.hpp"
#include "vit/initialization.hpp"
#include "vit/masked_encoder.hpp"
#include "vit/patch_grid.hpp"

namespace lsmae {

/// `LongSequenceMaskedAutoencoderOptions::vit("base").decoder_downsampling(2)`
struct LongSequenceMaskedAutoencoderOptions : vit::PatchGrid<LongSequenceMaskedAutoencoderOptions> {
  TORCH_ARG(torch::ExpandingArray<2>, image_size) = 448;
  TORCH_ARG(int64_t, patch_size) = 16;
  TORCH_ARG(int64_t, in_chans) = 3;
  TORCH_ARG(int64_t, embed_dim) = 768;
  TORCH_ARG(int64_t, depth) = 12;
  TORCH_ARG(int64_t, num_heads) = 12;
  TORCH_ARG(int64_t, decoder_embed_dim) = 384;
  TORCH_ARG(int64_t, decoder_depth) = 8;
  TORCH_ARG(int64_t, decoder_num_heads) = 12;
  TORCH_ARG(double, mlp_ratio) = 4;
  /// The side of the blocks of patches that the decoder makes one token of, to have fewer.
  TORCH_ARG(int64_t, decoder_downsampling) = 1;
  /// The side, in patches, of the squares that are predicted and that norm_pix normalises. If it is
  /// less than decoder_downsampling, tokens are spread over the finer grid again.
  TORCH_ARG(int64_t, pred_downsampling) = 1;
  /// No bias of the keys.
  TORCH_ARG(bool, no_k_bias) = false;
  TORCH_ARG(bool, norm_pix_loss) = true;
  /// Less memory, more time: for the large ones.
  TORCH_ARG(bool, activation_checkpointing) = false;

 public:
  /// base or large, the published ones; tiny and small have base's decoder, huge has large's.
  static LongSequenceMaskedAutoencoderOptions vit(const std::string& size) {
    const auto options =
        vit::with_encoder(LongSequenceMaskedAutoencoderOptions(),
                          vit::encoder_size("LongSequenceMaskedAutoencoderOptions::vit", size));
    const bool large = size == "large" || size == "huge";
    return large ? with_large_decoder(options) : options;
  }

  /// The side of what is predicted, in pixels.
  int64_t prediction_patch_size() const { return pred_downsampling_ * patch_size_; }

 private:
  static LongSequenceMaskedAutoencoderOptions with_large_decoder(
      LongSequenceMaskedAutoencoderOptions options) {
    return options.decoder_embed_dim(512).decoder_num_heads(16);
  }
};

struct LongSequenceMaskedAutoencoderImpl : vit::MaskedEncoder {
  explicit LongSequenceMaskedAutoencoderImpl(const LongSequenceMaskedAutoencoderOptions& options)
      : MaskedEncoder("LongSequenceMaskedAutoencoder", options,
                      block(options, options.embed_dim(), options.num_heads())),
        options(options) {
    const int64_t down = options.decoder_downsampling();
    const int64_t pred = options.pred_downsampling();
    TORCH_CHECK(down > 0 && options.grid_h() % down == 0 && options.grid_w() % down == 0,
                "LongSequenceMaskedAutoencoder: expected decoder_downsampling to divide the grid, ",
                options.grid_h(), "x", options.grid_w(), ", got ", down);
    TORCH_CHECK(pred > 0 && down % pred == 0,
                "LongSequenceMaskedAutoencoder: expected pred_downsampling to divide "
                "decoder_downsampling, ",
                down, ", got ", pred);
    const int64_t dim = options.decoder_embed_dim();
    decoder_embed = register_module("decoder_embed", torch::nn::Linear(options.embed_dim(), dim));
    mask_token = register_parameter("mask_token", vit::token(dim));
    if (down > 1) {
      decoder_downsample =
          register_module("decoder_downsample",
                          torch::nn::Conv2d(torch::nn::Conv2dOptions(dim, dim, down).stride(down)));
    }
    decoder_pos_embed = register_positions("decoder_pos_embed", dim, options.grid_h() / down,
                                           options.grid_w() / down);
    decoder_blocks = register_blocks("decoder_blocks", options.decoder_depth(),
                                     block(options, dim, options.decoder_num_heads()));
    if (const int64_t up = down / pred; up > 1) {
      // The official code has `down` for `up`, which is the same where that code works.
      decoder_upsample = register_module(
          "decoder_upsample",
          torch::nn::ConvTranspose2d(torch::nn::ConvTranspose2dOptions(dim, dim, up).stride(up)));
    }
    decoder_norm = register_module("decoder_norm", vit::layer_norm(dim));
    const int64_t side = options.prediction_patch_size();
    decoder_pred =
        register_module("decoder_pred", torch::nn::Linear(dim, side * side * options.in_chans()));
    vit::initialize(*this);
  }

  /// latent [N,1+K,D] -> prediction [N,L',p'*p'*C], p' = prediction_patch_size.
  torch::Tensor forward_decoder(const torch::Tensor& latent, const pixmim::TokenMask& mask) {
    const auto tokens = decoder_embed(latent);
    auto patches = mask.restore(tokens.slice(1, 1), mask_token.to(tokens.scalar_type()));
    const int64_t grid_h = options.grid_h();
    if (decoder_downsample) patches = on_grid(decoder_downsample, patches, grid_h);
    patches = torch::cat({tokens.slice(1, 0, 1), patches}, 1) + decoder_pos_embed;
    patches = decoder_blocks(patches).slice(1, 1);
    if (decoder_upsample) {
      patches = on_grid(decoder_upsample, patches, grid_h / options.decoder_downsampling());
    }
    return decoder_pred(decoder_norm(patches));
  }

  /// images [N,C,H,W] -> prediction [N,L',p'*p'*C].
  torch::Tensor forward(const torch::Tensor& images, const pixmim::TokenMask& mask) {
    return forward_decoder(forward_encoder(images, mask), mask);
  }

  /// The loss against `target`, [N,C,H,W] or in patches [N,L',p'*p'*C]: the images themselves for
  /// LSMAE, low-passed for PixMIM.
  torch::Tensor loss(const torch::Tensor& images, const torch::Tensor& target,
                     const pixmim::TokenMask& mask) {
    return pixmim::masked_pixel_loss(forward(images, mask), target, loss_weights(mask),
                                     pixmim::PixelLossOptions(options.prediction_patch_size())
                                         .norm_pix(options.norm_pix_loss()));
  }

  /// What a prediction counts: the hidden share of it, [N,L'].
  torch::Tensor loss_weights(const pixmim::TokenMask& mask) const {
    if (options.pred_downsampling() == 1) return mask.mask;
    const auto grid = mask.mask.unflatten(1, {1, options.grid_h(), options.grid_w()});
    return torch::avg_pool2d(grid, options.pred_downsampling()).flatten(1);
  }

  LongSequenceMaskedAutoencoderOptions options;
  torch::nn::Linear decoder_embed{nullptr}, decoder_pred{nullptr};
  torch::Tensor mask_token, decoder_pos_embed;
  torch::nn::Conv2d decoder_downsample{nullptr};
  torch::nn::ConvTranspose2d decoder_upsample{nullptr};
  vit::Blocks decoder_blocks{nullptr};
  torch::nn::LayerNorm decoder_norm{nullptr};

 private:
  static vit::BlockOptions block(const LongSequenceMaskedAutoencoderOptions& options, int64_t dim,
                                 int64_t num_heads) {
    return vit::BlockOptions(dim, num_heads)
        .mlp_ratio(options.mlp_ratio())
        .qkv_bias(options.no_k_bias() ? vit::QkvBias::NoKey : vit::QkvBias::All);
  }

  /// The tokens [N,L,D] of a grid through a convolution.
  template <typename Convolution>
  static torch::Tensor on_grid(Convolution& convolution, const torch::Tensor& tokens,
                               int64_t grid_h) {
    const auto map = tokens.transpose(1, 2).unflatten(2, {grid_h, -1});
    return convolution->forward(map).flatten(2).transpose(1, 2);
  }
};
TORCH_MODULE(LongSequenceMaskedAutoencoder);

}  // namespace lsmae
