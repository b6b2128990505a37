// SPDX-License-Identifier: Apache-2.0
// Masked Autoencoder (He et al., arXiv 2111.06377) with the parameter names of the official code.
#pragma once

#include <torch/nn.h>
#include <pixmim/loss.hpp>
#include <pixmim/token_mask.hpp>

#include <cstdint>
#include <string>

#include "vit/block.hpp"
#include "vit/initialization.hpp"
#include "vit/position_embedding.hpp"

namespace mae {

/// `MaskedAutoencoderOptions::vit("base").image_size(224)`
struct MaskedAutoencoderOptions {
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
    if (size == "tiny") return of_encoder(192, 12, 3);
    if (size == "small") return of_encoder(384, 12, 6);
    if (size == "base") return of_encoder(768, 12, 12);
    if (size == "large") return of_encoder(1024, 24, 16);
    if (size == "huge") return of_encoder(1280, 32, 16).patch_size(14);
    TORCH_CHECK(false,
                "MaskedAutoencoderOptions::vit: expected size to be tiny, small, base, large or "
                "huge, got ",
                size);
  }

  int64_t grid_h() const { return image_size_->at(0) / patch_size_; }
  int64_t grid_w() const { return image_size_->at(1) / patch_size_; }
  int64_t num_patches() const { return grid_h() * grid_w(); }

 private:
  static MaskedAutoencoderOptions of_encoder(int64_t dim, int64_t depth, int64_t heads) {
    return MaskedAutoencoderOptions().embed_dim(dim).depth(depth).num_heads(heads);
  }
};

struct MaskedAutoencoderImpl : torch::nn::Module {
  explicit MaskedAutoencoderImpl(const MaskedAutoencoderOptions& options) : options(options) {
    const auto& o = this->options;
    TORCH_CHECK(o.patch_size() > 0 && o.image_size()->at(0) % o.patch_size() == 0 &&
                    o.image_size()->at(1) % o.patch_size() == 0 && o.num_patches() > 0,
                "MaskedAutoencoder: expected image_size to be a multiple of patch_size, ",
                o.patch_size(), ", got ", o.image_size());
    patch_embed = register_module("patch_embed",
                                  vit::PatchEmbed(o.in_chans(), o.patch_size(), o.embed_dim()));
    cls_token = register_parameter("cls_token", vit::token(o.embed_dim()));
    pos_embed = register_parameter("pos_embed", positions(o.embed_dim()), /*requires_grad=*/false);
    blocks = make_blocks("blocks", o.depth(), o.embed_dim(), o.num_heads());
    norm = register_module("norm", vit::layer_norm(o.embed_dim()));

    decoder_embed =
        register_module("decoder_embed", torch::nn::Linear(o.embed_dim(), o.decoder_embed_dim()));
    mask_token = register_parameter("mask_token", vit::token(o.decoder_embed_dim()));
    decoder_pos_embed = register_parameter("decoder_pos_embed", positions(o.decoder_embed_dim()),
                                           /*requires_grad=*/false);
    decoder_blocks = make_blocks("decoder_blocks", o.decoder_depth(), o.decoder_embed_dim(),
                                 o.decoder_num_heads());
    decoder_norm = register_module("decoder_norm", vit::layer_norm(o.decoder_embed_dim()));
    decoder_pred = register_module(
        "decoder_pred",
        torch::nn::Linear(o.decoder_embed_dim(), o.patch_size() * o.patch_size() * o.in_chans()));
    vit::initialize(*this);
  }

  /// images [N,C,H,W] -> latent [N,1+K,D]: the class token, then the visible patches.
  torch::Tensor forward_encoder(const torch::Tensor& images, const pixmim::TokenMask& mask) {
    const auto patches = patch_embed(images) + pos_embed.slice(1, 1);
    const auto prefix = (cls_token + pos_embed.slice(1, 0, 1)).expand({images.size(0), -1, -1});
    return norm(blocks(torch::cat({prefix, mask.visible(patches)}, 1)));
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

  MaskedAutoencoderOptions options;
  vit::PatchEmbed patch_embed{nullptr};
  torch::Tensor cls_token, pos_embed, mask_token, decoder_pos_embed;
  vit::Blocks blocks{nullptr}, decoder_blocks{nullptr};
  torch::nn::LayerNorm norm{nullptr}, decoder_norm{nullptr};
  torch::nn::Linear decoder_embed{nullptr}, decoder_pred{nullptr};

 private:
  vit::Blocks make_blocks(const std::string& name, int64_t depth, int64_t dim, int64_t num_heads) {
    vit::Blocks made(depth, vit::BlockOptions(dim, num_heads).mlp_ratio(options.mlp_ratio()));
    made->activation_checkpointing = options.activation_checkpointing();
    return register_module(name, made);
  }

  torch::Tensor positions(int64_t dim) const {
    return vit::sincos_2d(dim, options.grid_h(), options.grid_w(), /*prefix_tokens=*/1)
        .unsqueeze(0);
  }
};
TORCH_MODULE(MaskedAutoencoder);

}  // namespace mae
