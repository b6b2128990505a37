// SPDX-License-Identifier: Apache-2.0
// Masked Autoencoder (He et al., arXiv 2111.06377) with the parameter names of the official code.
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

namespace mae {

/// `MaskedAutoencoderOptions::vit("base").image_size(224)`
struct MaskedAutoencoderOptions : vit::PatchGrid<MaskedAutoencoderOptions> {
  TORCH_ARG(torch::ExpandingArray<2>, image_size) = 224;
  TORCH_ARG(int64_t, patch_size) = 16;
  TORCH_ARG(int64_t, in_chans) = 3;
  TORCH_ARG(int64_t, embed_dim) = 768;
  TORCH_ARG(int64_t, depth) = 12;
  TORCH_ARG(int64_t, num_heads) = 12;
  TORCH_ARG(int64_t, decoder_embed_dim) = 512;
  TORCH_ARG(int64_t, decoder_depth) = 8;
  TORCH_ARG(int64_t, decoder_num_heads) = 16;
  TORCH_ARG(double, mlp_ratio) = 4;
  TORCH_ARG(bool, norm_pix_loss) = true;
  /// Less memory, more time: for the large ones.
  TORCH_ARG(bool, activation_checkpointing) = false;

 public:
  /// tiny, small, base, large or huge: the encoders of the field, each with MAE's decoder.
  static MaskedAutoencoderOptions vit(const std::string& size) {
    return vit::with_encoder(MaskedAutoencoderOptions(),
                             vit::encoder_size("MaskedAutoencoderOptions::vit", size));
  }

  double decoder_mlp_ratio() const { return mlp_ratio_; }
};

/// MAE with the options of a host: its own, or those of a host that is MAE and more.
template <typename Options>
struct MaskedAutoencoderOf : vit::MaskedEncoder {
  explicit MaskedAutoencoderOf(const Options& options, const char* name = "MaskedAutoencoder")
      : MaskedEncoder(name, options,
                      vit::BlockOptions(options.embed_dim(), options.num_heads())
                          .mlp_ratio(options.mlp_ratio())),
        options(options) {
    const int64_t dim = options.decoder_embed_dim();
    decoder_embed = register_module("decoder_embed", torch::nn::Linear(options.embed_dim(), dim));
    mask_token = register_parameter("mask_token", vit::token(dim));
    decoder_pos_embed =
        register_positions("decoder_pos_embed", dim, options.grid_h(), options.grid_w());
    decoder_blocks = register_blocks(
        "decoder_blocks", options.decoder_depth(),
        vit::BlockOptions(dim, options.decoder_num_heads()).mlp_ratio(options.decoder_mlp_ratio()));
    decoder_norm = register_module("decoder_norm", vit::layer_norm(dim));
    decoder_pred = register_module(
        "decoder_pred",
        torch::nn::Linear(dim, options.patch_size() * options.patch_size() * options.in_chans()));
    vit::initialize(*this);
  }

  /// latent [N,1+K,D] -> prediction [N,L,p*p*C].
  torch::Tensor forward_decoder(const torch::Tensor& latent, const pixmim::TokenMask& mask) {
    const auto tokens = decoder_embed(latent);
    const auto patches = mask.restore(tokens.slice(1, 1), mask_token.to(tokens.scalar_type()));
    const auto full = torch::cat({tokens.slice(1, 0, 1), patches}, 1) + decoder_pos_embed;
    return decoder_pred(decoder_norm(decoder_blocks(full))).slice(1, 1);
  }

  /// images [N,C,H,W] -> prediction [N,L,p*p*C].
  torch::Tensor forward(const torch::Tensor& images, const pixmim::TokenMask& mask) {
    return forward_decoder(forward_encoder(images, mask), mask);
  }

  /// The loss against `target`, [N,C,H,W] or in patches [N,L,p*p*C]: the images themselves for MAE,
  /// low-passed for PixMIM.
  torch::Tensor loss(const torch::Tensor& images, const torch::Tensor& target,
                     const pixmim::TokenMask& mask) {
    return pixmim::masked_pixel_loss(
        forward(images, mask), target, mask,
        pixmim::PixelLossOptions(options.patch_size()).norm_pix(options.norm_pix_loss()));
  }

  Options options;
  torch::nn::Linear decoder_embed{nullptr}, decoder_pred{nullptr};
  torch::Tensor mask_token, decoder_pos_embed;
  vit::Blocks decoder_blocks{nullptr};
  torch::nn::LayerNorm decoder_norm{nullptr};
};

using MaskedAutoencoderImpl = MaskedAutoencoderOf<MaskedAutoencoderOptions>;
TORCH_MODULE(MaskedAutoencoder);

}  // namespace mae
