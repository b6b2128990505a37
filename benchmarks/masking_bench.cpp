// SPDX-License-Identifier: Apache-2.0
// Times the mask makers and the ways of tokens beside the official code of MAE, LSMAE, Pixio, SimMIM
// and BEiT.

#include <torch/csrc/autograd/autograd.h>
#include <pixmim/masking.hpp>

#include <cmath>
#include <string>
#include <vector>

#include "defaults.hpp"

namespace {

constexpr int64_t mask_batch = 64;

void expect_equal_masks(const std::string& row, const pixmim::TokenMask& ours,
                        const pixmim::TokenMask& reference) {
  pixmim_bench::expect_equal(row + " mask", ours.mask, reference.mask, 0);
  pixmim_bench::expect_equal(row + " ids_keep", ours.ids_keep, reference.ids_keep, 0);
  pixmim_bench::expect_equal(row + " ids_restore", ours.ids_restore, reference.ids_restore, 0);
}

/// MAE models_mae.py random_masking, but for the tokens.
pixmim::TokenMask mae_mask(const at::Tensor& noise, double ratio) {
  const int64_t tokens = noise.size(1);
  const auto kept = static_cast<int64_t>(static_cast<double>(tokens) * (1 - ratio));
  const at::Tensor ids_shuffle = noise.argsort(/*dim=*/int64_t{1});
  const at::Tensor ids_restore = ids_shuffle.argsort(/*dim=*/int64_t{1});
  at::Tensor mask = at::ones(noise.sizes(), noise.options().dtype(at::kFloat));
  mask.narrow(1, 0, kept).fill_(0);
  mask = at::gather(mask, 1, ids_restore);
  return {mask, ids_shuffle.narrow(1, 0, kept), ids_restore};
}

at::Tensor expanded(const at::Tensor& ids, int64_t width) {
  return ids.unsqueeze(-1).repeat({1, 1, width});
}

/// The tokens of MAE's random_masking.
at::Tensor mae_visible(const at::Tensor& tokens, const at::Tensor& ids_keep) {
  return at::gather(tokens, 1, expanded(ids_keep, tokens.size(2)));
}

/// MAE models_mae.py forward_decoder, but for the class token.
at::Tensor mae_restore(const at::Tensor& visible, const at::Tensor& mask_token,
                       const at::Tensor& ids_restore) {
  const at::Tensor hidden =
      mask_token.repeat({visible.size(0), ids_restore.size(1) - visible.size(1), 1});
  return at::gather(at::cat({visible, hidden}, 1), 1, expanded(ids_restore, visible.size(2)));
}

/// The best of `visible` in LibTorch's operators: whole rows, by ids that count through the batch.
at::Tensor visible_by_index_select(const at::Tensor& tokens, const at::Tensor& ids) {
  const at::Tensor first = at::arange(ids.size(0), ids.options()).mul_(tokens.size(1)).unsqueeze(1);
  return tokens.flatten(0, 1)
      .index_select(0, ids.add(first).flatten())
      .view({ids.size(0), ids.size(1), tokens.size(2)});
}

/// The best of `restore`, likewise.
at::Tensor restore_by_index_select(const at::Tensor& visible, const at::Tensor& mask_token,
                                   const at::Tensor& ids_restore) {
  const at::Tensor hidden =
      mask_token.expand({visible.size(0), ids_restore.size(1) - visible.size(1), visible.size(2)});
  return visible_by_index_select(at::cat({visible, hidden}, 1), ids_restore);
}

/// BEiT modeling_pretrain.py forward_features, from `w` on.
at::Tensor beit_masked_fill(const at::Tensor& tokens, const at::Tensor& mask_token,
                            const at::Tensor& mask) {
  const at::Tensor w = mask.unsqueeze(-1);
  return tokens.mul(1 - w).add(mask_token.mul(w));
}

/// LSMAE util/long_seq_patch_loader.py SampleVisiblePatchIndices, sample by sample as there; the
/// permutation is that of the noise. For a grid that the block divides.
pixmim::TokenMask lsmae_mask(const at::Tensor& noise, int64_t grid, double ratio, int64_t block) {
  const int64_t tokens = grid * grid;
  const int64_t block_grid = grid / block;
  const auto kept = static_cast<int64_t>(static_cast<double>(tokens) * (1 - ratio));
  const at::Tensor positions = at::arange(tokens, noise.options().dtype(at::kLong));
  std::vector<at::Tensor> ids_keep;
  std::vector<at::Tensor> ids_restore;
  for (const at::Tensor& sample : noise.unbind()) {
    const at::Tensor blocks = sample.argsort();
    const at::Tensor x = blocks.remainder(block_grid).mul(block);
    const at::Tensor y = blocks.floor_divide(block_grid).mul(block);
    std::vector<at::Tensor> stacks;
    for (int64_t right = 0; right < block; ++right) {
      for (int64_t down = 0; down < block; ++down) {
        stacks.push_back(y.add(down).mul(grid).add(x.add(right)));
      }
    }
    const at::Tensor ids_shuffle = at::stack(stacks, 1).reshape({-1});
    ids_restore.push_back(at::empty_like(ids_shuffle).index_put_({ids_shuffle}, positions));
    ids_keep.push_back(ids_shuffle.narrow(0, 0, kept));
  }
  const at::Tensor restore = at::stack(ids_restore);
  return {restore.ge(kept).to(at::kFloat), at::stack(ids_keep), restore};
}

/// Pixio pretraining/models_pixio.py random_masking, but for the tokens.
pixmim::TokenMask pixio_mask(const at::Tensor& noise, int64_t grid, double ratio, int64_t block) {
  const int64_t samples = noise.size(0);
  const int64_t tokens = grid * grid;
  const auto kept = static_cast<int64_t>(static_cast<double>(noise.size(1)) * (1 - ratio));
  const at::Tensor ids_shuffle = noise.argsort(/*dim=*/int64_t{1});
  const at::Tensor tokens_of_block = at::arange(tokens, noise.options().dtype(at::kLong))
                                         .view({1, grid, grid})
                                         .unfold(1, block, block)
                                         .unfold(2, block, block)
                                         .contiguous()
                                         .view({-1, block * block});
  const auto tokens_of = [&](const at::Tensor& blocks) {
    return tokens_of_block.index({blocks}).view({samples, -1});
  };
  const at::Tensor ids_keep = tokens_of(ids_shuffle.narrow(1, 0, kept));
  const at::Tensor ids_masked = tokens_of(ids_shuffle.narrow(1, kept, noise.size(1) - kept));
  const at::Tensor ids_restore = at::cat({ids_keep, ids_masked}, 1).argsort(/*dim=*/int64_t{1});
  at::Tensor mask = at::ones({samples, tokens}, noise.options().dtype(at::kFloat));
  mask.narrow(1, 0, kept * block * block).fill_(0);
  return {at::gather(mask, 1, ids_restore), ids_keep, ids_restore};
}

/// SimMIM data/data_simmim.py MaskGenerator, sample by sample as there: the mask alone.
at::Tensor simmim_mask(const at::Tensor& noise, int64_t size, int64_t mask_patch,
                       int64_t model_patch, double ratio) {
  const int64_t squares = size / mask_patch;
  const int64_t scale = mask_patch / model_patch;
  const auto masked =
      static_cast<int64_t>(std::ceil(static_cast<double>(squares * squares) * ratio));
  std::vector<at::Tensor> masks;
  for (const at::Tensor& sample : noise.unbind()) {
    at::Tensor mask = at::zeros({squares * squares}, noise.options().dtype(at::kFloat));
    mask.index_fill_(0, sample.argsort().narrow(0, 0, masked), 1);
    mask = mask.view({squares, squares}).repeat_interleave(scale, 0).repeat_interleave(scale, 1);
    masks.push_back(mask.reshape({-1}));
  }
  return at::stack(masks);
}

/// Noise without equal values, so that no order is left open.
at::Tensor noise_of(int64_t samples, int64_t tokens) {
  const at::Tensor order = at::rand({samples, tokens}, at::kDouble).argsort(int64_t{1});
  return order.to(at::kFloat).div(tokens).to(pixmim_bench::device());
}

/// Adds `what` and, before it, `what`_reference.
template <typename Ours, typename Reference>
void add_pair(const std::string& what, const std::string& axes, std::size_t bytes, Ours ours,
              Reference reference, int64_t samples = mask_batch) {
  for (const int threads : pixmim_bench::thread_counts()) {
    const std::string end = axes + pixmim_bench::threads_axis(threads);
    const std::string reference_name = "masking/" + what + "_reference" + end;
    pixmim_bench::add({reference_name, threads, samples, bytes}, reference);
    pixmim_bench::add({"masking/" + what + end, threads, samples, bytes, reference_name}, ours);
  }
}

/// Adds `what` beside its reference, the best in LibTorch's operators, and a copy of as many bytes.
template <typename Ours, typename Reference, typename IndexSelect>
void add_rows_of_tokens(const std::string& what, const std::string& axes, std::size_t bytes,
                        Ours ours, Reference reference, IndexSelect index_select) {
  const auto half = static_cast<int64_t>(bytes / 2);
  const at::Tensor copied = at::ones({half / 4}, pixmim_bench::device());
  for (const int threads : pixmim_bench::thread_counts()) {
    const std::string end = axes + pixmim_bench::threads_axis(threads);
    const std::string name = "masking/" + what;
    const std::string copy = name + "_copy" + end;
    const auto add = [&](const std::string& row, auto call) {
      pixmim_bench::add({name + row + end, threads, mask_batch, bytes, name + "_reference" + end,
                         row == "_copy" ? "" : copy},
                        call);
    };
    add("_copy", [=] { return copied.clone(); });
    add("_reference", reference);
    add("_index_select", index_select);
    add("", ours);
  }
}

void add_random(int64_t samples, int64_t tokens) {
  const std::string axes = "/N:" + std::to_string(samples) + "/L:" + std::to_string(tokens);
  const at::Tensor noise = noise_of(samples, tokens);
  const double ratio = pixmim_bench::mask_ratio;
  expect_equal_masks("masking/random" + axes, pixmim::mask_from_noise(noise, ratio),
                     mae_mask(noise, ratio));
  const at::Device device = pixmim_bench::device();
  add_pair(
      "random", axes, 0, [=] { return pixmim::random_mask(samples, tokens, ratio, device).mask; },
      [=] {
        return mae_mask(at::rand({samples, tokens}, device), ratio).mask;
      },
      samples);
  const at::Tensor given = noise.to(at::kFloat);
  add_pair(
      "from_noise", axes, 0, [=] { return pixmim::mask_from_noise(given, ratio).mask; },
      [=] { return mae_mask(given, ratio).mask; }, samples);
}

/// All of MAE's random_masking: the masks, and the tokens that they keep.
void add_random_and_visible(int64_t tokens) {
  const at::Device device = pixmim_bench::device();
  const int64_t width = pixmim_bench::encoder_width;
  const std::string axes = "/float32/N:" + std::to_string(mask_batch) +
                           "/L:" + std::to_string(tokens) + "/D:" + std::to_string(width);
  const at::Tensor full = at::randn({mask_batch, tokens, width}).to(device);
  add_pair(
      "random_and_visible", axes, 0,
      [=] {
        return pixmim::random_mask(mask_batch, tokens, pixmim_bench::mask_ratio, device)
            .visible(full);
      },
      [=] {
        const auto mask =
            mae_mask(at::rand({mask_batch, tokens}, device), pixmim_bench::mask_ratio);
        return mae_visible(full, mask.ids_keep);
      });
}

/// A function with its gradients: the first of them.
template <typename Forward>
at::Tensor gradient_of(const Forward& forward, const std::vector<at::Tensor>& inputs,
                       const at::Tensor& cotangent) {
  const at::AutoGradMode with_graph(true);
  return torch::autograd::grad({forward()}, inputs, {cotangent}).front();
}

void add_visible_and_restore(int64_t tokens) {
  const at::Device device = pixmim_bench::device();
  const std::string axes =
      "/float32/N:" + std::to_string(mask_batch) + "/L:" + std::to_string(tokens) + "/D:";
  const auto mask = pixmim::mask_from_noise(noise_of(mask_batch, tokens), pixmim_bench::mask_ratio);

  const at::Tensor full = at::randn({mask_batch, tokens, pixmim_bench::encoder_width}).to(device);
  const auto visible = [=] { return mask.visible(full); };
  const auto visible_reference = [=] { return mae_visible(full, mask.ids_keep); };
  const at::Tensor kept = visible();
  const std::string visible_axes = axes + std::to_string(pixmim_bench::encoder_width);
  pixmim_bench::expect_equal("masking/visible" + visible_axes, kept, visible_reference(), 0);
  const auto visible_selected = [=] { return visible_by_index_select(full, mask.ids_keep); };
  pixmim_bench::expect_equal("masking/visible_index_select" + visible_axes, visible_selected(),
                             kept, 0);
  add_rows_of_tokens("visible", visible_axes, 2 * kept.nbytes(), visible, visible_reference,
                     visible_selected);
  const at::Tensor leaf = full.clone().requires_grad_();
  const at::Tensor kept_cotangent = at::randn_like(kept);
  add_pair(
      "visible_and_gradient", visible_axes, 0,
      [=] { return gradient_of([&] { return mask.visible(leaf); }, {leaf}, kept_cotangent); },
      [=] {
        return gradient_of([&] { return mae_visible(leaf, mask.ids_keep); }, {leaf},
                           kept_cotangent);
      });

  const int64_t width = pixmim_bench::decoder_width;
  const at::Tensor latent = at::randn({mask_batch, mask.ids_keep.size(1), width}).to(device);
  const at::Tensor mask_token = at::randn({1, 1, width}).to(device);
  const auto restore = [=] { return mask.restore(latent, mask_token); };
  const auto restore_reference = [=] { return mae_restore(latent, mask_token, mask.ids_restore); };
  const at::Tensor restored = restore();
  const std::string restore_axes = axes + std::to_string(width);
  pixmim_bench::expect_equal("masking/restore" + restore_axes, restored, restore_reference(), 0);
  const auto restore_selected = [=] {
    return restore_by_index_select(latent, mask_token, mask.ids_restore);
  };
  pixmim_bench::expect_equal("masking/restore_index_select" + restore_axes, restore_selected(),
                             restored, 0);
  add_rows_of_tokens("restore", restore_axes, latent.nbytes() + restored.nbytes(), restore,
                     restore_reference, restore_selected);
  const at::Tensor latent_leaf = latent.clone().requires_grad_();
  const at::Tensor token_leaf = mask_token.clone().requires_grad_();
  const at::Tensor cotangent = at::randn_like(restored);
  add_pair(
      "restore_and_gradient", restore_axes, 0,
      [=] {
        return gradient_of([&] { return mask.restore(latent_leaf, token_leaf); },
                           {latent_leaf, token_leaf}, cotangent);
      },
      [=] {
        return gradient_of([&] { return mae_restore(latent_leaf, token_leaf, mask.ids_restore); },
                           {latent_leaf, token_leaf}, cotangent);
      });
}

void add_masked_fill(int64_t tokens) {
  const at::Device device = pixmim_bench::device();
  const int64_t width = pixmim_bench::encoder_width;
  const std::string axes = "/float32/N:" + std::to_string(mask_batch) +
                           "/L:" + std::to_string(tokens) + "/D:" + std::to_string(width);
  const auto mask = pixmim::mask_from_noise(noise_of(mask_batch, tokens), pixmim_bench::mask_ratio);
  const at::Tensor full = at::randn({mask_batch, tokens, width}).to(device);
  const at::Tensor mask_token = at::randn({1, 1, width}).to(device);
  const auto ours = [=] { return mask.masked_fill(full, mask_token); };
  const auto reference = [=] { return beit_masked_fill(full, mask_token, mask.mask); };
  pixmim_bench::expect_equal("masking/masked_fill" + axes, ours(), reference(), 0);
  add_pair("masked_fill", axes, 0, ours, reference);
  const at::Tensor leaf = full.clone().requires_grad_();
  const at::Tensor token_leaf = mask_token.clone().requires_grad_();
  const at::Tensor cotangent = at::randn_like(full);
  add_pair(
      "masked_fill_and_gradient", axes, 0,
      [=] {
        return gradient_of([&] { return mask.masked_fill(leaf, token_leaf); }, {leaf, token_leaf},
                           cotangent);
      },
      [=] {
        return gradient_of([&] { return beit_masked_fill(leaf, token_leaf, mask.mask); },
                           {leaf, token_leaf}, cotangent);
      });
}

void add_grid() {
  constexpr int64_t grid = 16;
  constexpr int64_t block = 4;
  const at::Tensor noise = noise_of(mask_batch, grid * grid / (block * block));
  const std::string axes = "/N:" + std::to_string(mask_batch) + "/16x16/block:4";
  const double ratio = pixmim_bench::mask_ratio;
  expect_equal_masks("masking/grid" + axes,
                     pixmim::grid_mask_from_noise(noise, grid, grid, ratio, block),
                     pixio_mask(noise, grid, ratio, block));
  add_pair(
      "grid", axes, 0,
      [=] { return pixmim::grid_mask_from_noise(noise, grid, grid, ratio, block).mask; },
      [=] { return pixio_mask(noise, grid, ratio, block).mask; });
}

void add_joint() {
  constexpr int64_t grid = 28;
  constexpr int64_t block = 2;
  const at::Tensor noise = noise_of(mask_batch, grid * grid / (block * block));
  const std::string axes = "/N:" + std::to_string(mask_batch) + "/28x28/block:2";
  const double ratio = pixmim_bench::mask_ratio;
  expect_equal_masks("masking/joint" + axes,
                     pixmim::joint_mask_from_noise(noise, grid, grid, ratio, block),
                     lsmae_mask(noise, grid, ratio, block));
  add_pair(
      "joint", axes, 0,
      [=] { return pixmim::joint_mask_from_noise(noise, grid, grid, ratio, block).mask; },
      [=] { return lsmae_mask(noise, grid, ratio, block).mask; });
}

void add_patch_aligned() {
  constexpr int64_t size = 192;
  constexpr int64_t mask_patch = 32;
  constexpr int64_t model_patch = 4;
  constexpr double ratio = 0.6;
  const at::Tensor noise = noise_of(mask_batch, (size / mask_patch) * (size / mask_patch));
  const std::string axes = "/N:" + std::to_string(mask_batch) + "/192x192/patch:32/model_patch:4";
  const auto ours = [=] {
    return pixmim::patch_aligned_mask_from_noise(noise, size, mask_patch, model_patch, ratio).mask;
  };
  const auto reference = [=] { return simmim_mask(noise, size, mask_patch, model_patch, ratio); };
  pixmim_bench::expect_equal("masking/patch_aligned" + axes, ours(), reference(), 0);
  add_pair("patch_aligned", axes, 0, ours, reference);
}

/// BEiT's own is a loop over numbers, with no formula in operators to stand beside.
void add_block() {
  pixmim_bench::add({"masking/block/N:" + std::to_string(mask_batch) + "/14x14/masked:75/threads:1",
                     1, mask_batch},
                    [] {
                      return pixmim::block_mask(mask_batch, 14, 14, pixmim::BlockMaskOptions(75),
                                                pixmim_bench::device())
                          .mask;
                    });
}

void add_rows() {
  add_random(mask_batch, 196);
  add_random(mask_batch, 784);
  add_random(256, 784);
  add_random_and_visible(196);
  add_visible_and_restore(196);
  add_masked_fill(196);
  add_joint();
  add_grid();
  add_patch_aligned();
  add_block();
}

}  // namespace

int main(int argc, char** argv) {
  return pixmim_bench::run(argc, argv, add_rows);
}
