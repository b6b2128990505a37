// SPDX-License-Identifier: Apache-2.0
#include "pretrain/host.hpp"

#include <pixmim/masking.hpp>

#include <algorithm>
#include <sstream>
#include <utility>
#include <vector>

#include "convmae/convmae.hpp"
#include "lsmae/lsmae.hpp"
#include "mae/mae.hpp"
#include "mff/mff.hpp"
#include "simmim/simmim.hpp"

namespace pretrain {
namespace {

/// What hosts have in common; `Model` is a holder such as mae::MaskedAutoencoder.
template <typename Model>
class HostOf : public Host {
 public:
  HostOf(std::string name, Model model, double mask_ratio)
      : model_(std::move(model)), mask_ratio_(mask_ratio), name_(std::move(name)) {}

  std::string name() const override { return name_; }
  torch::nn::Module& module() override { return *model_; }

  int64_t mask_noise() const override { return model_->options.num_patches(); }
  pixmim::TokenMask mask(const torch::Tensor& noise) const override {
    return pixmim::mask_from_noise(noise, mask_ratio_);
  }
  int64_t patch_size() const override { return model_->options.patch_size(); }

  torch::Tensor forward(const torch::Tensor& images, const pixmim::TokenMask& mask) override {
    return model_->forward(images, mask);
  }
  int64_t prediction_patch_size() const override { return patch_size(); }
  torch::Tensor prediction_mask(const pixmim::TokenMask& mask) const override { return mask.mask; }

  torch::Tensor loss(const torch::Tensor& images, const torch::Tensor& target,
                     const pixmim::TokenMask& mask) override {
    return model_->loss(images, target, mask);
  }

 protected:
  Model model_;
  double mask_ratio_;

 private:
  std::string name_;
};

/// LSMAE's mask hides squares of patches, and its prediction may be of such squares.
class LongSequenceHost : public HostOf<lsmae::LongSequenceMaskedAutoencoder> {
 public:
  LongSequenceHost(std::string name, lsmae::LongSequenceMaskedAutoencoder model,
                   const Options& options)
      : HostOf(std::move(name), std::move(model), options.mask_ratio), block_(options.mask_block) {}

  int64_t mask_noise() const override {
    const auto squares = [this](int64_t patches) { return (patches + block_ - 1) / block_; };
    return squares(model_->options.grid_h()) * squares(model_->options.grid_w());
  }
  pixmim::TokenMask mask(const torch::Tensor& noise) const override {
    return pixmim::joint_mask_from_noise(noise, model_->options.grid_h(), model_->options.grid_w(),
                                         mask_ratio_, block_);
  }
  int64_t prediction_patch_size() const override { return model_->options.prediction_patch_size(); }
  torch::Tensor prediction_mask(const pixmim::TokenMask& mask) const override {
    return model_->loss_weights(mask);
  }

 private:
  int64_t block_;
};

/// SimMIM's mask hides squares of pixels that are larger than a patch.
class SimMIMHost : public HostOf<simmim::SimMIM> {
 public:
  SimMIMHost(std::string name, simmim::SimMIM model, const Options& options)
      : HostOf(std::move(name), std::move(model), options.mask_ratio),
        image_size_(options.image_size),
        mask_patch_size_(options.mask_patch_size) {}

  int64_t mask_noise() const override {
    const int64_t squares = image_size_ / mask_patch_size_;
    return squares * squares;
  }
  pixmim::TokenMask mask(const torch::Tensor& noise) const override {
    return pixmim::patch_aligned_mask_from_noise(noise, image_size_, mask_patch_size_, patch_size(),
                                                 mask_ratio_);
  }

 private:
  int64_t image_size_;
  int64_t mask_patch_size_;
};

/// What every host can be told.
template <typename ModelOptions>
void configure_common(ModelOptions& model, const Options& options) {
  model.image_size(options.image_size)
      .norm_pix_loss(options.norm_pix)
      .activation_checkpointing(options.activation_checkpointing);
}

template <typename ModelOptions>
void configure_decoder(ModelOptions& model, const Options& options) {
  if (options.decoder_dim > 0) model.decoder_embed_dim(options.decoder_dim);
  if (options.decoder_depth > 0) model.decoder_depth(options.decoder_depth);
  if (options.decoder_heads > 0) model.decoder_num_heads(options.decoder_heads);
}

template <typename ModelOptions>
void configure_vit(ModelOptions& model, const Options& options) {
  configure_common(model, options);
  if (options.patch_size > 0) model.patch_size(options.patch_size);
  if (options.depth > 0) model.depth(options.depth);
}

std::unique_ptr<Host> make_mae(const Options& options) {
  auto model = mae::MaskedAutoencoderOptions::vit(options.model);
  configure_vit(model, options);
  configure_decoder(model, options);
  return std::make_unique<HostOf<mae::MaskedAutoencoder>>(
      "MAE, ViT-" + options.model, mae::MaskedAutoencoder(model), options.mask_ratio);
}

std::unique_ptr<Host> make_convmae(const Options& options) {
  TORCH_CHECK(options.model == "base", "--model: ConvMAE is there as base alone, got ",
              options.model);
  TORCH_CHECK(options.patch_size == 0 || options.patch_size == 16,
              "--patch-size: ConvMAE's strides make it 16, got ", options.patch_size);
  auto model = convmae::ConvMaskedAutoencoderOptions::base();
  configure_common(model, options);
  configure_decoder(model, options);
  if (options.depth > 0) {
    auto depth = *model.depth();
    depth.back() = options.depth;
    model.depth(depth);
  }
  return std::make_unique<HostOf<convmae::ConvMaskedAutoencoder>>(
      "ConvMAE-base", convmae::ConvMaskedAutoencoder(model), options.mask_ratio);
}

std::unique_ptr<Host> make_lsmae(const Options& options) {
  auto model = lsmae::LongSequenceMaskedAutoencoderOptions::vit(options.model);
  configure_vit(model, options);
  configure_decoder(model, options);
  model.decoder_downsampling(options.decoder_downsampling)
      .pred_downsampling(options.pred_downsampling)
      .no_k_bias(options.no_k_bias);
  return std::make_unique<LongSequenceHost>("LSMAE, ViT-" + options.model,
                                            lsmae::LongSequenceMaskedAutoencoder(model), options);
}

/// "1,3,11"
std::vector<int64_t> numbers(const std::string& text) {
  std::vector<int64_t> result;
  std::istringstream parts(text);
  for (std::string part; std::getline(parts, part, ',');) {
    TORCH_CHECK(
        !part.empty() && part.size() < 5 && part.find_first_not_of("0123456789") == part.npos,
        "--out-indices: expected numbers with commas between them, got ", text);
    result.push_back(std::stoll(part));
  }
  return result;
}

std::unique_ptr<Host> make_mff(const Options& options) {
  auto model = mff::MultiLevelFusionOptions::vit(options.model);
  configure_vit(model, options);
  configure_decoder(model, options);
  if (!options.out_indices.empty()) {
    const auto layers = numbers(options.out_indices);
    TORCH_CHECK(!layers.empty() && layers.back() == model.depth() - 1,
                "--out-indices: expected the last layer, ", model.depth() - 1, ", at the end, got ",
                options.out_indices, " (--out-indices '' takes the model's own)");
    model.out_indices(layers);
  }
  return std::make_unique<HostOf<mff::MultiLevelFusion>>(
      "MFF, ViT-" + options.model, mff::MultiLevelFusion(model), options.mask_ratio);
}

std::unique_ptr<Host> make_simmim(const Options& options) {
  auto model = simmim::SimMIMOptions::vit(options.model);
  configure_vit(model, options);
  model.drop_path(options.drop_path);
  return std::make_unique<SimMIMHost>("SimMIM, ViT-" + options.model, simmim::SimMIM(model),
                                      options);
}

/// Throws if an option is set that the host has no use for: it would be thought to work.
void expect_own_options(const Options& given) {
  const Options none;
  const auto expect = [&given](const char* name, bool is_set, std::vector<std::string> hosts) {
    if (!is_set || std::find(hosts.begin(), hosts.end(), given.host) != hosts.end()) return;
    TORCH_CHECK(false, "--", name, " is an option of ", c10::Join(", ", hosts), ", not of ",
                given.host);
  };
  const std::vector<std::string> with_decoder = {"mae", "convmae", "lsmae", "mff"};
  expect("decoder-dim", given.decoder_dim != none.decoder_dim, with_decoder);
  expect("decoder-depth", given.decoder_depth != none.decoder_depth, with_decoder);
  expect("decoder-heads", given.decoder_heads != none.decoder_heads, with_decoder);
  expect("decoder-downsampling", given.decoder_downsampling != none.decoder_downsampling,
         {"lsmae"});
  expect("pred-downsampling", given.pred_downsampling != none.pred_downsampling, {"lsmae"});
  expect("no-k-bias", given.no_k_bias, {"lsmae"});
  expect("mask-block", given.mask_block != none.mask_block, {"lsmae"});
  expect("out-indices", given.out_indices != none.out_indices, {"mff"});
  expect("drop-path", given.drop_path != none.drop_path, {"simmim"});
  expect("mask-patch-size", given.mask_patch_size != none.mask_patch_size, {"simmim"});
}

}  // namespace

std::unique_ptr<Host> make_host(const Options& options) {
  static const std::vector<std::pair<std::string, std::unique_ptr<Host> (*)(const Options&)>>
      makers = {{"mae", make_mae},
                {"convmae", make_convmae},
                {"lsmae", make_lsmae},
                {"mff", make_mff},
                {"simmim", make_simmim}};
  for (const auto& [name, make] : makers) {
    if (name != options.host) continue;
    expect_own_options(options);
    return make(options);
  }
  TORCH_CHECK(false, "make_host: expected mae, convmae, lsmae, mff or simmim, got ", options.host);
}

}  // namespace pretrain
