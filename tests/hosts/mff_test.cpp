// SPDX-License-Identifier: Apache-2.0
// The MFF example against the official one, and what it promises beyond.
#include "mff/mff.hpp"

#include <torch/torch.h>
#include <pixmim/pixmim.hpp>

#include "hosts/compare.hpp"
#include "support/errors.hpp"
#include "support/openmmlab.hpp"

namespace {

using mff::MultiLevelFusion;
using mff::MultiLevelFusionOptions;
using support::Golden;

MultiLevelFusionOptions options_of(const Golden& golden) {
  const auto cfg = [&](const char* name) { return golden.integer(std::string("cfg.") + name); };
  const auto layers = golden["cfg.out_indices"].to(at::kLong).contiguous();
  const auto* first = layers.data_ptr<int64_t>();
  return MultiLevelFusionOptions()
      .image_size(cfg("img_size"))
      .patch_size(cfg("patch_size"))
      .embed_dim(cfg("embed_dim"))
      .depth(cfg("depth"))
      .num_heads(cfg("num_heads"))
      .mlp_ratio(golden.number("cfg.ffn_dim") / golden.number("cfg.embed_dim"))
      .decoder_embed_dim(cfg("decoder_embed_dim"))
      .decoder_depth(cfg("decoder_depth"))
      .decoder_num_heads(cfg("decoder_num_heads"))
      .decoder_mlp_ratio(golden.number("cfg.decoder_mlp_ratio"))
      .out_indices(std::vector<int64_t>(first, first + layers.numel()))
      .norm_pix_loss(cfg("norm_pix") != 0);
}

MultiLevelFusionOptions oblong() {
  return MultiLevelFusionOptions()
      .image_size({24, 40})
      .patch_size(8)
      .in_chans(4)
      .embed_dim(24)
      .depth(4)
      .num_heads(2)
      .decoder_embed_dim(16)
      .decoder_depth(1)
      .decoder_num_heads(2)
      .out_indices({0, 2, 3});
}

at::Tensor oblong_images() {
  return torch::randn({2, 4, 24, 40});
}

}  // namespace

TEST_CASE("the MFF example equals the official MFF", "[hosts]") {
  for (const auto& path : support::golden_files("mff_")) {
    const Golden golden(path);
    INFO(golden.name());
    MultiLevelFusion model(options_of(golden));
    hosts::load(*model, support::renamed(golden.below("state.")));
    const auto mask = pixmim::mask_from_noise(golden["noise"], golden.number("cfg.mask_ratio"));
    CHECK(at::equal(mask.mask, golden["mask"]));
    CHECK(at::equal(mask.ids_restore, golden["ids_restore"]));

    const auto levels = model->forward_levels(golden["images"], mask);
    for (std::size_t i = 0; i < levels.size(); ++i) {
      hosts::expect_close(golden, "layer" + std::to_string(model->options.out_indices()[i]),
                          levels[i]);
    }
    hosts::expect_close(golden, "fusion_weights", model->fusion_weights(), 1e-6);
    const auto latent = model->forward_encoder(golden["images"], mask);
    hosts::expect_close(golden, "latent", latent);
    hosts::expect_close(golden, "pred", model->forward_decoder(latent, mask));
    const auto loss = model->loss(golden["images"], golden["images"], mask);
    hosts::expect_loss(golden, "loss", loss);
    loss.backward();
    hosts::expect_gradients(golden.name() + " grad.", support::renamed(golden.below("grad.")),
                            *model);
  }
}

TEST_CASE("MFF's sizes are the published ones", "[hosts]") {
  const auto base = MultiLevelFusionOptions::vit("base");
  CHECK(base.out_indices() == std::vector<int64_t>{0, 2, 4, 6, 8, 11});
  CHECK(MultiLevelFusionOptions().out_indices() == base.out_indices());
  CHECK(MultiLevelFusionOptions::vit("large").out_indices() ==
        std::vector<int64_t>{0, 4, 8, 12, 16, 23});
  CHECK(MultiLevelFusionOptions::vit("huge").patch_size() == 14);
  CHECK_THROWS_AS(MultiLevelFusionOptions::vit("giant"), c10::Error);

  // MAE, five projections, six weights.
  const MultiLevelFusion model(base);
  const mae::MaskedAutoencoder mae(mae::MaskedAutoencoderOptions::vit("base"));
  CHECK(hosts::parameters(*model) == hosts::parameters(*mae) + 5 * (768 * 768 + 768) + 6);
}

TEST_CASE("MFF with its last layer alone is MAE", "[hosts]") {
  torch::manual_seed(0);
  MultiLevelFusion model(oblong().out_indices({3}));
  CHECK_FALSE(model->proj_weights.requires_grad());
  mae::MaskedAutoencoder mae(mae::MaskedAutoencoderOptions()
                                 .image_size({24, 40})
                                 .patch_size(8)
                                 .in_chans(4)
                                 .embed_dim(24)
                                 .depth(4)
                                 .num_heads(2)
                                 .decoder_embed_dim(16)
                                 .decoder_depth(1)
                                 .decoder_num_heads(2));
  hosts::Tensors state;
  for (const auto& item : model->named_parameters()) state.emplace(item.key(), item.value());
  state.erase("proj_weights");
  hosts::load(*mae, state);
  const auto images = oblong_images();
  const auto mask = pixmim::random_mask(2, 15, 0.6);
  CHECK(at::equal(model->loss(images, images, mask), mae->loss(images, images, mask)));
}

TEST_CASE("MFF takes oblong images and trains every parameter", "[hosts]") {
  torch::manual_seed(0);
  MultiLevelFusion model(oblong());
  const auto images = oblong_images();
  const auto mask = pixmim::random_mask(2, 15, 0.6);
  CHECK(model->forward(images, mask).sizes() == at::IntArrayRef({2, 15, 8 * 8 * 4}));
  hosts::expect_training(model, images, mask);
}

TEST_CASE("MFF trains in bfloat16 and with activation checkpointing", "[hosts]") {
  torch::manual_seed(0);
  const auto images = oblong_images();
  const auto mask = pixmim::random_mask(2, 15, 0.6);
  MultiLevelFusion plain(oblong());
  hosts::expect_autocast(plain, images, mask);
  MultiLevelFusion checkpointed(oblong().activation_checkpointing(true));
  hosts::expect_same_training(plain, checkpointed, images, mask);
}

TEST_CASE("MFF says which layers do not fit", "[hosts]") {
  const auto fails = [](const std::vector<int64_t>& layers) {
    const auto error =
        support::error_of([&] { MultiLevelFusion model(oblong().out_indices(layers)); });
    INFO(error);
    CHECK(error.find("MultiLevelFusion: expected out_indices to ascend from at least 0 to the last "
                     "layer, 3, got [") != std::string::npos);
  };
  fails({});
  fails({0, 2});
  fails({-1, 3});
  fails({2, 0, 3});
  fails({0, 0, 3});
  fails({0, 4});
}

TEST_CASE("MFF refuses images of another size, as many patches as they may have", "[hosts]") {
  MultiLevelFusion model(oblong());
  const auto error = support::error_of([&] {
    model->forward(torch::randn({2, 4, 40, 24}), pixmim::random_mask(2, 15, 0.6));
  });
  INFO(error);
  CHECK(error.find("MultiLevelFusion: expected images of shape [N,4,24,40], got [2, 4, 40, 24]") !=
        std::string::npos);
}
