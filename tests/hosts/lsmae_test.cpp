// SPDX-License-Identifier: Apache-2.0
// The LSMAE example against the official one, and what it promises beyond.
#include "lsmae/lsmae.hpp"

#include <torch/torch.h>
#include <pixmim/pixmim.hpp>

#include "hosts/compare.hpp"
#include "support/errors.hpp"

namespace {

using lsmae::LongSequenceMaskedAutoencoder;
using lsmae::LongSequenceMaskedAutoencoderOptions;
using support::Golden;

LongSequenceMaskedAutoencoderOptions options_of(const Golden& golden) {
  const auto cfg = [&](const char* name) { return golden.integer(std::string("cfg.") + name); };
  return LongSequenceMaskedAutoencoderOptions()
      .image_size(cfg("img_size"))
      .patch_size(cfg("patch_size"))
      .embed_dim(cfg("embed_dim"))
      .depth(cfg("depth"))
      .num_heads(cfg("num_heads"))
      .decoder_embed_dim(cfg("decoder_embed_dim"))
      .decoder_depth(cfg("decoder_depth"))
      .decoder_num_heads(cfg("decoder_num_heads"))
      .mlp_ratio(golden.number("cfg.mlp_ratio"))
      .decoder_downsampling(cfg("decoder_downsampling"))
      .pred_downsampling(cfg("pred_downsampling"))
      .no_k_bias(cfg("no_k_bias") != 0);
}

/// The mask of the file, which `joint_mask_from_noise` has to make of the same permutation.
pixmim::TokenMask mask_of(const Golden& golden, const LongSequenceMaskedAutoencoderOptions& o) {
  const auto order_of_blocks =
      at::argsort(golden["mask_perm"], /*dim=*/1, /*descending=*/false).to(at::kDouble);
  const auto ours = pixmim::joint_mask_from_noise(order_of_blocks, o.grid_h(), o.grid_w(),
                                                  golden.number("cfg.mask_ratio"),
                                                  golden.integer("cfg.mask_downsampling"));
  CHECK(at::equal(ours.mask, golden["mask"]));
  CHECK(at::equal(ours.ids_keep, golden["ids_keep"]));
  CHECK(at::equal(ours.ids_restore, golden["ids_restore"]));
  return {golden["mask"], golden["ids_keep"], golden["ids_restore"]};
}

/// 3 x 5 blocks of 2x2 patches.
LongSequenceMaskedAutoencoderOptions oblong() {
  return LongSequenceMaskedAutoencoderOptions()
      .image_size({48, 80})
      .patch_size(8)
      .in_chans(4)
      .embed_dim(24)
      .depth(2)
      .num_heads(2)
      .decoder_embed_dim(16)
      .decoder_depth(2)
      .decoder_num_heads(2);
}

pixmim::TokenMask oblong_mask() {
  return pixmim::joint_mask(2, 6, 10, 0.75, /*block=*/2);
}

at::Tensor oblong_images() {
  return torch::randn({2, 4, 48, 80});
}

}  // namespace

TEST_CASE("the LSMAE example equals the official LSMAE", "[hosts]") {
  for (const auto& path : support::golden_files("lsmae_")) {
    const Golden golden(path);
    INFO(golden.name());
    const auto options = options_of(golden);
    const auto mask = mask_of(golden, options);
    LongSequenceMaskedAutoencoder model(options);
    hosts::load(*model, golden);
    const auto latent = model->forward_encoder(golden["images"], mask);
    hosts::expect_close(golden, "latent", latent);
    hosts::expect_close(golden, "pred", model->forward_decoder(latent, mask));
    if (golden.has("mask_pooled")) {
      hosts::expect_close(golden, "mask_pooled", model->loss_weights(mask), 0);
    }
    for (const auto& [norm_pix, prefix] : {std::pair{false, ""}, {true, "norm_pix."}}) {
      model->options.norm_pix_loss(norm_pix);
      model->zero_grad();
      const auto loss = model->loss(golden["images"], golden["images"], mask);
      hosts::expect_loss(golden, std::string(prefix) + "loss", loss);
      loss.backward();
      hosts::expect_gradients(golden, std::string(prefix) + "grad.", *model);
    }
  }
}

TEST_CASE("LSMAE's sizes are the published ones", "[hosts]") {
  // The encoder is ViT-B; the decoder "384d12h8b" of the official name.
  const auto options = LongSequenceMaskedAutoencoderOptions::vit("base");
  CHECK(options.num_patches() == 28 * 28);
  const LongSequenceMaskedAutoencoder model(options);
  const double encoder =
      static_cast<double>(hosts::parameters(*model, {"decoder", "mask_token"})) / 1e6;
  CHECK(encoder == Approx(85.6).epsilon(0.01));
  CHECK(model->decoder_blocks->size() == 8);
  CHECK(options.decoder_embed_dim() == 384);
  CHECK(options.decoder_num_heads() == 12);
  const auto large = LongSequenceMaskedAutoencoderOptions::vit("large");
  CHECK(large.decoder_embed_dim() == 512);
  CHECK(large.decoder_num_heads() == 16);
  CHECK(LongSequenceMaskedAutoencoderOptions::vit("huge").num_patches() == 32 * 32);
  CHECK(support::error_of([] {
          LongSequenceMaskedAutoencoderOptions::vit("giant");
        }).find("expected size to be tiny, small, base, large or huge, got giant") !=
        std::string::npos);
}

TEST_CASE("LSMAE takes oblong images and any downsampling that fits", "[hosts]") {
  torch::manual_seed(0);
  const auto mask = oblong_mask();
  const auto images = oblong_images();
  for (const auto& [down, pred, positions] : {std::tuple{1, 1, 60}, {2, 1, 60}, {2, 2, 15}}) {
    LongSequenceMaskedAutoencoder model(
        oblong().decoder_downsampling(down).pred_downsampling(pred));
    const int64_t side = 8 * pred;
    CHECK(model->options.prediction_patch_size() == side);
    CHECK(model->forward(images, mask).sizes() == at::IntArrayRef({2, positions, side * side * 4}));
    const auto loss = model->loss(images, images, mask);
    const auto patches = pixmim::patchify(images, side);
    CHECK(at::equal(loss, model->loss(images, patches, mask)));
    hosts::expect_training(model, images, mask);
  }
}

TEST_CASE("LSMAE's decoder may be coarser than its prediction by any factor", "[hosts]") {
  // 8x8 patches, 2x2 tokens of the decoder, 4x4 squares predicted.
  torch::manual_seed(0);
  LongSequenceMaskedAutoencoder model(
      oblong().image_size(64).decoder_downsampling(4).pred_downsampling(2));
  const auto images = torch::randn({2, 4, 64, 64});
  const auto mask = pixmim::joint_mask(2, 8, 8, 0.75, 2);
  CHECK(model->decoder_pos_embed.size(1) == 1 + 4);
  CHECK(model->forward(images, mask).sizes() == at::IntArrayRef({2, 16, 16 * 16 * 4}));
  hosts::expect_training(model, images, mask);
}

TEST_CASE("a square that LSMAE predicts counts by its hidden share", "[hosts]") {
  LongSequenceMaskedAutoencoder model(oblong().decoder_downsampling(2).pred_downsampling(2));
  const auto mask = pixmim::random_mask(2, 60, 0.75);
  const auto weights = model->loss_weights(mask);
  const auto blocks = mask.mask.reshape({2, 3, 2, 5, 2});
  for (int64_t y = 0; y < 3; ++y) {
    for (int64_t x = 0; x < 5; ++x) {
      const auto share = blocks.select(3, x).select(1, y).mean({1, 2});
      CHECK(at::equal(weights.select(1, y * 5 + x), share));
    }
  }
  // A joint mask of the same squares hides all of one, or nothing.
  const auto joint = model->loss_weights(pixmim::joint_mask(2, 6, 10, 0.6, /*block=*/2));
  CHECK(at::logical_or(joint == 0, joint == 1).all().item<bool>());
  CHECK(joint.sum().item<double>() == 2 * 9);
}

TEST_CASE("LSMAE trains in bfloat16 and with activation checkpointing", "[hosts]") {
  torch::manual_seed(0);
  const auto mask = oblong_mask();
  const auto images = oblong_images();
  for (const bool no_k_bias : {false, true}) {
    const auto options = oblong().decoder_downsampling(2).no_k_bias(no_k_bias);
    LongSequenceMaskedAutoencoder plain(options);
    hosts::expect_autocast(plain, images, mask);
    auto checkpointing = options;
    LongSequenceMaskedAutoencoder checkpointed(checkpointing.activation_checkpointing(true));
    hosts::expect_same_training(plain, checkpointed, images, mask);
  }
}

TEST_CASE("LSMAE with the low-frequency target is PixMIM", "[hosts]") {
  torch::manual_seed(0);
  auto options = oblong().in_chans(3);
  LongSequenceMaskedAutoencoder model(options);
  const auto images = torch::randn({2, 3, 48, 80});
  const auto mask = oblong_mask();
  const auto target = pixmim::low_freq_target(images, /*radius=*/6);
  const auto loss = model->loss(images, target, mask);
  const auto expected =
      pixmim::masked_pixel_loss(model->forward(images, mask), target, mask,
                                pixmim::PixelLossOptions(options.patch_size()).norm_pix(true));
  CHECK(at::equal(loss, expected));
  CHECK_FALSE(at::equal(loss, model->loss(images, images, mask)));
}

TEST_CASE("LSMAE says what does not fit", "[hosts]") {
  const auto fails = [](const LongSequenceMaskedAutoencoderOptions& options,
                        const std::string& message) {
    const auto error = support::error_of([&] { LongSequenceMaskedAutoencoder model(options); });
    INFO(error);
    CHECK(error.find(message) != std::string::npos);
  };
  fails(oblong().image_size({48, 84}),
        "expected image_size to be a multiple of patch_size, 8, got [48, 84]");
  fails(oblong().decoder_downsampling(4),
        "expected decoder_downsampling to divide the grid, 6x10, got 4");
  fails(oblong().decoder_downsampling(0),
        "expected decoder_downsampling to divide the grid, 6x10, got 0");
  fails(oblong().decoder_downsampling(2).pred_downsampling(3),
        "expected pred_downsampling to divide decoder_downsampling, 2, got 3");
  fails(oblong().pred_downsampling(2),
        "expected pred_downsampling to divide decoder_downsampling, 1, got 2");
}

TEST_CASE("LSMAE refuses images of another size, as many patches as they may have", "[hosts]") {
  LongSequenceMaskedAutoencoder model(oblong());
  const auto error = support::error_of([&] {
    model->forward(torch::randn({2, 4, 80, 48}), oblong_mask());
  });
  INFO(error);
  CHECK(error.find("LongSequenceMaskedAutoencoder: expected images of shape [N,4,48,80], got [2, "
                   "4, 80, 48]") != std::string::npos);
}
