// SPDX-License-Identifier: Apache-2.0
// ConvMAE (Gao et al., arXiv 2205.03892) with the parameter names of the official code.
#pragma once

#include <torch/nn.h>
#include <pixmim/loss.hpp>
#include <pixmim/patches.hpp>
#include <pixmim/token_mask.hpp>

#include <cmath>
#include <cstdint>
#include <string>

#include "vit/block.hpp"
#include "vit/check.hpp"
#include "vit/initialization.hpp"
#include "vit/patch_grid.hpp"
#include "vit/position_embedding.hpp"
#include "vit/recompute.hpp"

namespace convmae {

// A token of the mask stands for a cell of 16x16 pixels: 4x4 positions of stage 1, 2x2 of stage 2,
// one of stage 3. In the stages of convolutions only the 5x5 one looks beyond its own position, and
// it sees zeros for what is masked; nothing else leaves a cell, and the decoder takes visible ones
// alone. So the stages compute the visible cells, [N*K,side,side,C]; the 5x5 one alone spreads them
// over the whole map. The numbers are those of the official code, which computes all cells, for
// about a quarter of the work and of the memory.

/// A convolution whose stride is its kernel's side p, as a product of matrices: of such small cells
/// LibTorch's convolution is an order of magnitude slower. [M,s,s,C] -> [M,s/p,s/p,D].
inline torch::Tensor convolve(const torch::nn::Conv2d& convolution, const torch::Tensor& cells) {
  const int64_t kernel = convolution->weight.size(2);
  const int64_t side = cells.size(1) / kernel;
  const auto patches = pixmim::patchify(cells.permute({0, 3, 1, 2}), kernel);
  const auto weight = convolution->weight.permute({0, 2, 3, 1}).flatten(1);
  return torch::linear(patches, weight, convolution->bias)
      .view({cells.size(0), side, side, weight.size(0)});
}

/// Takes `factor` x `factor` positions together: [M,s,s,C] -> [M,s/factor,s/factor,D].
struct PatchEmbedImpl : torch::nn::Module {
  PatchEmbedImpl(int64_t in_chans, int64_t factor, int64_t embed_dim) {
    proj = register_module(
        "proj",
        torch::nn::Conv2d(torch::nn::Conv2dOptions(in_chans, embed_dim, factor).stride(factor)));
    norm = register_module("norm", torch::nn::LayerNorm(torch::nn::LayerNormOptions({embed_dim})));
  }

  torch::Tensor forward(const torch::Tensor& cells) {
    return torch::gelu(norm(convolve(proj, cells)));
  }

  torch::nn::Conv2d proj{nullptr};
  torch::nn::LayerNorm norm{nullptr};
};
TORCH_MODULE(PatchEmbed);

struct CMlpImpl : torch::nn::Module {
  CMlpImpl(int64_t dim, int64_t hidden) {
    fc1 = register_module("fc1", torch::nn::Conv2d(torch::nn::Conv2dOptions(dim, hidden, 1)));
    fc2 = register_module("fc2", torch::nn::Conv2d(torch::nn::Conv2dOptions(hidden, dim, 1)));
  }

  torch::Tensor forward(const torch::Tensor& cells) {
    return convolve(fc2, torch::gelu(convolve(fc1, cells)));
  }

  torch::nn::Conv2d fc1{nullptr}, fc2{nullptr};
};
TORCH_MODULE(CMlp);

/// A transformer block with a masked 5x5 convolution for attention: [N*K,s,s,C] -> the same.
struct CBlockImpl : torch::nn::Module {
  CBlockImpl(int64_t dim, double mlp_ratio) {
    norm1 = register_module("norm1", torch::nn::LayerNorm(torch::nn::LayerNormOptions({dim})));
    conv1 = register_module("conv1", torch::nn::Conv2d(torch::nn::Conv2dOptions(dim, dim, 1)));
    conv2 = register_module("conv2", torch::nn::Conv2d(torch::nn::Conv2dOptions(dim, dim, 1)));
    attn = register_module(
        "attn", torch::nn::Conv2d(torch::nn::Conv2dOptions(dim, dim, 5).padding(2).groups(dim)));
    norm2 = register_module("norm2", torch::nn::LayerNorm(torch::nn::LayerNormOptions({dim})));
    mlp = register_module("mlp",
                          CMlp(dim, static_cast<int64_t>(static_cast<double>(dim) * mlp_ratio)));
  }

  torch::Tensor forward(const torch::Tensor& cells, const pixmim::TokenMask& mask,
                        torch::ExpandingArray<2> grid) {
    const auto mixed = attend(convolve(conv1, norm1(cells)), mask, grid);
    const auto attended = cells + convolve(conv2, mixed);
    return attended + mlp(norm2(attended));
  }

  torch::nn::LayerNorm norm1{nullptr}, norm2{nullptr};
  torch::nn::Conv2d conv1{nullptr}, conv2{nullptr}, attn{nullptr};
  CMlp mlp{nullptr};

 private:
  /// The 5x5 convolution over the whole map, with zeros in its masked cells.
  torch::Tensor attend(const torch::Tensor& cells, const pixmim::TokenMask& mask,
                       torch::ExpandingArray<2> grid) {
    const int64_t batch = mask.ids_keep.size(0);
    const int64_t rows = grid->at(0);
    const int64_t columns = grid->at(1);
    const int64_t side = cells.size(1);
    const int64_t dim = cells.size(3);
    const auto visible = cells.reshape({batch, -1, side * side * dim});
    // Channels last: there the depth-wise convolution is an order of magnitude faster on the CPU.
    const auto map = mask.restore(visible, visible.new_zeros({visible.size(2)}))
                         .view({batch, rows, columns, side, side, dim})
                         .transpose(2, 3)
                         .reshape({batch, rows * side, columns * side, dim})
                         .permute({0, 3, 1, 2});
    return mask.visible(pixmim::patchify(attn(map), side)).view(cells.sizes());
  }
};
TORCH_MODULE(CBlock);

/// `depth` of them, one after the other, named 0, 1, ...
struct CBlocksImpl : torch::nn::ModuleListImpl {
  CBlocksImpl(int64_t depth, int64_t dim, double mlp_ratio) {
    for (int64_t i = 0; i < depth; ++i) push_back(CBlock(dim, mlp_ratio));
  }

  torch::Tensor forward(torch::Tensor cells, const pixmim::TokenMask& mask,
                        torch::ExpandingArray<2> grid) {
    for (std::size_t i = 0; i < size(); ++i) {
      const auto run = [block = ptr<CBlockImpl>(i), mask, grid](const torch::Tensor& input,
                                                                const torch::Tensor& /*extra*/) {
        return block->forward(input, mask, grid);
      };
      cells = activation_checkpointing ? vit::recompute(run, cells) : run(cells, {});
    }
    return cells;
  }

  bool activation_checkpointing = false;
};
TORCH_MODULE(CBlocks);

/// `ConvMaskedAutoencoderOptions::base().image_size(224)`
struct ConvMaskedAutoencoderOptions : vit::PatchGrid<ConvMaskedAutoencoderOptions> {
  using Stages = torch::ExpandingArray<3>;
  using StageRatios = torch::ExpandingArray<3, double>;

  TORCH_ARG(torch::ExpandingArray<2>, image_size) = 224;
  TORCH_ARG(int64_t, in_chans) = 3;
  TORCH_ARG(Stages, embed_dim) = Stages({256, 384, 768});
  TORCH_ARG(Stages, depth) = Stages({2, 2, 11});
  /// Of stage 3: the others have no heads.
  TORCH_ARG(int64_t, num_heads) = 12;
  TORCH_ARG(int64_t, decoder_embed_dim) = 512;
  TORCH_ARG(int64_t, decoder_depth) = 8;
  TORCH_ARG(int64_t, decoder_num_heads) = 16;
  /// The decoder's is that of stage 1.
  TORCH_ARG(StageRatios, mlp_ratio) = 4;
  TORCH_ARG(bool, norm_pix_loss) = true;
  /// Less memory, more time: for the large ones.
  TORCH_ARG(bool, activation_checkpointing) = false;

 public:
  /// The one that the official code has, convmae_convvit_base_patch16.
  static ConvMaskedAutoencoderOptions base() { return {}; }

  /// Pixels of a cell: the strides 4, 2 and 2.
  int64_t patch_size() const { return 16; }
};

struct ConvMaskedAutoencoderImpl : torch::nn::Module {
  explicit ConvMaskedAutoencoderImpl(const ConvMaskedAutoencoderOptions& options)
      : options(options) {
    const auto& o = this->options;
    const auto& dim = *o.embed_dim();
    vit::expect_whole_patches("ConvMaskedAutoencoder", o.image_size(), o.patch_size());
    patch_embed1 = register_module("patch_embed1", PatchEmbed(o.in_chans(), 4, dim[0]));
    patch_embed2 = register_module("patch_embed2", PatchEmbed(dim[0], 2, dim[1]));
    patch_embed3 = register_module("patch_embed3", PatchEmbed(dim[1], 2, dim[2]));
    patch_embed4 = register_module("patch_embed4", torch::nn::Linear(dim[2], dim[2]));
    stage1_output_decode = make_output_decode("stage1_output_decode", dim[0], 4);
    stage2_output_decode = make_output_decode("stage2_output_decode", dim[1], 2);
    pos_embed = register_parameter("pos_embed", positions(dim[2]), /*requires_grad=*/false);
    blocks1 = make_convolution_blocks("blocks1", 0);
    blocks2 = make_convolution_blocks("blocks2", 1);
    blocks3 = make_blocks("blocks3", o.depth()->at(2),
                          vit::BlockOptions(dim[2], o.num_heads()).mlp_ratio(o.mlp_ratio()->at(2)));
    norm = register_module("norm", vit::layer_norm(dim[2]));

    decoder_embed =
        register_module("decoder_embed", torch::nn::Linear(dim[2], o.decoder_embed_dim()));
    mask_token = register_parameter("mask_token", vit::token(o.decoder_embed_dim()));
    decoder_pos_embed = register_parameter("decoder_pos_embed", positions(o.decoder_embed_dim()),
                                           /*requires_grad=*/false);
    decoder_blocks = make_blocks("decoder_blocks", o.decoder_depth(),
                                 vit::BlockOptions(o.decoder_embed_dim(), o.decoder_num_heads())
                                     .mlp_ratio(o.mlp_ratio()->at(0)));
    decoder_norm = register_module("decoder_norm", vit::layer_norm(o.decoder_embed_dim()));
    decoder_pred = register_module(
        "decoder_pred",
        torch::nn::Linear(o.decoder_embed_dim(), o.patch_size() * o.patch_size() * o.in_chans()));

    vit::initialize(*this);
    const torch::NoGradGuard no_grad;
    // Of the convolutions this one alone; the others start as LibTorch starts them.
    torch::nn::init::xavier_uniform_(patch_embed3->proj->weight.flatten(1));
  }

  /// images [N,C,H,W] -> latent [N,K,D]: the visible cells, of all three stages.
  torch::Tensor forward_encoder(const torch::Tensor& images, const pixmim::TokenMask& mask) {
    vit::expect_images("ConvMaskedAutoencoder", images, options.in_chans(), options.image_size());
    const int64_t batch = images.size(0);
    const int64_t side = options.patch_size();
    const torch::ExpandingArray<2> grid({options.grid_h(), options.grid_w()});
    const auto patches = mask.visible(pixmim::patchify(images, side));
    const int64_t kept = patches.size(1);
    TORCH_CHECK(kept > 0,
                "ConvMaskedAutoencoder: expected a mask that keeps a token, got one that "
                "keeps none of ",
                options.num_patches());
    const auto as_tokens = [&](const torch::Tensor& cells) {
      return cells.reshape({batch, kept, cells.size(3)});
    };

    const auto pixels = patches.view({batch * kept, side, side, options.in_chans()});
    const auto stage1 = blocks1(patch_embed1(pixels), mask, grid);
    const auto stage2 = blocks2(patch_embed2(stage1), mask, grid);
    const auto stage3 = blocks3(patch_embed4(as_tokens(patch_embed3(stage2))) +
                                mask.visible(pos_embed.expand({batch, -1, -1})));
    return norm(stage3 + as_tokens(convolve(stage1_output_decode, stage1)) +
                as_tokens(convolve(stage2_output_decode, stage2)));
  }

  /// latent [N,K,D] -> prediction [N,L,p*p*C].
  torch::Tensor forward_decoder(const torch::Tensor& latent, const pixmim::TokenMask& mask) {
    const auto visible = decoder_embed(latent);
    const auto tokens =
        mask.restore(visible, mask_token.to(visible.scalar_type())) + decoder_pos_embed;
    return decoder_pred(decoder_norm(decoder_blocks(tokens)));
  }

  /// images [N,C,H,W] -> prediction [N,L,p*p*C].
  torch::Tensor forward(const torch::Tensor& images, const pixmim::TokenMask& mask) {
    return forward_decoder(forward_encoder(images, mask), mask);
  }

  /// The loss against `target`, [N,C,H,W] or in patches [N,L,p*p*C]: the images themselves for
  /// ConvMAE, low-passed for PixMIM.
  torch::Tensor loss(const torch::Tensor& images, const torch::Tensor& target,
                     const pixmim::TokenMask& mask) {
    return pixmim::masked_pixel_loss(
        forward(images, mask), target, mask,
        pixmim::PixelLossOptions(options.patch_size()).norm_pix(options.norm_pix_loss()));
  }

  ConvMaskedAutoencoderOptions options;
  PatchEmbed patch_embed1{nullptr}, patch_embed2{nullptr}, patch_embed3{nullptr};
  torch::nn::Linear patch_embed4{nullptr};
  torch::nn::Conv2d stage1_output_decode{nullptr}, stage2_output_decode{nullptr};
  torch::Tensor pos_embed, mask_token, decoder_pos_embed;
  CBlocks blocks1{nullptr}, blocks2{nullptr};
  vit::Blocks blocks3{nullptr}, decoder_blocks{nullptr};
  torch::nn::LayerNorm norm{nullptr}, decoder_norm{nullptr};
  torch::nn::Linear decoder_embed{nullptr}, decoder_pred{nullptr};

 private:
  torch::nn::Conv2d make_output_decode(const std::string& name, int64_t dim, int64_t side) {
    return register_module(
        name, torch::nn::Conv2d(
                  torch::nn::Conv2dOptions(dim, options.embed_dim()->at(2), side).stride(side)));
  }

  CBlocks make_convolution_blocks(const std::string& name, std::size_t stage) {
    CBlocks made(options.depth()->at(stage), options.embed_dim()->at(stage),
                 options.mlp_ratio()->at(stage));
    made->activation_checkpointing = options.activation_checkpointing();
    return register_module(name, made);
  }

  vit::Blocks make_blocks(const std::string& name, int64_t depth,
                          const vit::BlockOptions& block_options) {
    vit::Blocks made(depth, block_options);
    made->activation_checkpointing = options.activation_checkpointing();
    return register_module(name, made);
  }

  torch::Tensor positions(int64_t dim) const {
    return vit::sincos_2d(dim, options.grid_h(), options.grid_w()).unsqueeze(0);
  }
};
TORCH_MODULE(ConvMaskedAutoencoder);

}  // namespace convmae
