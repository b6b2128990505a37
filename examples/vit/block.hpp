// SPDX-License-Identifier: Apache-2.0
// The parts of a Vision Transformer (arXiv 2010.11929) with timm's parameter names.
#pragma once

#include <torch/nn.h>

#include <cmath>
#include <cstdint>
#include <optional>

#include "vit/recompute.hpp"

namespace vit {

/// Which of queries, keys and values have a bias. NoKey: BEiT's, SimMIM's and LSMAE's way, since a
/// bias of the keys moves all of a query's scores alike.
enum class QkvBias { All, NoKey };

/// `BlockOptions(768, 12).qkv_bias(QkvBias::NoKey)`
struct BlockOptions {
  BlockOptions(int64_t dim, int64_t num_heads) : dim_(dim), num_heads_(num_heads) {}

  TORCH_ARG(int64_t, dim);
  TORCH_ARG(int64_t, num_heads);
  TORCH_ARG(double, mlp_ratio) = 4;
  TORCH_ARG(QkvBias, qkv_bias) = QkvBias::All;
  /// Where the factors gamma_1 and gamma_2 of the two branches start; none: no such factors.
  TORCH_ARG(std::optional<double>, layer_scale) = std::nullopt;
  /// Stochastic depth (arXiv 1603.09382): how often training leaves a branch out for a sample.
  TORCH_ARG(double, drop_path) = 0;
};

inline torch::nn::LayerNorm layer_norm(int64_t dim) {
  return torch::nn::LayerNorm(torch::nn::LayerNormOptions({dim}).eps(1e-6));
}

/// Multi-head self-attention: [N,L,D] -> [N,L,D].
struct AttentionImpl : torch::nn::Module {
  explicit AttentionImpl(const BlockOptions& options) : num_heads(options.num_heads()) {
    const int64_t dim = options.dim();
    TORCH_CHECK(num_heads > 0 && dim % num_heads == 0,
                "Attention: expected dim to be a multiple of num_heads, got ", dim, " and ",
                num_heads);
    const bool all = options.qkv_bias() == QkvBias::All;
    qkv =
        register_module("qkv", torch::nn::Linear(torch::nn::LinearOptions(dim, 3 * dim).bias(all)));
    if (!all) {
      q_bias = register_parameter("q_bias", torch::zeros({dim}));
      v_bias = register_parameter("v_bias", torch::zeros({dim}));
    }
    proj = register_module("proj", torch::nn::Linear(dim, dim));
  }

  /// `attention_bias`, [num_heads,L,L] or undefined, is added to the scores.
  torch::Tensor forward(const torch::Tensor& tokens, const torch::Tensor& attention_bias = {}) {
    const int64_t batch = tokens.size(0);
    const int64_t length = tokens.size(1);
    const int64_t dim = tokens.size(2);
    const auto bias =
        q_bias.defined() ? torch::cat({q_bias, torch::zeros_like(q_bias), v_bias}) : qkv->bias;
    const auto heads = torch::linear(tokens, qkv->weight, bias)
                           .view({batch, length, 3, num_heads, dim / num_heads})
                           .permute({2, 0, 3, 1, 4});
    std::optional<torch::Tensor> added;
    if (attention_bias.defined()) added = attention_bias.to(heads.scalar_type()).unsqueeze(0);
    const auto mixed = torch::scaled_dot_product_attention(heads[0], heads[1], heads[2], added);
    return proj(mixed.transpose(1, 2).reshape({batch, length, dim}));
  }

  int64_t num_heads;
  torch::nn::Linear qkv{nullptr}, proj{nullptr};
  torch::Tensor q_bias, v_bias;
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
  explicit BlockImpl(const BlockOptions& options) : drop_path(options.drop_path()) {
    TORCH_CHECK(drop_path >= 0 && drop_path < 1, "Block: expected drop_path in [0, 1), got ",
                drop_path);
    const int64_t dim = options.dim();
    norm1 = register_module("norm1", layer_norm(dim));
    attn = register_module("attn", Attention(options));
    norm2 = register_module("norm2", layer_norm(dim));
    const auto hidden = static_cast<int64_t>(static_cast<double>(dim) * options.mlp_ratio());
    mlp = register_module("mlp", Mlp(dim, hidden));
    if (options.layer_scale().has_value()) {
      gamma_1 = register_parameter("gamma_1", torch::full({dim}, *options.layer_scale()));
      gamma_2 = register_parameter("gamma_2", torch::full({dim}, *options.layer_scale()));
    }
  }

  torch::Tensor forward(const torch::Tensor& tokens, const torch::Tensor& attention_bias = {}) {
    return forward(tokens, attention_bias, draw_branches(tokens));
  }

  /// With drawn `branches`, or undefined ones: all.
  torch::Tensor forward(const torch::Tensor& tokens, const torch::Tensor& attention_bias,
                        const torch::Tensor& branches) {
    const auto of = [&](const torch::Tensor& branch, const torch::Tensor& gamma, int64_t which) {
      const auto scaled = gamma.defined() ? branch * gamma : branch;
      return branches.defined() ? scaled * branches[which] : scaled;
    };
    const auto attended = tokens + of(attn(norm1(tokens), attention_bias), gamma_1, 0);
    return attended + of(mlp(norm2(attended)), gamma_2, 1);
  }

  /// [2,N,1,1]: by what each branch of a sample is multiplied, 0 or more than 1; undefined: by 1.
  torch::Tensor draw_branches(const torch::Tensor& tokens) const {
    if (drop_path == 0 || !is_training()) return {};
    const double kept = 1 - drop_path;
    return torch::full({2, tokens.size(0), 1, 1}, kept, tokens.options()).bernoulli() / kept;
  }

  torch::nn::LayerNorm norm1{nullptr}, norm2{nullptr};
  Attention attn{nullptr};
  Mlp mlp{nullptr};
  torch::Tensor gamma_1, gamma_2;
  double drop_path;
};
TORCH_MODULE(Block);

/// `depth` blocks, one after the other, named 0, 1, ...: [N,L,D] -> [N,L,D]. `drop_path` is that of
/// the last one, and grows from 0 at the first.
struct BlocksImpl : torch::nn::ModuleListImpl {
  BlocksImpl(int64_t depth, const BlockOptions& options) {
    for (int64_t i = 0; i < depth; ++i) {
      const double share = depth > 1 ? static_cast<double>(i) / static_cast<double>(depth - 1) : 1;
      push_back(Block(BlockOptions(options).drop_path(options.drop_path() * share)));
    }
  }

  torch::Tensor forward(torch::Tensor tokens, const torch::Tensor& attention_bias = {}) {
    for (std::size_t i = 0; i < size(); ++i) tokens = forward_one(i, tokens, attention_bias);
    return tokens;
  }

  /// The block `i` alone.
  torch::Tensor forward_one(std::size_t i, const torch::Tensor& tokens,
                            const torch::Tensor& attention_bias = {}) {
    const auto block = ptr<BlockImpl>(i);
    const auto branches = block->draw_branches(tokens);
    if (!activation_checkpointing) return block->forward(tokens, attention_bias, branches);
    return recompute(
        [block, branches](const torch::Tensor& input, const torch::Tensor& bias) {
          return block->forward(input, bias, branches);
        },
        tokens, attention_bias);
  }

  /// Keep what enters a block, and compute the rest again when gradients are: a fraction of the
  /// memory for a third more time.
  bool activation_checkpointing = false;
};
TORCH_MODULE(Blocks);

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

}  // namespace vit
