// SPDX-License-Identifier: Apache-2.0
// Targets of images normalised in other ways: the lines of docs/existing_trainers.md.
#include <torch/torch.h>
#include <pixmim/pixmim.hpp>

#include <optional>

#include "support/catch.hpp"
#include "support/golden.hpp"

using support::largest_difference;

namespace {

/// Pixels in 0..1.
torch::Tensor pixels(int64_t channels = 3) {
  const auto generator = at::detail::createCPUGenerator(5);
  return torch::rand({2, channels, 32, 32}, generator);
}

torch::Tensor target_of_pixels(const torch::Tensor& images) {
  return pixmim::low_freq_target(images, pixmim::LowFreqTargetOptions(8).mean({0.0}).std({1.0}));
}

}  // namespace

TEST_CASE("images with mean and deviation 0.5", "[existing_trainers]") {
  const auto images = (pixels() - 0.5) / 0.5;
  const pixmim::LowFreqTargetGenerator low_freq(
      pixmim::LowFreqTargetOptions(8).mean({0.5}).std({0.5}));
  const auto target = low_freq(images);
  CHECK(largest_difference(target * 0.5 + 0.5, target_of_pixels(pixels())) < 2e-6);
}

TEST_CASE("images in 0..1", "[existing_trainers]") {
  const auto target = pixmim::low_freq_target(
      pixels(), pixmim::LowFreqTargetOptions(8).mean(std::nullopt).std(std::nullopt));
  CHECK(largest_difference(target, target_of_pixels(pixels())) < 2e-6);
}

TEST_CASE("floats in 0..255", "[existing_trainers]") {
  const auto target = pixmim::low_freq_target(
      pixels() * 255, pixmim::LowFreqTargetOptions(8).mean({0.0}).std({1 / 255.0}));
  CHECK(largest_difference(target / 255, target_of_pixels(pixels())) < 2e-6);
}

TEST_CASE("bytes", "[existing_trainers]") {
  const auto bytes = pixels().mul(255).round().to(torch::kByte);
  const pixmim::LowFreqTargetOptions options =
      pixmim::LowFreqTargetOptions(8).mean({0.5}).std({0.5});
  const auto images = (bytes.to(torch::kFloat) / 255 - 0.5) / 0.5;
  CHECK(largest_difference(pixmim::low_freq_target(bytes, options),
                           pixmim::low_freq_target(images, options)) < 5e-6);
}

TEST_CASE("one channel, or more than three", "[existing_trainers]") {
  const auto grey = pixmim::LowFreqTargetOptions(8).mean({0.449}).std({0.226});
  for (const int64_t channels : {1, 6}) {
    const auto images = (pixels(channels) - 0.449) / 0.226;
    const auto target = pixmim::low_freq_target(images, grey);
    CHECK(largest_difference(target * 0.226 + 0.449, target_of_pixels(pixels(channels))) < 2e-6);
    // A linear filter needs no statistics.
    CHECK(pixmim::low_freq_target(images, pixmim::Circle{8}).sizes() == images.sizes());
    CHECK_THROWS_AS(pixmim::low_freq_target(images, 8), c10::Error);
  }
}
