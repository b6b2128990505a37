// SPDX-License-Identifier: Apache-2.0
// SimMIM (Xie et al., arXiv 2111.09886) for Vision Transformers, with the parameter names of the
// official code.
#pragma once

#include <torch/nn.h>
#include <pixmim/loss.hpp>
#include <pixmim/token_mask.hpp>

#include <cmath>
#include <cstdint>
#include <optional>
#include <string>

#include "vit/block.hpp"
#include "vit/check.hpp"
#include "vit/encoder_size.hpp"
#include "vit/initialization.hpp"
#include "vit/patch_grid.hpp"
#include "vit/relative_position_bias.hpp"

namespace simmim {

/// `SimMIMOptions::vit("base").image_size(224)`
struct SimMIMOptions : vit::PatchGrid<SimMIMOptions> {
  TORCH_ARG(torch::ExpandingArray<2>, image_size) = 224;
  TORCH_ARG(int64_t, patch_size) = 16;
  TORCH_ARG(int64_t, in_chans) = 3;
  TORCH_ARG(int64_t, embed_dim) = 768;
  TORCH_ARG(int64_t, depth) = 12;
  TORCH_ARG(int64_t, num_heads) = 12;
  TORCH_ARG(double, mlp_ratio) = 4;
  /// One relative position bias for all blocks.
  TORCH_ARG(bool, use_shared_rel_pos_bias) = true;
  /// Learnt absolute positions.
  TORCH_ARG(bool, use_abs_pos_emb) = false;
  /// Where the layer scale starts; none: no layer scale.
  TORCH_ARG(std::optional<double>, init_values) = 0.1;
  /// How often training leaves out a branch of the last block, and of others in proportion.
  TORCH_ARG(double, drop_path) = 0;
  TORCH_ARG(bool, norm_pix_loss) = false;
  /// Less memory, more time: for the large ones.
  TORCH_ARG(bool, activation_checkpointing) = false;

 public:
  /// tiny, small, base, large or huge: the encoders of the field. SimMIM has published base.
  static SimMIMOptions vit(const std::string& size) {
    return vit::with_encoder(SimMIMOptions(), vit::encoder_size("SimMIMOptions::vit", size));
  }
};

/// A Vision Transformer that sees a mask token in the place of every masked patch.
struct VisionTransformerImpl : torch::nn::Module {
  explicit VisionTransformerImpl(const SimMIMOptions& options) : options(options) {
    const auto& o = this->options;
    cls_token = register_parameter("cls_token", torch::empty({1, 1, o.embed_dim()}));
    if (o.use_abs_pos_emb()) {
      pos_embed =
          register_parameter("pos_embed", torch::empty({1, 1 + o.num_patches(), o.embed_dim()}));
    }
    mask_token = register_parameter("mask_token", torch::empty({1, 1, o.embed_dim()}));
    patch_embed = register_module("patch_embed",
                                  vit::PatchEmbed(o.in_chans(), o.patch_size(), o.embed_dim()));
    if (o.use_shared_rel_pos_bias()) {
      rel_pos_bias = register_module(
          "rel_pos_bias", vit::RelativePositionBias(o.grid_h(), o.grid_w(), o.num_heads()));
    }
    blocks = register_module("blocks",
                             vit::Blocks(o.depth(), vit::BlockOptions(o.embed_dim(), o.num_heads())
                                                        .mlp_ratio(o.mlp_ratio())
                                                        .qkv_bias(vit::QkvBias::NoKey)
                                                        .drop_path(o.drop_path())
                                                        .layer_scale(o.init_values())));
    blocks->activation_checkpointing = o.activation_checkpointing();
    norm = register_module("norm", vit::layer_norm(o.embed_dim()));
    initialize();
  }

  /// images [N,C,H,W] -> latent [N,L,D] of all patches; the class token stays behind.
  torch::Tensor forward(const torch::Tensor& images, const pixmim::TokenMask& mask) {
    expect_inputs(images, mask);
    const auto patches = mask.masked_fill(patch_embed(images), mask_token);
    auto tokens = torch::cat({cls_token.expand({images.size(0), -1, -1}), patches}, 1);
    if (pos_embed.defined()) tokens = tokens + pos_embed;
    return norm(blocks(tokens, rel_pos_bias ? rel_pos_bias() : torch::Tensor())).slice(1, 1);
  }

  SimMIMOptions options;
  torch::Tensor cls_token, pos_embed, mask_token;
  vit::PatchEmbed patch_embed{nullptr};
  vit::RelativePositionBias rel_pos_bias{nullptr};
  vit::Blocks blocks{nullptr};
  torch::nn::LayerNorm norm{nullptr};

 private:
  /// Truncated normals everywhere, the last matrix of every branch the smaller the deeper it is.
  void initialize() {
    const torch::NoGradGuard no_grad;
    const auto start = [](torch::Tensor& weight) { vit::trunc_normal_(weight, 0.02, 1); };
    for (auto* token : {&cls_token, &pos_embed, &mask_token}) {
      if (token->defined()) start(*token);
    }
    start(patch_embed->proj->weight);
    patch_embed->proj->bias.zero_();
    for (const auto& module : modules(/*include_self=*/false)) {
      if (auto* linear = module->as<torch::nn::Linear>()) {
        start(linear->weight);
        if (linear->bias.defined()) linear->bias.zero_();
      }
    }
    for (std::size_t i = 0; i < blocks->size(); ++i) {
      const auto block = blocks->ptr<vit::BlockImpl>(i);
      const double scale = std::sqrt(2.0 * static_cast<double>(i + 1));
      block->attn->proj->weight.div_(scale);
      block->mlp->fc2->weight.div_(scale);
    }
  }

  void expect_inputs(const torch::Tensor& images, const pixmim::TokenMask& mask) const {
    vit::expect_images("SimMIM", images, options.in_chans(), options.image_size());
    TORCH_CHECK(mask.mask.dim() == 2 && mask.mask.size(0) == images.size(0) &&
                    mask.mask.size(1) == options.num_patches(),
                "SimMIM: expected a mask of shape [", images.size(0), ",", options.num_patches(),
                "], got ", mask.mask.sizes());
  }
};
TORCH_MODULE(VisionTransformer);

struct SimMIMImpl : torch::nn::Module {
  explicit SimMIMImpl(const SimMIMOptions& options) : options(options) {
    const auto& o = this->options;
    vit::expect_whole_patches("SimMIM", o.image_size(), o.patch_size());
    encoder = register_module("encoder", VisionTransformer(o));
    // The official decoder is a 1x1 convolution and a PixelShuffle, which has no parameters.
    const int64_t area = o.patch_size() * o.patch_size();
    decoder =
        register_module("decoder", torch::nn::Sequential(torch::nn::Conv2d(torch::nn::Conv2dOptions(
                                       o.embed_dim(), o.in_chans() * area, 1))));
  }

  /// images [N,C,H,W] -> latent [N,L,D], masked patches included.
  torch::Tensor forward_encoder(const torch::Tensor& images, const pixmim::TokenMask& mask) {
    return encoder(images, mask);
  }

  /// latent [N,L,D] -> prediction [N,L,p*p*C].
  torch::Tensor forward_decoder(const torch::Tensor& latent) {
    // PixelShuffle takes the channels in the order (c, h, w), a patch has them as (h, w, c): put
    // the rows of the weight in order, and there is nothing to shuffle.
    const auto convolution = decoder->ptr<torch::nn::Conv2dImpl>(0);
    const auto in_patch_order = [&](const torch::Tensor& rows) {
      return rows.view({options.in_chans(), -1, rows.size(1)}).transpose(0, 1).flatten(0, 1);
    };
    return torch::linear(latent, in_patch_order(convolution->weight.flatten(1)),
                         in_patch_order(convolution->bias.unsqueeze(1)).squeeze(1));
  }

  /// images [N,C,H,W] -> prediction [N,L,p*p*C].
  torch::Tensor forward(const torch::Tensor& images, const pixmim::TokenMask& mask) {
    return forward_decoder(forward_encoder(images, mask));
  }

  /// The L1 loss against `target`, [N,C,H,W] or in patches [N,L,p*p*C]: the images themselves for
  /// SimMIM, low-passed for PixMIM.
  torch::Tensor loss(const torch::Tensor& images, const torch::Tensor& target,
                     const pixmim::TokenMask& mask) {
    return pixmim::masked_pixel_loss(forward(images, mask), target, mask,
                                     pixmim::PixelLossOptions(options.patch_size())
                                         .norm(pixmim::PixelNorm::L1)
                                         .norm_pix(options.norm_pix_loss()));
  }

  SimMIMOptions options;
  VisionTransformer encoder{nullptr};
  torch::nn::Sequential decoder{nullptr};
};
TORCH_MODULE(SimMIM);

}  // namespace simmim
