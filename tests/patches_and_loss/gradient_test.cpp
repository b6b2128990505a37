// SPDX-License-Identifier: Apache-2.0
// Gradients of the loss and of the patches, against the official formula and finite differences.
#include <ATen/ATen.h>
#include <pixmim/loss.hpp>
#include <pixmim/masking.hpp>
#include <pixmim/patches.hpp>

#include "support/catch.hpp"
#include "support/golden.hpp"

using pixmim::masked_pixel_loss;
using pixmim::PixelLossOptions;
using pixmim::PixelNorm;
using support::largest_difference;

namespace {

struct Batch {
  at::Tensor images = at::randn({2, 3, 6, 4}, at::kDouble);
  at::Tensor prediction = at::randn({2, 6, 12}, at::kDouble);
  at::Tensor mask = pixmim::random_mask(2, 6, 0.5).mask;
};

/// d loss / d prediction by differences of both sides, in double.
at::Tensor by_differences(const Batch& batch, const at::Tensor& mask,
                          const PixelLossOptions& options) {
  constexpr double step = 1e-5;
  const at::Tensor result = at::zeros_like(batch.prediction);
  for (int64_t i = 0; i < result.numel(); ++i) {
    const auto value_at = [&](double shift) {
      const at::Tensor moved = batch.prediction.clone();
      moved.view(-1)[i] += shift;
      return masked_pixel_loss(moved, batch.images, mask, options).item<double>();
    };
    result.view(-1)[i] = (value_at(step) - value_at(-step)) / (2 * step);
  }
  return result;
}

at::Tensor gradient(const Batch& batch, const at::Tensor& mask, const PixelLossOptions& options) {
  const auto prediction = batch.prediction.clone().requires_grad_(true);
  masked_pixel_loss(prediction, batch.images, mask, options).backward();
  return prediction.grad();
}

}  // namespace

TEST_CASE("the gradient of the loss equals finite differences", "[patches_and_loss]") {
  at::manual_seed(1);  // no difference near 0, where L1 has a corner
  const Batch batch;
  const auto fractions = at::rand({2, 6});
  for (const bool norm_pix : {false, true}) {
    for (const auto norm : {PixelNorm::L2, PixelNorm::L1}) {
      const auto options = PixelLossOptions(2).norm_pix(norm_pix).norm(norm);
      for (const auto& mask : {batch.mask, fractions}) {
        // Rounding of the loss, 1e-15, over the step; the third derivative is zero.
        CHECK(largest_difference(gradient(batch, mask, options),
                                 by_differences(batch, mask, options)) < 1e-9);
      }
    }
  }
}

TEST_CASE("the gradient of the loss is that of the official formula", "[patches_and_loss]") {
  const Batch batch;
  const auto theirs = batch.prediction.clone().requires_grad_(true);
  auto target = pixmim::patchify(batch.images, 2);
  target = (target - target.mean(2, true)) / (target.var(2, true, true) + 1e-6).sqrt();
  const auto cost = (theirs - target).pow(2).mean(2);
  ((cost * batch.mask).sum() / batch.mask.sum()).backward();
  CHECK(largest_difference(gradient(batch, batch.mask, PixelLossOptions(2).norm_pix(true)),
                           theirs.grad()) < 1e-15);
}

TEST_CASE("only masked patches get a gradient", "[patches_and_loss]") {
  const Batch batch;
  for (const auto norm : {PixelNorm::L2, PixelNorm::L1}) {
    const auto grad = gradient(batch, batch.mask, PixelLossOptions(2).norm(norm));
    CHECK(at::equal(grad.abs().sum(2).gt(0), batch.mask.eq(1)));
  }
}

TEST_CASE("no gradient flows to the target or to the mask", "[patches_and_loss]") {
  const Batch batch;
  for (const bool norm_pix : {false, true}) {
    for (const auto& given : {batch.images, pixmim::patchify(batch.images, 2)}) {
      const auto prediction = batch.prediction.clone().requires_grad_(true);
      const auto target = given.clone().requires_grad_(true);
      const auto mask = batch.mask.clone().requires_grad_(true);
      const auto options = PixelLossOptions(2).norm_pix(norm_pix);
      masked_pixel_loss(prediction, target, mask, options).backward();
      CHECK(prediction.grad().defined());
      CHECK_FALSE(target.grad().defined());
      CHECK_FALSE(mask.grad().defined());
      CHECK_FALSE(masked_pixel_loss(batch.prediction, target, mask, options).requires_grad());
    }
  }
}

TEST_CASE("a 16-bit prediction gets a gradient of its dtype", "[patches_and_loss]") {
  const Batch batch;
  for (const auto dtype : {at::kBFloat16, at::kHalf}) {
    const auto narrow = batch.prediction.to(dtype).requires_grad_(true);
    const auto images = batch.images.to(at::kFloat);
    masked_pixel_loss(narrow, images, batch.mask, 2).backward();
    const auto wide = narrow.detach().to(at::kFloat).requires_grad_(true);
    masked_pixel_loss(wide, images, batch.mask, 2).backward();
    CHECK(narrow.grad().scalar_type() == dtype);
    CHECK(at::equal(narrow.grad(), wide.grad().to(dtype)));
  }
}

TEST_CASE("the gradient of patches is the images' cut alike, and back", "[patches_and_loss]") {
  const auto images = at::randn({2, 3, 6, 8}).requires_grad_(true);
  const auto weight = at::randn({2, 12, 12});
  pixmim::patchify(images, 2).backward(weight);
  CHECK(at::equal(images.grad(), pixmim::unpatchify(weight, 2, {3, 4})));

  const auto patches = at::randn({2, 12, 12}).requires_grad_(true);
  const auto image_weight = at::randn({2, 3, 6, 8});
  pixmim::unpatchify(patches, 2, {3, 4}).backward(image_weight);
  CHECK(at::equal(patches.grad(), pixmim::patchify(image_weight, 2)));
}
