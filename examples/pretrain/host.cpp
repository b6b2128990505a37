// SPDX-License-Identifier: Apache-2.0
#include "pretrain/host.hpp"

#include <pixmim/masking.hpp>

#include <utility>

#include "mae/mae.hpp"

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

/// Sets what most hosts can be told.
template <typename ModelOptions>
ModelOptions configured(ModelOptions model, const Options& options) {
  model.image_size(options.image_size)
      .decoder_embed_dim(options.decoder_dim)
      .decoder_depth(options.decoder_depth)
      .decoder_num_heads(options.decoder_heads)
      .norm_pix_loss(options.norm_pix)
      .activation_checkpointing(options.activation_checkpointing);
  if (options.patch_size > 0) model.patch_size(options.patch_size);
  if (options.depth > 0) model.depth(options.depth);
  return model;
}

std::unique_ptr<Host> make_mae(const Options& options) {
  const auto model = configured(mae::MaskedAutoencoderOptions::vit(options.model), options);
  return std::make_unique<HostOf<mae::MaskedAutoencoder>>(
      "MAE, ViT-" + options.model, mae::MaskedAutoencoder(model), options.mask_ratio);
}

}  // namespace

std::unique_ptr<Host> make_host(const Options& options) {
  if (options.host == "mae") return make_mae(options);
  TORCH_CHECK(false, "make_host: expected mae, convmae, lsmae, mff or simmim, got ", options.host);
}

}  // namespace pretrain
