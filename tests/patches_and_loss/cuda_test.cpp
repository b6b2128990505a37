// SPDX-License-Identifier: Apache-2.0
// Patches and losses on a GPU are those of the CPU.
#include <ATen/ATen.h>
#include <pixmim/loss.hpp>
#include <pixmim/masking.hpp>
#include <pixmim/patches.hpp>

#include "support/catch.hpp"
#include "support/cuda/gpu.hpp"
#include "support/errors.hpp"
#include "support/golden.hpp"

using pixmim::masked_pixel_loss;
using pixmim::PixelLossOptions;
using pixmim::PixelNorm;
using support::no_gpu;

TEST_CASE("patches on a GPU are those of the CPU", "[patches_and_loss][cuda]") {
  if (no_gpu()) return;
  for (const auto dtype : {at::kByte, at::kHalf, at::kBFloat16, at::kFloat, at::kDouble}) {
    const auto images = at::randint(256, {4, 3, 32, 48}).to(dtype);
    for (const auto format : {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast}) {
      const auto there = images.to(at::kCUDA).contiguous(format);
      const auto patches = pixmim::patchify(there, 16);
      CHECK(patches.is_cuda());
      CHECK(at::equal(patches.cpu(), pixmim::patchify(images, 16)));
      CHECK(at::equal(pixmim::unpatchify(patches, 16, {2, 3}).cpu(), images));
    }
  }
}

TEST_CASE("losses and gradients on a GPU are those of the CPU", "[patches_and_loss][cuda]") {
  if (no_gpu()) return;
  const auto images = at::randn({8, 3, 64, 64});
  const auto start = at::randn({8, 16, 768});
  const auto mask = pixmim::random_mask(8, 16, 0.75).mask;
  for (const auto dtype : {at::kHalf, at::kBFloat16, at::kFloat, at::kDouble}) {
    for (const bool norm_pix : {false, true}) {
      for (const auto norm : {PixelNorm::L2, PixelNorm::L1}) {
        const auto options = PixelLossOptions(16).norm_pix(norm_pix).norm(norm);
        const auto here = start.to(dtype).requires_grad_(true);
        const auto there = start.to(dtype).to(at::kCUDA).requires_grad_(true);
        const auto expected = masked_pixel_loss(here, images, mask, options);
        const auto loss =
            masked_pixel_loss(there, images.to(at::kCUDA), mask.to(at::kCUDA), options);
        CHECK(loss.is_cuda());
        CHECK(loss.scalar_type() == expected.scalar_type());
        CHECK(loss.item<double>() == Approx(expected.item<double>()).epsilon(5e-6));
        expected.backward();
        loss.backward();
        // One unit of the last place of the gradient's dtype.
        const double largest = here.grad().abs().max().item<double>();
        const double precision = dtype == at::kBFloat16 ? 8e-3 : dtype == at::kHalf ? 1e-3 : 1e-6;
        const auto differences = (there.grad().cpu() - here.grad()).abs();
        const auto differing = differences.gt(precision * largest + 1e-7 * precision).sum();
        // L1's slope turns where a prediction is right, to rounding.
        CHECK(differing.item<int64_t>() <= (norm == PixelNorm::L1 ? 2 : 0));
      }
    }
  }
}

TEST_CASE("a mask without a masked token gives zero on a GPU", "[patches_and_loss][cuda]") {
  if (no_gpu()) return;
  const auto prediction = at::randn({2, 4, 12}, at::kCUDA).requires_grad_(true);
  const auto target = at::randn({2, 3, 4, 4}, at::kCUDA);
  const auto loss =
      masked_pixel_loss(prediction, target, at::zeros({2, 4}, at::kCUDA), PixelLossOptions(2));
  loss.backward();
  CHECK(loss.item<double>() == 0);
  CHECK(prediction.grad().abs().max().item<double>() == 0);
}

TEST_CASE("targets and masks left on the CPU are named", "[patches_and_loss][cuda]") {
  if (no_gpu()) return;
  const auto prediction = at::randn({2, 4, 12}, at::kCUDA);
  const auto target = at::randn({2, 3, 4, 4});
  const auto mask = at::ones({2, 4});
  CHECK_THAT(support::error_of([&] { masked_pixel_loss(prediction, target, mask, 2); }),
             ContainsSubstring("expected target on the device of prediction, cuda:0, got cpu"));
  CHECK_THAT(
      support::error_of([&] { masked_pixel_loss(prediction, target.to(at::kCUDA), mask, 2); }),
      ContainsSubstring("expected mask on the device of prediction, cuda:0, got cpu"));
}

#ifdef PIXMIM_HAS_CUDA
TEST_CASE("a CUDA graph captures the loss", "[patches_and_loss][cuda]") {
  if (no_gpu()) return;
  const auto prediction = at::randn({4, 16, 768}, at::kCUDA);
  const auto target = at::randn({4, 3, 64, 64}, at::kCUDA);
  const auto mask = pixmim::random_mask(4, 16, 0.75, at::kCUDA).mask;
  const auto call = [&] {
    return masked_pixel_loss(prediction, target, mask, PixelLossOptions(16).norm_pix(true));
  };
  call();
  support::CapturedCall captured(call);
  for (int round = 0; round < 2; ++round) {
    prediction.normal_();
    CHECK(at::equal(captured.replay(), call()));
  }
}
#endif
