// SPDX-License-Identifier: Apache-2.0
#include "pretrain/recipes.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace pretrain {
namespace {

/// What PixMIM changes in any recipe: the crop and the target.
Options with_pixmim(Options options, double radius = 40) {
  options.crop = "src";
  options.interpolation = "bilinear";
  options.target = "low-freq";
  options.radius = radius;
  return options;
}

/// The crop and the target that all plain recipes but SimMIM's have.
Options plain(Options options) {
  options.crop = "rrc";
  options.interpolation = "bicubic";
  options.min_scale = 0.2;
  options.target = "pixels";
  return options;
}

// mmselfsup configs/selfsup/{mae,pixmim}: 8 x 512 images a step, lr 1.5e-4 x 4096 / 256, AdamW with
// betas .9 and .95 and weight decay .05, 40 epochs of warm-up, then a cosine to 0, norm_pix.
Options openmmlab_300e() {
  Options options;
  options.batch = 512;
  options.accumulate = 8;
  options.bf16 = true;
  return options;
}

Options openmmlab_800e() {
  Options options = openmmlab_300e();
  options.epochs = 800;
  options.warmup_start = 1e-9;
  return options;
}

// The schedule and the decay of the official MAE, which ConvMAE and LSMAE took over.
Options official(double epochs, int64_t batch, int64_t accumulate) {
  Options options;
  options.epochs = epochs;
  options.batch = batch;
  options.accumulate = accumulate;
  options.schedule = "mae";
  options.decay = "mae";
  options.bf16 = true;
  return plain(options);
}

// MAE PRETRAIN.md.
Options mae_vit_large_800e() {
  Options options = official(800, 512, 8);
  options.model = "large";
  options.activation_checkpointing = true;
  return options;
}

// ConvMAE PRETRAIN.md: 3 nodes x 8 x 128 images.
Options convmae_base_1600e() {
  Options options = official(1600, 256, 12);
  options.host = "convmae";
  return options;
}

// LSMAE PRETRAIN_LONG_SEQ_GPU.md: 448 pixels, 2x2 patches hidden together, the narrow decoder
// that is LSMAE's own. 80 cycles an image are as many a pixel as 40 at 224 (docs/hosts.md).
Options lsmae_vit_base_800e() {
  Options options = official(800, 128, 32);
  options.host = "lsmae";
  options.image_size = 448;
  return options;
}
constexpr double radius_at_448 = 80;

// mmpretrain configs/mff: MAE's recipe on PixMIM's crop, with pixels as the target.
Options mff(Options options) {
  options = with_pixmim(std::move(options));
  options.host = "mff";
  options.target = "pixels";
  return options;
}
Options mff_vit_base_300e() {
  Options options = mff(openmmlab_300e());
  options.out_indices = "1,3,5,7,9,11";
  return options;
}
Options mff_vit_base_800e() {
  return mff(openmmlab_800e());  // with the layers that are MFF's own, 0,2,4,6,8,11
}

// SimMIM configs/vit_base__800ep: 2048 images a step at 1e-4 for 512, warm-up from 1/200 of it, a
// tenth after 700 epochs.
Options simmim_vit_base_800e() {
  Options options;
  options.host = "simmim";
  options.epochs = 800;
  options.warmup_epochs = 10;
  options.batch = 128;
  options.accumulate = 16;
  options.base_lr = 5e-5;
  options.schedule = "multistep";
  options.warmup_start = 5e-3;
  options.step_epoch = 700;
  options.step_factor = 0.1;
  options.decay = "simmim";
  options.beta2 = 0.999;
  options.clip_grad = 5;
  options.mask_ratio = 0.6;
  options.drop_path = 0.1;
  options.norm_pix = false;
  options.bf16 = true;
  options.crop = "rrc";
  options.min_scale = 0.67;
  options.target = "pixels";
  return options;
}

// Small enough for minutes on two cores: ViT-Tiny's width, 4 blocks, 64 pixels, and the circle that
// keeps the same frequencies per pixel as 40 at 224. Without norm_pix a picture shows what the
// model paints.
Options pixmim_vit_tiny_demo() {
  Options options;
  options.model = "tiny";
  options.depth = 4;
  options.image_size = 64;
  options.patch_size = 8;
  options.decoder_dim = 128;
  options.decoder_depth = 2;
  options.decoder_heads = 4;
  options.radius = 12;
  options.norm_pix = false;
  options.batch = 16;
  options.base_lr = 1.6e-2;
  options.epochs = 3000;
  options.warmup_epochs = 150;
  options.workers = 1;
  options.threads = 1;  // its operators are too small to share, and waiting threads would spin
  options.cache_mib = 256;
  return options;
}

const std::vector<std::pair<std::string, Options>>& recipes() {
  static const std::vector<std::pair<std::string, Options>> all = {
      {"mae_vit_base_300e", plain(openmmlab_300e())},
      {"pixmim_vit_base_300e", with_pixmim(openmmlab_300e())},
      {"mae_vit_base_800e", plain(openmmlab_800e())},
      {"pixmim_vit_base_800e", with_pixmim(openmmlab_800e())},
      {"mae_vit_large_800e", mae_vit_large_800e()},
      {"pixmim_vit_large_800e", with_pixmim(mae_vit_large_800e())},
      {"convmae_base_1600e", convmae_base_1600e()},
      {"pixmim_convmae_base_1600e", with_pixmim(convmae_base_1600e())},
      {"lsmae_vit_base_800e", lsmae_vit_base_800e()},
      {"pixmim_lsmae_vit_base_800e", with_pixmim(lsmae_vit_base_800e(), radius_at_448)},
      {"mff_vit_base_300e", mff_vit_base_300e()},
      {"pixmim_mff_vit_base_300e", with_pixmim(mff_vit_base_300e())},
      {"mff_vit_base_800e", mff_vit_base_800e()},
      {"pixmim_mff_vit_base_800e", with_pixmim(mff_vit_base_800e())},
      {"simmim_vit_base_800e", simmim_vit_base_800e()},
      {"pixmim_simmim_vit_base_800e", with_pixmim(simmim_vit_base_800e())},
      {"pixmim_vit_tiny_demo", pixmim_vit_tiny_demo()},
  };
  return all;
}

}  // namespace

Options recipe(const std::string& name) {
  for (const auto& [known, options] : recipes()) {
    if (known != name) continue;
    Options named = options;
    named.recipe = name;
    return named;
  }
  throw std::invalid_argument("there is no recipe " + name);
}

std::vector<std::string> recipe_names() {
  std::vector<std::string> names;
  for (const auto& entry : recipes()) names.push_back(entry.first);
  return names;
}

std::vector<std::string> host_names() {
  std::vector<std::string> names;
  for (const auto& entry : recipes()) {
    const std::string& host = entry.second.host;
    if (std::find(names.begin(), names.end(), host) == names.end()) names.push_back(host);
  }
  return names;
}

std::string recipe_of_host(const std::string& host) {
  for (const auto& [name, options] : recipes()) {
    if (options.host == host && options.target == "low-freq") return name;
  }
  throw std::invalid_argument("there is no host " + host);
}

}  // namespace pretrain
