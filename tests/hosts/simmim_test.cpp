// SPDX-License-Identifier: Apache-2.0
// The SimMIM example against the official model.
#include "simmim/simmim.hpp"

#include <torch/torch.h>
#include <pixmim/pixmim.hpp>

#include "hosts/compare.hpp"
#include "support/errors.hpp"

namespace {

using simmim::SimMIM;
using simmim::SimMIMOptions;

SimMIM model_of(const support::Golden& golden) {
  const auto cfg = [&](const char* name) { return golden.integer(std::string("cfg.") + name); };
  SimMIM model(SimMIMOptions()
                   .image_size(cfg("img_size"))
                   .patch_size(cfg("patch_size"))
                   .embed_dim(cfg("embed_dim"))
                   .depth(cfg("depth"))
                   .num_heads(cfg("num_heads"))
                   .mlp_ratio(golden.number("cfg.mlp_ratio"))
                   .use_abs_pos_emb(cfg("use_abs_pos_emb") != 0)
                   .use_shared_rel_pos_bias(cfg("use_shared_rel_pos_bias") != 0)
                   .init_values(cfg("layer_scale") != 0 ? std::optional(0.1) : std::nullopt));
  hosts::load(*model, golden);
  return model;
}

/// The mask of a file, from the permutation of squares that the official generator drew.
pixmim::TokenMask mask_of(const support::Golden& golden) {
  // The square at place i of the permutation gets the noise i: the first are masked.
  const auto noise = golden["mask_perm"].argsort(int64_t{1}).to(at::kDouble);
  return pixmim::patch_aligned_mask_from_noise(
      noise, golden.integer("cfg.img_size"), golden.integer("cfg.mask_patch_size"),
      golden.integer("cfg.patch_size"), golden.number("cfg.mask_ratio"));
}

/// For images of 16x40 with two channels.
SimMIMOptions small() {
  return SimMIMOptions()
      .image_size({16, 40})
      .patch_size(8)
      .in_chans(2)
      .embed_dim(16)
      .depth(3)
      .num_heads(2);
}

at::Tensor small_images() {
  return torch::randn({2, 2, 16, 40}, at::make_generator<at::CPUGeneratorImpl>(3));
}

pixmim::TokenMask small_mask(double ratio = 0.6) {
  return pixmim::random_mask(2, 10, ratio, {}, at::make_generator<at::CPUGeneratorImpl>(3));
}

}  // namespace

TEST_CASE("the SimMIM example equals the official SimMIM", "[hosts]") {
  for (const auto& path : support::golden_files("simmim_")) {
    const support::Golden golden(path);
    const auto& images = golden["images"];
    const auto mask = mask_of(golden);
    CHECK(at::equal(mask.mask, golden["mask"].flatten(1).to(at::kFloat)));
    auto model = model_of(golden);
    const auto& o = model->options;
    const auto latent = model->forward_encoder(images, mask);
    hosts::expect_close(golden, "latent",
                        latent.transpose(1, 2).unflatten(2, {o.grid_h(), o.grid_w()}));
    hosts::expect_close(golden, "pred",
                        pixmim::unpatchify(model->forward_decoder(latent), o.patch_size(),
                                           {o.grid_h(), o.grid_w()}));
    const auto loss = model->loss(images, images, mask);
    hosts::expect_loss(golden, "loss", loss);
    loss.backward();
    hosts::expect_gradients(golden, "grad.", *model);
  }
}

TEST_CASE("SimMIM's masked pixels reach nothing", "[hosts]") {
  const torch::NoGradGuard no_grad;
  SimMIM model(small());
  const auto mask = small_mask();
  const auto images = small_images();
  const auto others = images + 10 * pixmim::upsample_mask(mask.mask, {2, 5}, 8);
  CHECK(at::equal(model->forward(images, mask), model->forward(others, mask)));
  CHECK_FALSE(at::equal(model->forward(images, mask), model->forward(images + 0.1, mask)));
}

TEST_CASE("SimMIM takes any image size, channels and mask", "[hosts]") {
  for (const bool absolute : {false, true}) {
    SimMIM model(small().use_abs_pos_emb(absolute).use_shared_rel_pos_bias(!absolute));
    // All masked is a question without a hint, but one.
    for (const double ratio : {0.0, 0.6, 1.0}) {
      const auto prediction = model->forward(small_images(), small_mask(ratio));
      CHECK(prediction.sizes() == at::IntArrayRef({2, 10, 8 * 8 * 2}));
      CHECK(model->loss(small_images(), small_images(), small_mask(ratio)).isfinite().item<bool>());
    }
    hosts::expect_training(model, small_images(), small_mask());
  }
  // Samples may hide different numbers of patches.
  SimMIM model(small().norm_pix_loss(true));
  auto uneven = small_mask();
  uneven.mask[0].fill_(1);
  uneven.ids_keep = uneven.ids_restore = at::Tensor();
  CHECK(model->loss(small_images(), small_images(), uneven).isfinite().item<bool>());
}

TEST_CASE("the bias of relative positions is one number a distance", "[hosts]") {
  const auto index = vit::relative_position_index(2, 3);
  REQUIRE(index.sizes() == at::IntArrayRef({7, 7}));
  CHECK(index.max().item<int64_t>() == 3 * 5 + 3 - 1);
  const auto at_distance = [&](int64_t query, int64_t key) {
    return index[query][key].item<int64_t>();
  };
  // Tokens 1 2 3 / 4 5 6 of the grid: one to the right, one down, not the other way round.
  CHECK(at_distance(1, 2) == at_distance(5, 6));
  CHECK(at_distance(1, 4) == at_distance(3, 6));
  CHECK(at_distance(1, 2) != at_distance(2, 1));
  CHECK(at_distance(3, 4) != at_distance(1, 2));
}

TEST_CASE("SimMIM trains in bfloat16", "[hosts]") {
  for (const bool absolute : {false, true}) {
    SimMIM model(small().use_abs_pos_emb(absolute).use_shared_rel_pos_bias(!absolute));
    hosts::expect_autocast(model, small_images(), small_mask());
  }
}

TEST_CASE("SimMIM has the same gradients with activation checkpointing", "[hosts]") {
  SimMIM plain(small());
  SimMIM checkpointed(small().activation_checkpointing(true));
  hosts::expect_same_training(plain, checkpointed, small_images(), small_mask());
}

TEST_CASE("SimMIM's ViT-Base has the official number of parameters", "[hosts]") {
  const SimMIM relative(SimMIMOptions::vit("base"));
  CHECK(hosts::parameters(*relative) == 86256720);
  CHECK(hosts::parameters(*relative, {"decoder"}) == 85666128);
  const SimMIM absolute(
      SimMIMOptions::vit("base").use_abs_pos_emb(true).use_shared_rel_pos_bias(false).init_values(
          std::nullopt));
  CHECK(hosts::parameters(*absolute) == 86380800);
  CHECK(SimMIMOptions::vit("huge").patch_size() == 14);
}

TEST_CASE("SimMIM starts as the official one", "[hosts]") {
  torch::manual_seed(1);
  const SimMIM model(SimMIMOptions::vit("small").depth(2));
  const auto& encoder = model->encoder;
  // A normal distribution cut at one deviation has 0.5396 of its deviation.
  const auto is_cut_at = [](const at::Tensor& weight, double deviation) {
    CHECK(weight.abs().max().item<double>() == Approx(deviation).epsilon(0.01));
    CHECK(weight.std().item<double>() == Approx(0.5396 * deviation).epsilon(0.01));
  };
  const auto first = encoder->blocks->ptr<vit::BlockImpl>(0);
  const auto second = encoder->blocks->ptr<vit::BlockImpl>(1);
  is_cut_at(encoder->patch_embed->proj->weight, 0.02);
  is_cut_at(second->attn->qkv->weight, 0.02);
  is_cut_at(first->attn->proj->weight, 0.02 / std::sqrt(2.0));
  is_cut_at(second->mlp->fc2->weight, 0.02 / 2);
  CHECK(encoder->mask_token.abs().max().item<double>() <= 0.0200001);
  CHECK(encoder->patch_embed->proj->bias.abs().max().item<double>() == 0);
  CHECK(encoder->rel_pos_bias->relative_position_bias_table.abs().max().item<double>() == 0);
  CHECK(at::equal(first->gamma_1, torch::full({384}, 0.1)));
}

TEST_CASE("SimMIM says what does not fit", "[hosts]") {
  CHECK_THAT(support::error_of([] { SimMIMOptions::vit("giant"); }),
             ContainsSubstring("expected size to be tiny, small, base, large or huge, got giant"));
  CHECK_THAT(support::error_of([] { SimMIM(small().image_size(20)); }),
             ContainsSubstring("expected image_size to be a multiple of patch_size, 8"));
  SimMIM model(small());
  CHECK_THAT(support::error_of([&] {
               model->forward(torch::randn({2, 2, 40, 16}), small_mask());
             }),
             ContainsSubstring("expected images of shape [N,2,16,40], got [2, 2, 40, 16]"));
  CHECK_THAT(
      support::error_of([&] { model->forward(small_images(), pixmim::random_mask(2, 16, 0.5)); }),
      ContainsSubstring("expected a mask of shape [2,10], got [2, 16]"));
}
