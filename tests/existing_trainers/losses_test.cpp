// SPDX-License-Identifier: Apache-2.0
// Masks, patches and losses of other conventions: the lines of docs/existing_trainers.md.
#include <torch/torch.h>
#include <pixmim/pixmim.hpp>

#include <tuple>

#include "support/catch.hpp"
#include "support/golden.hpp"

using support::largest_difference;
using torch::Tensor;

namespace {

constexpr int64_t batch = 2, channels = 3, side = 32, patch = 8;
constexpr int64_t grid = side / patch, tokens = grid * grid, values = patch * patch * channels;

struct Step {
  Tensor images = torch::randn({batch, channels, side, side});
  Tensor target = pixmim::low_freq_target(images, 6);
  Tensor prediction = torch::randn({batch, tokens, values});
  pixmim::TokenMask hidden = pixmim::random_mask(batch, tokens, 0.75);
  Tensor loss = pixmim::masked_pixel_loss(prediction, target, hidden, patch);
};

double difference(const Tensor& a, const Tensor& b) {
  return (a - b).abs().item<double>();
}

/// Patches in the order (c, h, w), as torch's unfold has them.
Tensor to_patches(const Tensor& images) {
  return torch::nn::functional::unfold(
             images, torch::nn::functional::UnfoldFuncOptions(patch).stride(patch))
      .transpose(1, 2);
}

/// Somebody else's loss over patches.
Tensor criterion(const Tensor& patches, const Tensor& prediction, const Tensor& mask) {
  return ((prediction - patches).square().mean(2) * mask).sum() / mask.sum();
}

/// MAE's, as both public trainers have it: what the encoder sees, the mask, the way back.
std::tuple<Tensor, Tensor, Tensor> random_masking(const Tensor& x, double mask_ratio) {
  const auto mask = pixmim::random_mask(x.size(0), x.size(1), mask_ratio, x.options());
  return {mask.visible(x), mask.mask, mask.ids_restore};
}

std::tuple<Tensor, Tensor, Tensor> random_masking(const Tensor& x, int64_t kept) {
  const double ratio = 1 - (static_cast<double>(kept) + 0.5) / static_cast<double>(x.size(1));
  const auto mask = pixmim::random_mask(x.size(0), x.size(1), ratio, x.options());
  return {mask.visible(x), mask.mask, mask.ids_restore};
}

}  // namespace

TEST_CASE("a random_masking of three tensors", "[existing_trainers]") {
  const auto x = torch::randn({batch, tokens, 5});
  const auto [visible, mask, ids_restore] = random_masking(x, 0.75);
  const auto ids_shuffle = ids_restore.argsort(int64_t{1});
  const auto ids_keep = ids_shuffle.slice(1, 0, tokens / 4);
  CHECK(torch::equal(std::get<0>(ids_shuffle.sort(1)),
                     torch::arange(tokens).expand({batch, tokens})));
  CHECK(torch::equal(visible, x.gather(1, ids_keep.unsqueeze(2).expand({-1, -1, 5}))));
  CHECK(torch::equal(mask, ids_restore.ge(tokens / 4).to(torch::kFloat)));
  for (int64_t kept = 1; kept < tokens; ++kept) {
    CHECK(std::get<0>(random_masking(x, kept)).size(1) == kept);
  }
}

TEST_CASE("masks of other conventions in the loss", "[existing_trainers]") {
  const Step step;
  const auto& hidden = step.hidden;
  const auto& expected = step.loss;
  const auto loss = [&](const Tensor& mask) {
    return pixmim::masked_pixel_loss(step.prediction, step.target, mask, patch);
  };
  const Tensor keep = hidden.mask.eq(0);
  CHECK(difference(loss(keep.logical_not()), expected) == 0);
  const Tensor keep_weights = keep.to(torch::kFloat);
  CHECK(difference(loss(1 - keep_weights), expected) == 0);
  const Tensor with_class = torch::cat({torch::zeros({batch, 1}), hidden.mask}, 1);
  CHECK(difference(loss(with_class.slice(1, 1)), expected) == 0);
  const Tensor in_grid = hidden.mask.view({batch, grid, grid});
  CHECK(difference(loss(in_grid.flatten(1)), expected) == 0);
  const Tensor ids_keep = hidden.ids_keep;
  CHECK(difference(loss(torch::ones({batch, tokens}).scatter(1, ids_keep, 0)), expected) == 0);
  const Tensor ids_masked = hidden.ids_masked();
  CHECK(difference(loss(torch::zeros({batch, tokens}).scatter(1, ids_masked, 1)), expected) == 0);
}

TEST_CASE("a TokenMask of somebody else's mask", "[existing_trainers]") {
  const Step step;
  const Tensor masked = step.hidden.mask.to(torch::kBool);
  const int64_t kept = tokens / 4;
  const auto mask = pixmim::token_mask(masked);
  CHECK(torch::equal(mask.mask, step.hidden.mask));
  CHECK(torch::equal(mask.ids_keep, std::get<0>(step.hidden.ids_keep.sort(int64_t{1}))));
  const Tensor ids_keep = step.hidden.ids_keep;
  CHECK(torch::equal(pixmim::mask_from_ids(ids_keep, tokens).mask, step.hidden.mask));
  const Tensor ids_shuffle = step.hidden.ids_restore.argsort(int64_t{1});
  CHECK(torch::equal(pixmim::mask_from_ids(ids_shuffle.slice(1, 0, kept), tokens).ids_keep,
                     ids_keep));
}

TEST_CASE("what a trainer may want of a TokenMask", "[existing_trainers]") {
  const Step step;
  const auto& hidden = step.hidden;
  const auto x = torch::randn({batch, tokens, 5});
  const auto mask_token = torch::randn({1, 1, 5});
  CHECK(torch::equal(hidden.ids_masked(),
                     hidden.ids_restore.argsort(int64_t{1}).slice(1, tokens / 4)));
  const Tensor w = hidden.mask.unsqueeze(2);
  CHECK(largest_difference(hidden.masked_fill(x, mask_token), x * (1 - w) + mask_token * w) == 0);
}

TEST_CASE("predictions of other shapes", "[existing_trainers]") {
  const Step step;
  const auto& [images, target, prediction, hidden, expected] = step;
  const Tensor with_class = torch::cat({torch::zeros({batch, 1, values}), prediction}, 1);
  CHECK(difference(pixmim::masked_pixel_loss(with_class.slice(1, 1), target, hidden, patch),
                   expected) == 0);
  const Tensor pictures = pixmim::unpatchify(prediction, patch, {grid, grid});
  CHECK(difference(
            pixmim::masked_pixel_loss(pixmim::patchify(pictures, patch), target, hidden, patch),
            expected) == 0);
  const Tensor predicted = to_patches(pictures);  // (c, h, w)
  CHECK(difference(pixmim::masked_pixel_loss(predicted, to_patches(target), hidden, patch),
                   expected) < 1e-6);
}

TEST_CASE("predictions of the masked patches alone", "[existing_trainers]") {
  const Step step;
  const auto& hidden = step.hidden;
  const Tensor prediction = hidden.masked(step.prediction);
  const pixmim::LowFreqTargetGenerator low_freq(6);
  const Tensor target = hidden.masked(low_freq.patches(step.images, patch));
  const Tensor masked = hidden.mask.to(torch::kBool);
  const Tensor by_position = low_freq.patches(step.images, patch).index({masked}).view_as(target);
  const Tensor order = hidden.ids_masked().argsort(int64_t{1});
  CHECK(torch::equal(by_position, target.gather(1, order.unsqueeze(2).expand_as(target))));
  const Tensor loss = (prediction - target).square().mean();
  CHECK(difference(loss, step.loss) < 1e-5);
}

TEST_CASE("losses by the trainer's own code", "[existing_trainers]") {
  const Step step;
  const auto& [images, target, prediction, hidden, expected] = step;
  const Tensor mask = hidden.mask;
  const pixmim::LowFreqTargetGenerator low_freq(6);
  CHECK(difference(criterion(low_freq.patches(images, patch), prediction, mask), expected) < 1e-5);

  // Whatever the order inside a patch is: the target takes the way of the images.
  const Tensor predicted = to_patches(pixmim::unpatchify(prediction, patch, {grid, grid}));
  const Tensor loss = criterion(to_patches(low_freq(images)), predicted, mask);
  CHECK(difference(loss, expected) < 1e-5);
}

TEST_CASE("patches normalised by the biased variance", "[existing_trainers]") {
  const Step step;
  const auto& [images, target, prediction, hidden, expected] = step;
  Tensor patches = pixmim::patchify(target, patch);
  const auto [variance, mean] = torch::var_mean(patches, {2}, /*unbiased=*/false, /*keepdim=*/true);
  patches = (patches - mean) / (variance + 1e-6).sqrt();
  const Tensor loss = pixmim::masked_pixel_loss(prediction, patches, hidden, patch);
  CHECK(difference(loss, criterion(patches, prediction, hidden.mask)) < 1e-5);
}

TEST_CASE("the whole loss of a MAE in one line", "[existing_trainers]") {
  const Step step;
  const auto& [images, target, prediction, hidden, expected] = step;
  const Tensor mask = hidden.mask;
  const bool norm_pix = true;
  const Tensor loss =
      pixmim::masked_pixel_loss(prediction, pixmim::low_freq_target(images, 6), mask,
                                pixmim::PixelLossOptions(patch).norm_pix(norm_pix));
  const Tensor patches = pixmim::normalize_patches(pixmim::patchify(target, patch));
  CHECK(difference(loss, pixmim::masked_pixel_loss(prediction, patches, mask, patch)) < 1e-5);
}
