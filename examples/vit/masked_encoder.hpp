// SPDX-License-Identifier: Apache-2.0
// The encoder of MAE and its kin: a Vision Transformer that sees the visible patches alone.
#pragma once

#include <torch/nn.h>
#include <pixmim/token_mask.hpp>

#include <cstdint>
#include <string>

#include "vit/block.hpp"
#include "vit/check.hpp"
#include "vit/initialization.hpp"
#include "vit/position_embedding.hpp"

namespace vit {

/// Hosts derive from it, so that its parameters have the official names: those of the host itself.
struct MaskedEncoder : torch::nn::Module {
  /// `name`: the host's, for messages. `options`: the host's. `block`: what a block of the encoder
  /// is.
  template <typename Options>
  MaskedEncoder(const char* name, const Options& options, const BlockOptions& block)
      : name_(name),
        in_chans_(options.in_chans()),
        image_size_(options.image_size()),
        activation_checkpointing_(options.activation_checkpointing()) {
    const int64_t patch_size = options.patch_size();
    expect_whole_patches(name, options.image_size(), patch_size);
    patch_embed =
        register_module("patch_embed", PatchEmbed(options.in_chans(), patch_size, block.dim()));
    cls_token = register_parameter("cls_token", token(block.dim()));
    pos_embed = register_positions("pos_embed", block.dim(), options.grid_h(), options.grid_w());
    blocks = register_blocks("blocks", options.depth(), block);
    norm = register_module("norm", layer_norm(block.dim()));
  }

  /// images [N,C,H,W] -> latent [N,1+K,D]: the class token, then the visible patches.
  virtual torch::Tensor forward_encoder(const torch::Tensor& images,
                                        const pixmim::TokenMask& mask) {
    return norm(blocks(embed(images, mask)));
  }

  PatchEmbed patch_embed{nullptr};
  torch::Tensor cls_token, pos_embed;
  Blocks blocks{nullptr};
  torch::nn::LayerNorm norm{nullptr};

 protected:
  /// images [N,C,H,W] -> what enters the first block, [N,1+K,D].
  torch::Tensor embed(const torch::Tensor& images, const pixmim::TokenMask& mask) {
    expect_images(name_, images, in_chans_, image_size_);
    const auto patches = patch_embed(images) + pos_embed.slice(1, 1);
    const auto prefix = (cls_token + pos_embed.slice(1, 0, 1)).expand({images.size(0), -1, -1});
    return torch::cat({prefix, mask.visible(patches)}, 1);
  }

  Blocks register_blocks(const std::string& name, int64_t depth, const BlockOptions& block) {
    Blocks made(depth, block);
    made->activation_checkpointing = activation_checkpointing_;
    return register_module(name, made);
  }

  /// Of a class token and a grid: [1,1+grid_h*grid_w,dim], fixed.
  torch::Tensor register_positions(const std::string& name, int64_t dim, int64_t grid_h,
                                   int64_t grid_w) {
    return register_parameter(name,
                              sincos_2d(dim, grid_h, grid_w, /*prefix_tokens=*/1).unsqueeze(0),
                              /*requires_grad=*/false);
  }

 private:
  const char* name_;
  int64_t in_chans_;
  torch::ExpandingArray<2> image_size_;
  bool activation_checkpointing_;
};

}  // namespace vit
