// SPDX-License-Identifier: Apache-2.0
// The MAE example against the official models: forward, loss, gradients, optimizer steps.
#include <torch/torch.h>
#include <pixmim/pixmim.hpp>

#include "hosts/compare.hpp"
#include "hosts/tiny_mae.hpp"
#include "mae/mae.hpp"
#include "pretrain/optimizer.hpp"
#include "support/catch.hpp"
#include "support/golden.hpp"
#include "support/openmmlab.hpp"

namespace {

using support::Golden;
using support::renamed;
using Tensors = std::map<std::string, at::Tensor>;

/// Forward, loss and gradients of a model whose prefix of names is `prefix`.
void expect_model(const Golden& golden, const at::Tensor& target, bool norm_pix,
                  const std::string& loss_prefix, const Tensors& state, const Tensors& gradients) {
  auto model = hosts::tiny_mae(golden);
  hosts::load(*model, state);
  model->options.norm_pix_loss(norm_pix);
  const auto mask = pixmim::mask_from_noise(golden["noise"], 0.75);
  CHECK(at::equal(mask.mask, golden["mask"]));
  CHECK(at::equal(mask.ids_restore, golden["ids_restore"]));
  const auto latent = model->forward_encoder(golden["images"], mask);
  if (golden.has("latent")) {
    hosts::expect_close(golden, "latent", latent);
  }
  hosts::expect_close(golden, "pred", model->forward_decoder(latent, mask));
  const auto loss = model->loss(golden["images"], target, mask);
  hosts::expect_loss(golden, loss_prefix + "loss", loss);
  loss.backward();
  hosts::expect_gradients(golden.name() + " " + loss_prefix + "grad.", gradients, *model);
}

/// Three AdamW steps: the losses before them and the parameters after.
void expect_training(const Golden& golden, const Tensors& start, const Tensors& final,
                     const Tensors& decay, const pretrain::Options& options, bool low_freq) {
  auto model = hosts::tiny_mae(golden);
  hosts::load(*model, start);
  auto optimizer = pretrain::make_optimizer(*model, options);
  for (const auto& item : model->named_parameters()) {
    if (!item.value().requires_grad()) continue;
    const bool spared = pretrain::spares_decay(item.key(), item.value(), options.decay);
    CHECK((spared ? 0.0 : options.weight_decay) == Approx(decay.at(item.key()).item<double>()));
  }
  for (int64_t step = 0; step < 3; ++step) {
    const auto images = golden["images." + std::to_string(step)];
    const auto mask = pixmim::mask_from_noise(golden["noise." + std::to_string(step)], 0.75);
    const auto target =
        low_freq ? pixmim::low_freq_target(images, golden.number("cfg.radius")) : images;
    pretrain::set_learning_rate(*optimizer, golden["lr"][step].item<double>());
    optimizer->zero_grad();
    const auto loss = model->loss(images, target, mask);
    CHECK(loss.item<double>() == Approx(golden["loss"][step].item<double>()).epsilon(5e-6));
    loss.backward();
    optimizer->step();
  }
  double worst = 0;
  for (const auto& item : model->named_parameters()) {
    auto ours = item.value().detach().clone();
    auto expected = final.count(item.key()) > 0 ? final.at(item.key()) : start.at(item.key());
    if (item.key().find("qkv.bias") != std::string::npos) {
      // The gradient of the keys' bias is zero but for rounding, which Adam turns into steps.
      const int64_t dim = ours.size(0) / 3;
      ours.slice(0, dim, 2 * dim).copy_(expected.slice(0, dim, 2 * dim));
    }
    worst = std::max(worst, support::largest_difference(ours, expected));
  }
  support::report(golden.name() + " parameters after 3 steps", worst, 2e-5);
  CHECK(worst <= 2e-5);
}

}  // namespace

TEST_CASE("the MAE example equals the official MAE", "[pretrain]") {
  for (const auto& path : support::golden_files("mae_tiny")) {
    const Golden golden(path);
    const auto state = golden.below("state.");
    expect_model(golden, golden["images"], false, "", state, golden.below("grad."));
    expect_model(golden, golden["images"], true, "norm_pix.", state,
                 golden.below("norm_pix.grad."));
  }
}

TEST_CASE("with the low-frequency target it equals the official PixMIM", "[pretrain]") {
  const auto golden = support::golden("pixmim_tiny");
  const auto target = pixmim::low_freq_target(golden["images"], golden.number("cfg.radius"));
  hosts::expect_close(golden, "target", target);
  expect_model(golden, target, true, "", golden.below("state."), golden.below("grad."));
}

TEST_CASE("with OpenMMLab's weights it equals OpenMMLab's PixMIM", "[pretrain]") {
  const auto golden = support::golden("pixmim_openmmlab_tiny");
  const auto target = pixmim::low_freq_target(golden["images"], golden.number("cfg.radius"));
  hosts::expect_close(golden, "target", target);
  expect_model(golden, target, true, "", renamed(golden.below("state.")),
               renamed(golden.below("grad.")));
}

TEST_CASE("three steps of AdamW equal the official MAE's", "[pretrain]") {
  const auto golden = support::golden("train3");
  pretrain::Options options;
  options.decay = "mae";
  expect_training(golden, golden.below("state."), golden.below("final."), golden.below("wd."),
                  options, /*low_freq=*/false);
}

TEST_CASE("three steps of AdamW equal OpenMMLab's", "[pretrain]") {
  const auto golden = support::golden("train3_openmmlab");
  const auto start = support::golden("pixmim_openmmlab_tiny");
  expect_training(golden, renamed(start.below("state.")), renamed(golden.below("final.")),
                  renamed(golden.below("wd.")), pretrain::Options(), /*low_freq=*/true);
}

TEST_CASE("the schedules equal the official ones", "[pretrain]") {
  const auto mae = support::golden("train3");
  const pretrain::Schedule official{"mae",
                                    mae.number("cfg.lr"),
                                    mae.number("cfg.min_lr"),
                                    0,
                                    mae.number("cfg.warmup_epochs"),
                                    mae.number("cfg.epochs")};
  for (int64_t i = 0; i < mae["sched.lr"].numel(); ++i) {
    CHECK(official.at(mae["sched.epoch"][i].item<double>()) ==
          Approx(mae["sched.lr"][i].item<double>()).epsilon(1e-12));
  }
  const auto mm = support::golden("train3_openmmlab");
  const auto epoch_length = mm.number("sched.epoch_length");
  const pretrain::Schedule openmmlab{"openmmlab",
                                     1e-3,
                                     0,
                                     1e-4,
                                     mm.number("sched.warmup_epochs") * epoch_length,
                                     mm.number("sched.epochs") * epoch_length};
  for (int64_t i = 0; i < mm["sched.lr"].numel(); ++i) {
    CHECK(openmmlab.at(static_cast<double>(i)) ==
          Approx(mm["sched.lr"][i].item<double>()).epsilon(1e-6));
  }
}

TEST_CASE("position embeddings equal the official table", "[pretrain]") {
  for (const auto& path : support::golden_files("patches_loss_pos_embed_")) {
    const Golden golden(path);
    const auto ours = vit::sincos_2d(golden.integer("dim"), golden.integer("grid", 0),
                                     golden.integer("grid", 1), golden.integer("cls_token"));
    hosts::expect_close(golden, "expected", ours, 1e-7);
  }
}

TEST_CASE("the encoders have the sizes of the field", "[pretrain]") {
  // Parameters of the encoder alone, class token included, positions not (as timm counts them).
  for (const auto& [size, millions] : {std::pair{"tiny", 5.5}, {"small", 21.6}, {"base", 85.6}}) {
    const mae::MaskedAutoencoder model(mae::MaskedAutoencoderOptions::vit(size));
    int64_t count = 0;
    for (const auto& item : model->named_parameters()) {
      if (item.key().rfind("decoder", 0) != 0 && item.value().requires_grad() &&
          item.key() != "mask_token") {
        count += item.value().numel();
      }
    }
    CHECK(static_cast<double>(count) / 1e6 == Approx(millions).epsilon(0.01));
  }
  CHECK(mae::MaskedAutoencoderOptions::vit("huge").patch_size() == 14);
  CHECK_THROWS_AS(mae::MaskedAutoencoderOptions::vit("giant"), c10::Error);
}

TEST_CASE("any image size, patch size and channels work", "[pretrain]") {
  const auto options = mae::MaskedAutoencoderOptions()
                           .image_size({24, 40})
                           .patch_size(8)
                           .in_chans(5)
                           .embed_dim(16)
                           .depth(1)
                           .num_heads(2)
                           .decoder_embed_dim(8)
                           .decoder_depth(1)
                           .decoder_num_heads(2);
  mae::MaskedAutoencoder model(options);
  const auto images = torch::randn({2, 5, 24, 40});
  const auto mask = pixmim::random_mask(2, 15, 0.75);
  CHECK(model->forward(images, mask).sizes() == at::IntArrayRef({2, 15, 8 * 8 * 5}));
  CHECK(model->loss(images, images, mask).isfinite().item<bool>());
}
