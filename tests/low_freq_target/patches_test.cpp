// SPDX-License-Identifier: Apache-2.0
// The target in the order of patches against patchify and normalize_patches of the target.
#include <ATen/ATen.h>
#include <pixmim/loss.hpp>
#include <pixmim/low_freq_target.hpp>
#include <pixmim/masking.hpp>
#include <pixmim/patches.hpp>

#include <thread>
#include <vector>

#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/golden.hpp"

namespace {

using support::largest_difference;
using Options = pixmim::TargetPatchesOptions;

at::Tensor random_images(at::IntArrayRef shape, at::ScalarType dtype = at::kFloat) {
  auto generator = at::detail::createCPUGenerator(5);
  return at::randn(shape, generator, at::kDouble).to(dtype);
}

const pixmim::BasicLowFreqTargetGenerator<pixmim::Circle> circle(pixmim::Circle{5});
const pixmim::LowFreqTargetGenerator published(
    pixmim::LowFreqTargetOptions(5).mean({0.45}).std({0.25}));

}  // namespace

TEST_CASE("patches of the target are the target's patches, bit by bit", "[low_freq_target]") {
  struct Row {
    int64_t channels, height, width, patch_size;
  };
  for (const auto& [c, h, w, p] :
       {Row{3, 32, 48, 16}, Row{3, 42, 28, 14}, Row{1, 32, 32, 8}, Row{2, 30, 35, 5},
        Row{4, 16, 16, 16}, Row{5, 12, 9, 3}, Row{3, 7, 5, 1}, Row{3, 160, 96, 32},
        Row{3, 80, 160, 80}, Row{3, 224, 224, 16}, Row{3, 98, 196, 7}}) {
    CAPTURE(c, h, w, p);
    const auto images = random_images({2, c, h, w});
    CHECK(at::equal(circle.patches(images, p), pixmim::patchify(circle(images), p)));
    CHECK(at::equal(published.patches(images, p), pixmim::patchify(published(images), p)));
  }
}

TEST_CASE("patches come in every dtype of the target", "[low_freq_target]") {
  for (const auto dtype : {at::kHalf, at::kBFloat16, at::kFloat, at::kDouble}) {
    const auto images = random_images({2, 3, 32, 32}, dtype);
    const auto patches = published.patches(images, 16);
    CHECK(patches.scalar_type() == dtype);
    CHECK(at::equal(patches, pixmim::patchify(published(images), 16)));
  }
  const auto bytes = at::randint(256, {2, 3, 32, 32}, at::kByte);
  CHECK(at::equal(published.patches(bytes, 8), pixmim::patchify(published(bytes), 8)));
  CHECK(at::equal(circle.patches(bytes, 8), pixmim::patchify(circle(bytes), 8)));
}

TEST_CASE("normalised patches are those of normalize_patches", "[low_freq_target]") {
  for (const int64_t p : {1, 4, 8, 16}) {
    const auto images = random_images({2, 3, 32, 48});
    const auto expected = pixmim::normalize_patches(pixmim::patchify(published(images), p));
    const auto patches = published.patches(images, Options(p).norm_pix(true));
    CHECK(largest_difference(patches, expected) < 2e-5);
    const auto wide = images.to(at::kDouble);
    CHECK(largest_difference(published.patches(wide, Options(p).norm_pix(true)),
                             pixmim::normalize_patches(pixmim::patchify(published(wide), p))) <
          1e-11);
  }
  const auto grey = random_images({1, 1, 4, 4});
  CHECK(at::equal(circle.patches(grey, Options(1).norm_pix(true)), at::zeros({1, 16, 1})));
}

TEST_CASE("patches that the mask does not hide are zero", "[low_freq_target]") {
  const auto images = random_images({4, 3, 64, 64});
  const auto mask = pixmim::random_mask(4, 16, 0.75);
  const auto all = published.patches(images, 16);
  for (const auto dtype : {at::kFloat, at::kBool, at::kLong}) {
    const auto given = mask.mask.to(dtype);
    const auto some = published.patches(images, 16, given);
    CHECK(at::equal(some, all * mask.mask.unsqueeze(2)));
  }
  CHECK(at::equal(published.patches(images, 16, at::zeros({4, 16})), at::zeros_like(all)));
}

TEST_CASE("the loss takes patches", "[low_freq_target]") {
  const auto images = random_images({4, 3, 64, 64});
  const auto mask = pixmim::random_mask(4, 16, 0.75);
  const auto prediction = random_images({4, 16, 768});
  const auto expected =
      pixmim::masked_pixel_loss(prediction, published(images), mask, pixmim::PixelLossOptions(16));
  const auto patches = published.patches(images, 16, mask.mask);
  CHECK(largest_difference(pixmim::masked_pixel_loss(prediction, patches, mask, 16), expected) <
        1e-6);
  const auto normalised = published.patches(images, Options(16).norm_pix(true), mask.mask);
  const auto expected_normalised = pixmim::masked_pixel_loss(
      prediction, published(images), mask, pixmim::PixelLossOptions(16).norm_pix(true));
  CHECK(largest_difference(pixmim::masked_pixel_loss(prediction, normalised, mask, 16),
                           expected_normalised) < 1e-5);
}

TEST_CASE("the transforms' patches are the target's too", "[low_freq_target]") {
  const auto images = random_images({2, 3, 24, 40});
  const std::vector<pixmim::detail::Epilogue> epilogues(3);
  const pixmim::detail::FftEngine<float> fft(pixmim::detail::gain_table(pixmim::Circle{5}, 24, 40));
  const auto patches = at::empty({2, 15, 192});
  fft.patches<false>(epilogues, {8, 3, false}, images, nullptr, patches.mutable_data_ptr<float>());
  CHECK(largest_difference(patches, pixmim::patchify(circle(images), 8)) < 5e-6);
  const auto mask = at::rand({2, 15}).lt(0.5);
  const auto some = at::empty({2, 15, 192});
  fft.patches<false>(epilogues, {8, 3, false}, images, mask.const_data_ptr<bool>(),
                     some.mutable_data_ptr<float>());
  CHECK(at::equal(some, patches * mask.unsqueeze(2)));
}

TEST_CASE("an empty batch gives no patches", "[low_freq_target]") {
  CHECK(circle.patches(at::empty({0, 3, 32, 32}), 16).sizes() == at::IntArrayRef({0, 4, 768}));
  CHECK(circle.patches(at::empty({0, 3, 32, 32}), 16, at::empty({0, 4})).size(0) == 0);
}

TEST_CASE("strides and gradients of the images do not matter to patches", "[low_freq_target]") {
  const auto images = random_images({2, 3, 32, 32});
  const auto expected = circle.patches(images, 8);
  CHECK(at::equal(circle.patches(images.contiguous(at::MemoryFormat::ChannelsLast), 8), expected));
  CHECK_FALSE(circle.patches(images.clone().requires_grad_(), 8).requires_grad());
  const c10::InferenceMode inference;
  CHECK(at::equal(circle.patches(images, 8), expected));
}

TEST_CASE("sixteen threads share a generator's memory", "[low_freq_target]") {
  const pixmim::LowFreqTargetGenerator generator(pixmim::LowFreqTargetOptions(9));
  std::vector<at::Tensor> images;
  std::vector<at::Tensor> expected;
  for (int64_t i = 0; i < 16; ++i) {
    images.push_back(random_images({1 + i % 3, 3, 32 * (1 + i % 2), 64}));
    expected.push_back(pixmim::patchify(pixmim::low_freq_target(images.back(), 9), 16));
  }
  std::vector<int> wrong(16);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < 16; ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < 20; ++round) {
        wrong[i] += !at::equal(generator.patches(images[i], 16), expected[i]);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(wrong == std::vector<int>(16));
}

TEST_CASE("patches' bad arguments are named", "[low_freq_target]") {
  const auto images = random_images({2, 3, 32, 48});
  const auto error = [&](auto&&... arguments) {
    return support::error_of([&] { circle.patches(arguments...); });
  };
  CHECK_THAT(error(images[0], 16), ContainsSubstring("expected images of shape [N,C,H,W], got"));
  CHECK_THAT(error(images, 0), ContainsSubstring("expected patch_size > 0, got 0"));
  CHECK_THAT(error(images, 5), ContainsSubstring("multiples of patch_size, 5, got 32x48"));
  CHECK_THAT(error(images, 16, at::zeros({2, 5})),
             ContainsSubstring("expected mask of shape [2,6], got [2, 5]"));
  CHECK_THAT(error(images, 16, at::zeros({2, 6}, at::kComplexFloat)),
             ContainsSubstring("expected mask of a real dtype"));
}
