// SPDX-License-Identifier: Apache-2.0
// MFF, "Improving Pixel-based MIM by Reducing Wasted Modeling Capability" (Liu et al., arXiv
// 2308.00261): MAE whose decoder is given features of several layers, so that the last layer need
// not carry the details of pixels.
#pragma once

#include <torch/nn.h>
#include <pixmim/token_mask.hpp>

#include <cstdint>
#include <string>
#include <vector>

#include "mae/mae.hpp"
#include "vit/patch_grid.hpp"

namespace mff {

/// `MultiLevelFusionOptions::vit("base").image_size(224)`
struct MultiLevelFusionOptions : vit::PatchGrid<MultiLevelFusionOptions> {
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
  TORCH_ARG(double, decoder_mlp_ratio) = 4;
  /// The layers that are fused, in ascending order; the last one has to be among them. These are
  /// those of the 800-epoch model; the 300-epoch one has 1, 3, 5, 7, 9, 11 (mmpretrain
  /// configs/mff).
  TORCH_ARG(std::vector<int64_t>, out_indices) = {0, 2, 4, 6, 8, 11};
  TORCH_ARG(bool, norm_pix_loss) = true;
  /// Less memory, more time: for the large ones.
  TORCH_ARG(bool, activation_checkpointing) = false;

 public:
  /// tiny, small, base, large or huge: as MAE's. Of the deeper two, for which OpenMMLab has no
  /// configuration, the layers of the same relative depths are fused.
  static MultiLevelFusionOptions vit(const std::string& size) {
    const auto host = mae::MaskedAutoencoderOptions::vit(size);
    const int64_t depth = host.depth();
    return MultiLevelFusionOptions()
        .patch_size(host.patch_size())
        .embed_dim(host.embed_dim())
        .depth(depth)
        .num_heads(host.num_heads())
        .out_indices(
            {0, depth * 2 / 12, depth * 4 / 12, depth * 6 / 12, depth * 8 / 12, depth - 1});
  }
};

struct MultiLevelFusionImpl : mae::MaskedAutoencoderOf<MultiLevelFusionOptions> {
  explicit MultiLevelFusionImpl(const MultiLevelFusionOptions& options)
      : MaskedAutoencoderOf(options, "MultiLevelFusion") {
    const auto& layers = options.out_indices();
    bool ascending = !layers.empty() && layers.front() >= 0;
    for (std::size_t i = 1; i < layers.size(); ++i) ascending &= layers[i - 1] < layers[i];
    TORCH_CHECK(ascending && layers.back() == options.depth() - 1,
                "MultiLevelFusion: expected out_indices to ascend from at least 0 to the last "
                "layer, ",
                options.depth() - 1, ", got ", at::IntArrayRef(layers));
    proj_layers = register_module("proj_layers", torch::nn::ModuleList());
    for (std::size_t i = 1; i < layers.size(); ++i) {
      proj_layers->push_back(torch::nn::Linear(options.embed_dim(), options.embed_dim()));
    }
    vit::initialize(*proj_layers);
    const auto count = static_cast<int64_t>(layers.size());
    proj_weights = register_parameter("proj_weights", torch::ones({count, 1, 1, 1}),
                                      /*requires_grad=*/count > 1);
  }

  /// images [N,C,H,W] -> latent [N,1+K,D], the weighted mean of the layers, normalised.
  torch::Tensor forward_encoder(const torch::Tensor& images,
                                const pixmim::TokenMask& mask) override {
    const auto levels = forward_levels(images, mask);
    // Of three dimensions, not none: under autocast the sum is then float32, as the official one.
    const auto weights = fusion_weights().view({-1, 1, 1, 1});
    auto fused = levels.back() * weights[-1];
    for (std::size_t i = 0; i < proj_layers->size(); ++i) {
      const auto projected = proj_layers->ptr<torch::nn::LinearImpl>(i)->forward(levels[i]);
      fused = fused + projected * weights[static_cast<int64_t>(i)];
    }
    return norm(fused);
  }

  /// What the layers `out_indices` give, [N,1+K,D] each.
  std::vector<torch::Tensor> forward_levels(const torch::Tensor& images,
                                            const pixmim::TokenMask& mask) {
    std::vector<torch::Tensor> levels;
    auto tokens = embed(images, mask);
    std::size_t next = 0;
    for (const int64_t layer : options.out_indices()) {
      while (next <= static_cast<std::size_t>(layer)) tokens = blocks->forward_one(next++, tokens);
      levels.push_back(tokens);
    }
    return levels;
  }

  /// The share of each level, [levels], of sum 1: worth a look while it trains.
  torch::Tensor fusion_weights() const { return proj_weights.flatten().softmax(0); }

  torch::nn::ModuleList proj_layers{nullptr};
  torch::Tensor proj_weights;
};
TORCH_MODULE(MultiLevelFusion);

}  // namespace mff
