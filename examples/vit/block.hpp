// SPDX-License-Identifier: Apache-2.0
// The parts of a Vision Transformer (arXiv 2010.11929) with timm's parameter names.
#pragma once

#include <torch/nn.h>

#include <cmath>
#include <cstdint>

namespace vit {

inline torch::nn::LayerNorm layer_norm(int64_t dim) {
  return torch::nn::LayerNorm(torch::nn::LayerNormOptions({dim}).eps(1e-6));
}

/// Multi-head self-attention: [N,L,D] -> [N,L,D].
struct AttentionImpl : torch::nn::Module {
  AttentionImpl(int64_t dim, int64_t num_heads) : num_heads(num_heads) {
    TORCH_CHECK(dim % num_heads == 0, "Attention: expected dim to be a multiple of num_heads, got ",
                dim, " and ", num_heads);
    qkv = register_module("qkv", torch::nn::Linear(dim, 3 * dim));
    proj = register_module("proj", torch::nn::Linear(dim, dim));
  }

  torch::Tensor forward(const torch::Tensor& tokens) {
    const int64_t batch = tokens.size(0);
    const int64_t length = tokens.size(1);
    const int64_t dim = tokens.size(2);
    const auto heads =
        qkv(tokens).view({batch, length, 3, num_heads, dim / num_heads}).permute({2, 0, 3, 1, 4});
    const auto mixed = torch::scaled_dot_product_attention(heads[0], heads[1], heads[2]);
    return proj(mixed.transpose(1, 2).reshape({batch, length, dim}));
  }

  int64_t num_heads;
  torch::nn::Linear qkv{nullptr}, proj{nullptr};
};
TORCH_MODULE(Attention);

struct MlpImpl : torch::nn::Module {
  MlpImpl(int64_t dim, int64_t hidden) {
    fc1 = register_module("fc1", torch::nn::Linear(dim, hidden));
    fc2 = register_module("fc2", torch::nn::Linear(hidden, dim));
  }

  torch::Tensor forward(const torch::Tensor& tokens) { return fc2(torch::gelu(fc1(tokens))); }

  torch::nn::Linear fc1{nullptr}, fc2{nullptr};
};
TORCH_MODULE(Mlp);

/// A pre-norm transformer block: [N,L,D] -> [N,L,D].
struct BlockImpl : torch::nn::Module {
  BlockImpl(int64_t dim, int64_t num_heads, double mlp_ratio) {
    norm1 = register_module("norm1", layer_norm(dim));
    attn = register_module("attn", Attention(dim, num_heads));
    norm2 = register_module("norm2", layer_norm(dim));
    mlp = register_module("mlp", Mlp(dim, std::lround(static_cast<double>(dim) * mlp_ratio)));
  }

  torch::Tensor forward(const torch::Tensor& tokens) {
    const auto attended = tokens + attn(norm1(tokens));
    return attended + mlp(norm2(attended));
  }

  torch::nn::LayerNorm norm1{nullptr}, norm2{nullptr};
  Attention attn{nullptr};
  Mlp mlp{nullptr};
};
TORCH_MODULE(Block);

/// Cuts an image into patches and embeds them: [N,C,H,W] -> [N,L,D].
struct PatchEmbedImpl : torch::nn::Module {
  PatchEmbedImpl(int64_t in_chans, int64_t patch_size, int64_t embed_dim) {
    proj = register_module(
        "proj", torch::nn::Conv2d(
                    torch::nn::Conv2dOptions(in_chans, embed_dim, patch_size).stride(patch_size)));
  }

  torch::Tensor forward(const torch::Tensor& images) {
    return proj(images).flatten(2).transpose(1, 2);
  }

  torch::nn::Conv2d proj{nullptr};
};
TORCH_MODULE(PatchEmbed);

/// `depth` blocks, named 0, 1, ...
inline torch::nn::ModuleList blocks(int64_t depth, int64_t dim, int64_t num_heads,
                                    double mlp_ratio) {
  torch::nn::ModuleList list;
  for (int64_t i = 0; i < depth; ++i) list->push_back(Block(dim, num_heads, mlp_ratio));
  return list;
}

inline torch::Tensor forward(torch::nn::ModuleList& blocks, torch::Tensor tokens) {
  for (const auto& block : *blocks) tokens = block->as<Block>()->forward(tokens);
  return tokens;
}

/// The initialisation of the official MAE: Xavier for matrices (a patch embedding counts as one),
/// zero biases, unit norms.
inline void initialize(torch::nn::Module& model) {
  const torch::NoGradGuard no_grad;
  for (const auto& module : model.modules(/*include_self=*/false)) {
    if (auto* linear = module->as<torch::nn::Linear>()) {
      torch::nn::init::xavier_uniform_(linear->weight);
      linear->bias.zero_();
    } else if (auto* embed = module->as<PatchEmbed>()) {
      torch::nn::init::xavier_uniform_(embed->proj->weight.flatten(1));
    }
  }
}

}  // namespace vit
