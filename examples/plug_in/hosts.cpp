// SPDX-License-Identifier: Apache-2.0
// A step of each host with PixMIM in it; docs/hosts.md shows what stood there before.
#include <torch/nn.h>
#include <torch/utils.h>
#include <pixmim/pixmim.hpp>

#include <cstdio>
#include <vector>

#include "convmae/convmae.hpp"
#include "lsmae/lsmae.hpp"
#include "mae/mae.hpp"
#include "mff/mff.hpp"
#include "simmim/simmim.hpp"

using torch::Tensor;
using Photos = std::vector<Tensor>;  // uint8 [H,W,3]

Tensor mae_loss(mae::MaskedAutoencoder& model, const Photos& photos) {
  const pixmim::SimpleResizedCrop crop(224);
  const auto images = crop(photos);
  const auto mask = pixmim::random_mask(images.size(0), 14 * 14, 0.75);
  const auto target = pixmim::low_freq_target(images, /*radius=*/40);
  return model->loss(images, target, mask);
}

Tensor convmae_loss(convmae::ConvMaskedAutoencoder& model, const Photos& photos) {
  const pixmim::SimpleResizedCrop crop(224);
  const auto images = crop(photos);
  const auto mask = pixmim::random_mask(images.size(0), 14 * 14, 0.75);
  const auto target = pixmim::low_freq_target(images, /*radius=*/40);
  return model->loss(images, target, mask);
}

Tensor lsmae_loss(lsmae::LongSequenceMaskedAutoencoder& model, const Photos& photos) {
  const pixmim::SimpleResizedCrop crop(448);
  const auto images = crop(photos);
  const auto mask = pixmim::joint_mask(images.size(0), 28, 28, 0.75, /*block=*/2);
  const auto target = pixmim::low_freq_target(images, /*radius=*/80);
  return model->loss(images, target, mask);
}

Tensor mff_loss(mff::MultiLevelFusion& model, const Photos& photos) {
  const pixmim::SimpleResizedCrop crop(224);
  const auto images = crop(photos);
  const auto mask = pixmim::random_mask(images.size(0), 14 * 14, 0.75);
  const auto target = pixmim::low_freq_target(images, /*radius=*/40);
  return model->loss(images, target, mask);
}

Tensor simmim_loss(simmim::SimMIM& model, const Photos& photos) {
  const pixmim::SimpleResizedCrop crop(224);
  const auto images = crop(photos);
  const auto mask = pixmim::patch_aligned_mask(images.size(0), 224, /*mask_patch=*/32, 16, 0.6);
  const auto target = pixmim::low_freq_target(images, /*radius=*/40);
  return model->loss(images, target, mask);
}

/// Narrow and shallow: the paper's is `Options::vit("base")` as it is.
template <typename Options>
Options small(Options options) {
  return options.depth(2).decoder_embed_dim(32).decoder_depth(1).decoder_num_heads(4);
}

template <typename Model>
void step(const char* name, Model model, Tensor (*loss_of)(Model&, const Photos&)) {
  const Photos photos(2, torch::randint(256, {375, 500, 3}, torch::kByte));
  const auto loss = loss_of(model, photos);
  loss.backward();
  std::printf("%-8s loss %.4f\n", name, loss.template item<double>());
}

int main() {
  torch::manual_seed(0);
  step("MAE", mae::MaskedAutoencoder(small(mae::MaskedAutoencoderOptions::vit("tiny"))), mae_loss);
  step("ConvMAE",
       convmae::ConvMaskedAutoencoder(
           convmae::ConvMaskedAutoencoderOptions::base().depth({1, 1, 1}).decoder_depth(1)),
       convmae_loss);
  step("LSMAE",
       lsmae::LongSequenceMaskedAutoencoder(
           small(lsmae::LongSequenceMaskedAutoencoderOptions::vit("tiny"))),
       lsmae_loss);
  step("MFF",
       mff::MultiLevelFusion(small(mff::MultiLevelFusionOptions::vit("tiny")).out_indices({0, 1})),
       mff_loss);
  step("SimMIM", simmim::SimMIM(simmim::SimMIMOptions::vit("tiny").depth(2)), simmim_loss);
}
