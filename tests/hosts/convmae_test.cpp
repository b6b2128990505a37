// SPDX-License-Identifier: Apache-2.0
// The ConvMAE example against the official model.
#include "convmae/convmae.hpp"

#include <torch/torch.h>
#include <pixmim/pixmim.hpp>

#include "hosts/compare.hpp"
#include "support/errors.hpp"

namespace {

using convmae::ConvMaskedAutoencoder;
using convmae::ConvMaskedAutoencoderOptions;

ConvMaskedAutoencoder model_of(const support::Golden& golden) {
  const auto cfg = [&](const char* name) { return golden.integer(std::string("cfg.") + name); };
  const auto stages = [&](const char* name) {
    const auto& values = golden[std::string("cfg.") + name];
    return std::vector<int64_t>(values.const_data_ptr<int64_t>(),
                                values.const_data_ptr<int64_t>() + values.numel());
  };
  const auto ratios = stages("mlp_ratio");
  ConvMaskedAutoencoder model(ConvMaskedAutoencoderOptions()
                                  .image_size(golden["images"].size(2))
                                  .embed_dim(stages("embed_dim"))
                                  .depth(stages("depth"))
                                  .num_heads(cfg("num_heads"))
                                  .decoder_embed_dim(cfg("decoder_embed_dim"))
                                  .decoder_depth(cfg("decoder_depth"))
                                  .decoder_num_heads(cfg("decoder_num_heads"))
                                  .mlp_ratio(std::vector<double>(ratios.begin(), ratios.end())));
  hosts::load(*model, golden);
  return model;
}

/// For images of 48x80 with four channels.
ConvMaskedAutoencoderOptions small() {
  return ConvMaskedAutoencoderOptions()
      .image_size({48, 80})
      .in_chans(4)
      .embed_dim({8, 12, 16})
      .depth({2, 1, 2})
      .num_heads(2)
      .decoder_embed_dim(8)
      .decoder_depth(1)
      .decoder_num_heads(2)
      .mlp_ratio({2, 3, 1});
}

at::Tensor small_images() {
  return torch::randn({2, 4, 48, 80}, at::make_generator<at::CPUGeneratorImpl>(3));
}

pixmim::TokenMask small_mask(double ratio = 0.6) {
  return pixmim::random_mask(2, 15, ratio, {}, at::make_generator<at::CPUGeneratorImpl>(3));
}

}  // namespace

TEST_CASE("the ConvMAE example equals the official ConvMAE", "[hosts]") {
  for (const auto& path : support::golden_files("convmae_")) {
    const support::Golden golden(path);
    const auto& images = golden["images"];
    const auto mask = pixmim::mask_from_noise(golden["noise"], golden.number("cfg.mask_ratio"));
    CHECK(at::equal(mask.mask, golden["mask"]));
    for (const std::string prefix : {"", "norm_pix."}) {
      auto model = model_of(golden);
      model->options.norm_pix_loss(!prefix.empty());
      const auto latent = model->forward_encoder(images, mask);
      hosts::expect_close(golden, "latent", latent);
      hosts::expect_close(golden, "pred", model->forward_decoder(latent, mask));
      const auto loss = model->loss(images, images, mask);
      hosts::expect_loss(golden, prefix + "loss", loss);
      loss.backward();
      hosts::expect_gradients(golden, prefix + "grad.", *model);
    }
  }
}

TEST_CASE("ConvMAE's pixels of masked cells reach nothing visible", "[hosts]") {
  const torch::NoGradGuard no_grad;
  ConvMaskedAutoencoder model(small());
  const auto mask = small_mask();
  const auto images = small_images();
  const auto hidden = pixmim::upsample_mask(mask.mask, {3, 5}, 16);
  const auto others = images + 10 * hidden;
  CHECK(at::equal(model->forward(images, mask), model->forward(others, mask)));
  CHECK_FALSE(at::equal(model->forward(images, mask), model->forward(images + 0.1, mask)));
}

TEST_CASE("ConvMAE takes any image size, channels and ratio", "[hosts]") {
  ConvMaskedAutoencoder model(small());
  CHECK(model->options.num_patches() == 15);
  for (const double ratio : {0.0, 0.4, 0.9}) {
    const auto prediction = model->forward(small_images(), small_mask(ratio));
    CHECK(prediction.sizes() == at::IntArrayRef({2, 15, 16 * 16 * 4}));
  }
  hosts::expect_training(model, small_images(), small_mask());
  // A target of its own, as patches.
  const auto target = pixmim::patchify(small_images() * 2, 16);
  CHECK(model->loss(small_images(), target, small_mask()).item<double>() ==
        Approx(model->loss(small_images(), small_images() * 2, small_mask()).item<double>()));
}

TEST_CASE("ConvMAE trains in bfloat16", "[hosts]") {
  ConvMaskedAutoencoder model(small());
  hosts::expect_autocast(model, small_images(), small_mask());
}

TEST_CASE("ConvMAE has the same gradients with activation checkpointing", "[hosts]") {
  ConvMaskedAutoencoder plain(small());
  ConvMaskedAutoencoder checkpointed(small().activation_checkpointing(true));
  hosts::expect_same_training(plain, checkpointed, small_images(), small_mask());
}

TEST_CASE("ConvMAE-Base has the official number of parameters", "[hosts]") {
  const ConvMaskedAutoencoder model(ConvMaskedAutoencoderOptions::base());
  CHECK(hosts::parameters(*model) == 114790528);
  // Published: 88 M.
  CHECK(hosts::parameters(*model, {"decoder", "mask_token"}) == 88782208);
}

TEST_CASE("ConvMAE starts as the official one", "[hosts]") {
  torch::manual_seed(1);
  const ConvMaskedAutoencoder model(ConvMaskedAutoencoderOptions::base());
  const auto bound = [](double fan_in, double fan_out) {
    return std::sqrt(6 / (fan_in + fan_out));
  };
  const auto largest = [](const at::Tensor& weight) { return weight.abs().max().item<double>(); };
  // Xavier for the patch embedding of stage 3 and for matrices, 1/sqrt(fan in) for convolutions.
  CHECK(largest(model->patch_embed3->proj->weight) == Approx(bound(4 * 384, 768)).epsilon(0.01));
  CHECK(largest(model->patch_embed4->weight) == Approx(bound(768, 768)).epsilon(0.01));
  CHECK(largest(model->patch_embed2->proj->weight) ==
        Approx(1 / std::sqrt(4 * 256.)).epsilon(0.01));
  CHECK(largest(model->stage1_output_decode->weight) ==
        Approx(1 / std::sqrt(16 * 256.)).epsilon(0.01));
  CHECK(largest(model->patch_embed4->bias) == 0);
  CHECK(model->mask_token.std().item<double>() == Approx(0.02).epsilon(0.2));
}

TEST_CASE("ConvMAE says what does not fit", "[hosts]") {
  CHECK_THAT(support::error_of([] { ConvMaskedAutoencoder(small().image_size(40)); }),
             ContainsSubstring(
                 "ConvMaskedAutoencoder: expected image_size to be a multiple of patch_size, 16"));
  ConvMaskedAutoencoder model(small());
  CHECK_THAT(support::error_of([&] {
               model->forward(torch::randn({2, 4, 80, 48}), small_mask());
             }),
             ContainsSubstring("expected images of shape [N,4,48,80], got [2, 4, 80, 48]"));
  CHECK_THAT(
      support::error_of([&] { model->forward(small_images(), small_mask(1)); }),
      ContainsSubstring("expected a mask that keeps a token, got one that keeps none of 15"));
  CHECK_THROWS_AS(model->forward(small_images(), pixmim::random_mask(2, 16, 0.5)), c10::Error);
}
