// SPDX-License-Identifier: Apache-2.0
// What holds for every loss: against a plain loop over the pixels, and at the edges.
#include <ATen/ATen.h>
#include <pixmim/loss.hpp>
#include <pixmim/masking.hpp>
#include <pixmim/patches.hpp>

#include <cmath>
#include <vector>

#include "support/catch.hpp"
#include "support/golden.hpp"

using pixmim::masked_pixel_loss;
using pixmim::PixelLossOptions;
using pixmim::PixelNorm;
using support::largest_difference;

namespace {

/// The loss by its definition, one pixel after the other, in double.
double loss_by_loop(const at::Tensor& prediction, const at::Tensor& patches, const at::Tensor& mask,
                    const PixelLossOptions& options) {
  const at::Tensor p = prediction.to(at::kDouble);
  const at::Tensor t = patches.to(at::kDouble);
  const at::Tensor m = mask.to(at::kDouble);
  const auto predicted = p.accessor<double, 3>();
  const auto wanted = t.accessor<double, 3>();
  const auto weight = m.accessor<double, 2>();
  const int64_t pixels = p.size(2);
  const auto count = static_cast<double>(pixels);
  double sum = 0;
  double weights = 0;
  for (int64_t n = 0; n < p.size(0); ++n) {
    for (int64_t l = 0; l < p.size(1); ++l) {
      double mean = 0;
      double deviation = 1;
      if (options.norm_pix()) {
        for (int64_t i = 0; i < pixels; ++i) mean += wanted[n][l][i] / count;
        double squares = 0;
        for (int64_t i = 0; i < pixels; ++i) squares += std::pow(wanted[n][l][i] - mean, 2);
        deviation = std::sqrt(squares / (count - 1) + 1e-6);
      }
      double cost = 0;
      for (int64_t i = 0; i < pixels; ++i) {
        const double difference = predicted[n][l][i] - (wanted[n][l][i] - mean) / deviation;
        cost += options.norm() == PixelNorm::L2 ? difference * difference : std::abs(difference);
      }
      sum += weight[n][l] * cost / count;
      weights += weight[n][l];
    }
  }
  return sum / weights;
}

std::vector<PixelLossOptions> all_options(int64_t patch_size) {
  std::vector<PixelLossOptions> all;
  for (const bool norm_pix : {false, true}) {
    for (const auto norm : {PixelNorm::L2, PixelNorm::L1}) {
      all.push_back(PixelLossOptions(patch_size).norm_pix(norm_pix).norm(norm));
    }
  }
  return all;
}

struct Batch {
  at::Tensor images = at::randn({2, 3, 12, 20});
  at::Tensor patches = pixmim::patchify(images, 4);
  at::Tensor prediction = at::randn({2, 15, 48});
  pixmim::TokenMask mask = pixmim::random_mask(2, 15, 0.6);
};

double number(const at::Tensor& loss) {
  return loss.item<double>();
}

}  // namespace

TEST_CASE("the loss is what its definition says", "[patches_and_loss]") {
  const Batch batch;
  const auto fractions = at::rand({2, 15});
  for (const auto& options : all_options(4)) {
    for (const auto& mask : {batch.mask.mask, fractions, fractions * 0.01}) {
      const double expected = loss_by_loop(batch.prediction, batch.patches, mask, options);
      // 1,440 additions in float32; nothing but rounding in float64.
      CHECK(number(masked_pixel_loss(batch.prediction, batch.images, mask, options)) ==
            Approx(expected).epsilon(5e-6));
      CHECK(number(masked_pixel_loss(batch.prediction.to(at::kDouble), batch.images.to(at::kDouble),
                                     mask, options)) == Approx(expected).epsilon(1e-12));
    }
  }
}

TEST_CASE("images and their patches are the same target", "[patches_and_loss]") {
  const Batch batch;
  for (const auto& options : all_options(4)) {
    CHECK(at::equal(masked_pixel_loss(batch.prediction, batch.images, batch.mask, options),
                    masked_pixel_loss(batch.prediction, batch.patches, batch.mask, options)));
  }
}

TEST_CASE("a TokenMask and its tensor give the same loss, in any dtype", "[patches_and_loss]") {
  const Batch batch;
  const auto loss = masked_pixel_loss(batch.prediction, batch.images, batch.mask, 4);
  for (const auto dtype : {at::kFloat, at::kDouble, at::kHalf, at::kBool, at::kLong}) {
    const auto mask = batch.mask.mask.to(dtype);
    const auto same = masked_pixel_loss(batch.prediction, batch.images, mask, 4);
    CHECK(same.scalar_type() == at::kFloat);
    CHECK(at::equal(same, loss));
  }
}

TEST_CASE("visible patches do not count", "[patches_and_loss]") {
  const Batch batch;
  const auto masked = batch.mask.mask.unsqueeze(2);
  const auto changed = batch.prediction + (1 - masked) * 100;
  const auto hidden = batch.prediction + masked * 100;
  for (const auto& options : all_options(4)) {
    const auto loss = masked_pixel_loss(batch.prediction, batch.images, batch.mask, options);
    CHECK(at::equal(masked_pixel_loss(changed, batch.images, batch.mask, options), loss));
    CHECK(number(masked_pixel_loss(hidden, batch.images, batch.mask, options)) > number(loss) + 50);
  }
}

TEST_CASE("a mask without a masked token gives zero and a zero gradient", "[patches_and_loss]") {
  const Batch batch;
  for (const auto& options : all_options(4)) {
    const auto prediction = batch.prediction.clone().requires_grad_(true);
    const auto loss = masked_pixel_loss(prediction, batch.images, at::zeros({2, 15}), options);
    CHECK(number(loss) == 0);
    loss.backward();
    CHECK(at::equal(prediction.grad(), at::zeros_like(prediction)));
  }
  const auto empty =
      masked_pixel_loss(at::empty({0, 15, 48}), at::empty({0, 3, 12, 20}), at::empty({0, 15}), 4);
  CHECK(number(empty) == 0);
}

TEST_CASE("a perfect prediction costs nothing", "[patches_and_loss]") {
  const Batch batch;
  CHECK(number(masked_pixel_loss(batch.patches, batch.images, batch.mask, 4)) == 0);
  const auto options = PixelLossOptions(4).norm_pix(true);
  const auto normalised = pixmim::normalize_patches(batch.patches);
  CHECK(number(masked_pixel_loss(normalised, batch.images, batch.mask, options)) == 0);
  // Brightness and contrast do not matter to norm_pix, but for the 1e-6.
  CHECK(number(masked_pixel_loss(normalised, batch.images * 3 + 2, batch.mask, options)) < 1e-9);
}

TEST_CASE("16-bit predictions and targets are computed in float32", "[patches_and_loss]") {
  const Batch batch;
  for (const auto dtype : {at::kBFloat16, at::kHalf}) {
    for (const auto& options : all_options(4)) {
      const auto prediction = batch.prediction.to(dtype);
      const auto images = batch.images.to(dtype);
      const auto loss = masked_pixel_loss(prediction, images, batch.mask, options);
      CHECK(loss.scalar_type() == at::kFloat);
      CHECK(at::equal(loss, masked_pixel_loss(prediction.to(at::kFloat), images.to(at::kFloat),
                                              batch.mask, options)));
    }
  }
  // Squares of 300 overflow float16.
  const auto far = at::full({2, 15, 48}, 300, at::kHalf);
  CHECK(number(masked_pixel_loss(far, at::zeros({2, 15, 48}, at::kHalf), batch.mask, 4)) == 90000);
}

TEST_CASE("float64 on one side makes the loss float64", "[patches_and_loss]") {
  const Batch batch;
  const auto wide = batch.prediction.to(at::kDouble);
  for (const auto& options : all_options(4)) {
    const auto images = batch.images.to(at::kDouble);
    const auto loss = masked_pixel_loss(batch.prediction, images, batch.mask, options);
    const double expected = loss_by_loop(batch.prediction, batch.patches, batch.mask.mask, options);
    CHECK(masked_pixel_loss(wide, batch.images, batch.mask, options).scalar_type() == at::kDouble);
    CHECK(loss.scalar_type() == at::kDouble);
    CHECK(number(loss) == Approx(expected).epsilon(1e-12));
  }
}

TEST_CASE("flat patches and patches of one value are normalised to zero", "[patches_and_loss]") {
  const auto flat = at::full({1, 2, 48}, 0.3);
  CHECK(pixmim::normalize_patches(flat).abs().max().item<double>() < 1e-3);  // rounding / 1e-3
  const auto options = PixelLossOptions(4).norm_pix(true);
  CHECK(number(masked_pixel_loss(at::ones({1, 2, 48}), flat, at::ones({1, 2}), options)) ==
        Approx(1).margin(1e-3));

  const auto single = at::randn({2, 6, 1});
  CHECK(at::equal(pixmim::normalize_patches(single), at::zeros_like(single)));
  const auto pixels = at::randn({2, 1, 2, 3});
  const auto one = PixelLossOptions(1).norm_pix(true);
  CHECK(number(masked_pixel_loss(at::full({2, 6, 1}, 2.0), pixels, at::ones({2, 6}), one)) == 4);
}

TEST_CASE("normalised patches have mean 0 and unbiased variance 1", "[patches_and_loss]") {
  const auto patches = at::randn({2, 5, 12}, at::kDouble) * 7 + 3;
  const auto normalised = pixmim::normalize_patches(patches);
  CHECK(normalised.mean(2).abs().max().item<double>() < 1e-14);
  CHECK(largest_difference(normalised.var(2), at::ones({2, 5})) < 1e-6);
  CHECK(normalised.scalar_type() == at::kDouble);
  CHECK(pixmim::normalize_patches(patches.to(at::kHalf)).scalar_type() == at::kFloat);
}
