// SPDX-License-Identifier: Apache-2.0
// Loss and gradient against the formula in float64: every dtype, stride, size and option.
#include <ATen/ATen.h>
#include <pixmim/loss.hpp>
#include <pixmim/patches.hpp>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "patches_and_loss/oracle.hpp"
#include "support/catch.hpp"
#include "support/golden.hpp"

using pixmim::masked_pixel_loss;
using pixmim::PixelLossOptions;

namespace {

const at::ScalarType floating[] = {at::kHalf, at::kBFloat16, at::kFloat, at::kDouble};

/// The largest differences seen, as parts of what was expected.
struct Largest {
  double loss = 0;
  double gradient = 0;
};

/// Half a unit of the last place of a value near `largest`; float16 has no values below 6e-8.
double rounding(at::ScalarType dtype, double largest) {
  switch (dtype) {
    case at::kHalf:
      return std::max(largest * 0x1p-11, 0x1p-25);
    case at::kBFloat16:
      return largest * 0x1p-8;
    default:
      return 0;
  }
}

void expect_oracle(const at::Tensor& prediction, const at::Tensor& target, const at::Tensor& mask,
                   const PixelLossOptions& options, Largest* seen = nullptr) {
  INFO(oracle::name(options) << ", prediction " << prediction.scalar_type() << " "
                             << prediction.sizes() << " " << prediction.strides() << ", target "
                             << target.scalar_type() << " " << target.sizes() << " "
                             << target.strides());
  const bool wide = prediction.scalar_type() == at::kDouble || target.scalar_type() == at::kDouble;
  const auto expected = oracle::pixel_loss(prediction, target, mask, options);
  const at::Tensor leaf = prediction.detach().requires_grad_();
  const at::Tensor loss = masked_pixel_loss(leaf, target, mask, options);
  loss.backward();
  CHECK(loss.dim() == 0);
  CHECK(loss.scalar_type() == (wide ? at::kDouble : at::kFloat));
  const double value = expected.loss.item<double>();
  const double off = std::abs(loss.item<double>() - value) / value;
  CHECK(off <= (wide ? 1e-13 : 5e-7));

  CHECK(leaf.grad().scalar_type() == prediction.scalar_type());
  const double largest = expected.gradient.abs().max().item<double>();
  const double gradient_off = support::largest_difference(leaf.grad(), expected.gradient);
  // float64 beside a float32 prediction: its gradient is rounded to float32.
  const bool wide_gradient = prediction.scalar_type() == at::kDouble;
  CHECK(gradient_off <=
        rounding(prediction.scalar_type(), largest) + (wide_gradient ? 1e-14 : 1e-6) * largest);
  if (seen != nullptr) {
    seen->loss = std::max(seen->loss, off);
    seen->gradient = std::max(seen->gradient, gradient_off / largest);
  }
  // Without a gradient the value is the same.
  CHECK(at::equal(masked_pixel_loss(prediction.detach(), target, mask, options), loss.detach()));
}

at::Tensor some_mask(int64_t batch, int64_t length) {
  const at::Tensor mask = at::rand({batch, length}).lt(0.75).to(at::kFloat);
  mask.select(0, 0).select(0, 0).fill_(1);
  return mask;
}

}  // namespace

TEST_CASE("loss and gradient are the formula's in every pair of dtypes", "[patches_and_loss]") {
  at::manual_seed(11);
  const auto prediction = at::randn({3, 6, 192});
  const auto images = at::randn({3, 3, 16, 24});
  const auto mask = some_mask(3, 6);
  Largest narrow;
  Largest wide;
  for (const auto predicted : floating) {
    for (const auto wanted : floating) {
      const bool exact = predicted == at::kDouble && wanted == at::kDouble;
      const bool rounded = predicted == at::kHalf || predicted == at::kBFloat16;
      Largest* const seen = exact ? &wide : rounded ? nullptr : &narrow;
      for (const auto& options : oracle::all_options(8)) {
        const auto target = images.to(wanted);
        expect_oracle(prediction.to(predicted), target, mask, options, seen);
        expect_oracle(prediction.to(predicted), oracle::patches(target, 8), mask, options, seen);
      }
    }
  }
  support::report("loss float32 against float64", narrow.loss, 5e-7);
  support::report("gradient float32 against float64", narrow.gradient, 1e-6);
  support::report("loss float64 against the formula", wide.loss, 1e-13);
  support::report("gradient float64 against the formula", wide.gradient, 1e-14);
}

TEST_CASE("loss and gradient are the formula's for every size of patch", "[patches_and_loss]") {
  at::manual_seed(12);
  for (const int64_t channels : {1, 2, 3, 4, 5}) {
    for (const int64_t size : {1, 2, 3, 5, 8, 14, 16, 17, 32}) {
      const auto images = at::randn({2, channels, 2 * size, 3 * size});
      const auto prediction = at::randn({2, 6, size * size * channels});
      for (const auto dtype : {at::kFloat, at::kDouble}) {
        for (const auto& options : oracle::all_options(size)) {
          expect_oracle(prediction, images.to(dtype), some_mask(2, 6), options);
        }
      }
    }
  }
}

TEST_CASE("loss and gradient of a patch as large as the image", "[patches_and_loss]") {
  at::manual_seed(13);
  const auto images = at::randn({2, 3, 224, 224}) + 5;
  const auto prediction = at::randn({2, 1, 3 * 224 * 224});
  for (const auto& options : oracle::all_options(224)) {
    expect_oracle(prediction, images, at::ones({2, 1}), options);
  }
}

TEST_CASE("loss and gradient take targets and predictions of any strides", "[patches_and_loss]") {
  at::manual_seed(14);
  const auto mask = some_mask(2, 6);
  for (const int64_t channels : {1, 3, 4}) {
    const auto images = at::randn({2, channels, 32, 48});
    const auto wider = at::randn({2, channels + 2, 40, 60});
    const std::vector<at::Tensor> targets = {
        images.contiguous(at::MemoryFormat::ChannelsLast),
        images.transpose(2, 3).contiguous().transpose(2, 3),
        wider.slice(1, 1, channels + 1).slice(2, 3, 35).slice(3, 5, 53),
        at::randn({2, channels, 64, 96}).slice(2, 0, 64, 2).slice(3, 0, 96, 2),
        images.narrow(0, 1, 1).expand({2, channels, 32, 48}),
        images.narrow(1, 0, 1).expand({2, channels, 32, 48}),
        images.permute({1, 0, 2, 3}).contiguous().permute({1, 0, 2, 3}),
        oracle::patches(images, 16).transpose(1, 2).contiguous().transpose(1, 2),
        at::randn({2, 7, 256 * channels}).slice(1, 1),
        at::randn({2, 6, 512 * channels}).slice(2, 0, 512 * channels, 2)};
    const auto prediction = at::randn({2, 6, 256 * channels});
    const std::vector<at::Tensor> predictions = {
        prediction, prediction.transpose(1, 2).contiguous().transpose(1, 2),
        prediction.transpose(0, 1).contiguous().transpose(0, 1),
        at::randn({2, 7, 256 * channels}).slice(1, 1),
        at::randn({2, 1, 256 * channels}).expand({2, 6, 256 * channels})};
    for (const auto& options : oracle::all_options(16)) {
      for (const auto& target : targets) {
        for (const auto dtype : floating) {
          expect_oracle(prediction, target.to(dtype), mask, options);
        }
      }
      for (const auto& strided : predictions) {
        expect_oracle(strided, images, mask.t().contiguous().t(), options);
      }
    }
  }
}

TEST_CASE("loss and gradient are the formula's for weights of any kind", "[patches_and_loss]") {
  at::manual_seed(15);
  const auto images = at::randn({2, 3, 8, 12});
  const auto prediction = at::randn({2, 6, 48});
  const auto fractions = at::rand({2, 6}).mul(at::rand({2, 6}).lt(0.5));
  for (const auto& options : oracle::all_options(4)) {
    for (const auto& mask :
         {fractions, fractions * 1e-3, fractions * 7, fractions.to(at::kDouble),
          fractions.to(at::kHalf), fractions.gt(0), at::randint(3, {2, 6}, at::kInt)}) {
      expect_oracle(prediction, images, mask, options);
    }
  }
}

TEST_CASE("the absolute difference of equals has no slope", "[patches_and_loss]") {
  const auto images = at::randn({2, 3, 8, 12});
  const auto prediction = oracle::patches(images, 4).contiguous();
  prediction.select(2, 5) += 1;
  for (const auto dtype : floating) {
    const auto leaf = prediction.to(dtype).clone().requires_grad_();
    const auto options = PixelLossOptions(4).norm(pixmim::PixelNorm::L1);
    masked_pixel_loss(leaf, images.to(dtype), at::ones({2, 6}), options).backward();
    CHECK(leaf.grad().ne(0).sum().item<int64_t>() == 12);
  }
}

TEST_CASE("the loss in operators, for other devices, is the formula's", "[patches_and_loss]") {
  at::manual_seed(16);
  const auto images = at::randn({2, 3, 8, 12});
  const auto mask = some_mask(2, 6);
  for (const auto dtype : {at::kFloat, at::kDouble}) {
    for (const auto& options : oracle::all_options(4)) {
      const auto leaf = at::randn({2, 6, 48}, dtype).requires_grad_();
      const auto loss = pixmim::detail::pixel_loss_by_operators(leaf, images, mask, options);
      loss.backward();
      const auto expected = oracle::pixel_loss(leaf, images, mask, options);
      CHECK(support::largest_difference(loss.detach(), expected.loss) < 1e-6);
      CHECK(support::largest_difference(leaf.grad(), expected.gradient) < 1e-8);
    }
  }
}
