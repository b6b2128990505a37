// SPDX-License-Identifier: Apache-2.0
// What holds for every loss: against a plain loop over the pixels, and at the edges.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <pixmim/loss.hpp>
#include <pixmim/masking.hpp>
#include <pixmim/patches.hpp>

#include <cmath>
#include <limits>
#include <vector>

#include "patches_and_loss/oracle.hpp"
#include "support/catch.hpp"
#include "support/golden.hpp"

using oracle::all_options;
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

TEST_CASE("what is not a number in a visible patch stays there", "[patches_and_loss]") {
  const Batch batch;
  const auto visible = batch.mask.mask.eq(0).unsqueeze(2);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinity = std::numeric_limits<double>::infinity();
  for (const double value : {nan, infinity}) {
    const auto start = batch.prediction.masked_fill(visible, value);
    const auto target = batch.patches.masked_fill(visible, value);
    for (const auto& options : all_options(4)) {
      const auto prediction = start.clone().requires_grad_(true);
      const auto loss = masked_pixel_loss(prediction, target, batch.mask, options);
      CHECK(
          at::equal(loss, masked_pixel_loss(batch.prediction, batch.patches, batch.mask, options)));
      loss.backward();
      CHECK(at::equal(prediction.grad().abs().sum(2).gt(0), batch.mask.mask.eq(1)));
    }
  }
}

TEST_CASE("what is not a number in a masked patch reaches the loss", "[patches_and_loss]") {
  const Batch batch;
  const auto masked = batch.mask.mask.eq(1).unsqueeze(2);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const auto& options : all_options(4)) {
    for (const bool in_target : {false, true}) {
      const auto prediction =
          in_target ? batch.prediction : batch.prediction.masked_fill(masked, nan);
      const auto target = in_target ? batch.patches.masked_fill(masked, nan) : batch.patches;
      CHECK(std::isnan(number(masked_pixel_loss(prediction, target, batch.mask, options))));
    }
  }
}

TEST_CASE("the number of threads does not change a bit", "[patches_and_loss]") {
  const auto images = at::randn({5, 3, 96, 80});
  const auto start = at::randn({5, 30, 768});
  const auto mask = pixmim::random_mask(5, 30, 0.75).mask;
  const int before = at::get_num_threads();
  for (const auto dtype : {at::kFloat, at::kDouble, at::kBFloat16}) {
    for (const auto& options : all_options(16)) {
      std::vector<at::Tensor> losses;
      std::vector<at::Tensor> gradients;
      for (const int threads : {1, 2, 3, 1, 2}) {
        at::set_num_threads(threads);
        const auto prediction = start.to(dtype).clone().requires_grad_(true);
        losses.push_back(masked_pixel_loss(prediction, images, mask, options));
        losses.back().backward();
        gradients.push_back(prediction.grad());
        CHECK(at::equal(losses.back(), losses.front()));
        CHECK(at::equal(gradients.back(), gradients.front()));
      }
    }
  }
  at::set_num_threads(before);
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
  // The same but for rounding: a square of 1e-7.
  CHECK(number(masked_pixel_loss(normalised, batch.images, batch.mask, options)) < 1e-12);
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

TEST_CASE("a patch without contrast costs what the prediction says", "[patches_and_loss]") {
  const auto target = at::full({1, 3, 32, 32}, 200.3F);
  const auto mask = at::ones({1, 4});
  const auto options = pixmim::PixelLossOptions(16).norm_pix(true);
  CHECK(pixmim::masked_pixel_loss(at::zeros({1, 4, 768}), target, mask, options).item<double>() <
        1e-6);
}
