// SPDX-License-Identifier: Apache-2.0
// What a low-pass filter must do, whatever the numbers: against a direct Fourier transform.
#include <ATen/ATen.h>
#include <pixmim/low_freq_target.hpp>

#include <cmath>
#include <thread>

#include "support/catch.hpp"
#include "support/golden.hpp"

using support::largest_difference;

namespace {

at::Tensor random_images(at::IntArrayRef shape, at::ScalarType dtype = at::kFloat) {
  auto generator = at::detail::createCPUGenerator(3);
  return at::randn(shape, generator, at::kDouble).to(dtype);
}

/// e^{-2 pi i f x / n} for every frequency and pixel: a transform without any FFT.
at::Tensor dft_matrix(int64_t n) {
  const auto steps = at::arange(n, at::kDouble);
  const auto angle = steps.unsqueeze(1) * steps * (-2 * M_PI / static_cast<double>(n));
  return at::complex(angle.cos(), angle.sin());
}

/// Re(inverse(gain x transform)) of one channel [H,W] float64 by matrices, gain(fy, fx) by bin.
template <typename Gain>
at::Tensor direct_filter(const at::Tensor& image, const Gain& gain) {
  const int64_t h = image.size(0);
  const int64_t w = image.size(1);
  const auto rows = dft_matrix(h);
  const auto columns = dft_matrix(w);
  auto spectrum = at::matmul(at::matmul(rows, image.to(at::kComplexDouble)), columns);
  for (int64_t y = 0; y < h; ++y) {
    for (int64_t x = 0; x < w; ++x) {
      const auto fy = static_cast<double>(2 * y < h ? y : y - h);
      const auto fx = static_cast<double>(2 * x < w ? x : x - w);
      spectrum[y][x] *= gain(fy, fx);
    }
  }
  const auto inverse = at::matmul(at::matmul(rows.conj(), spectrum), columns.conj());
  return at::real(inverse) / static_cast<double>(h * w);
}

struct Lopsided {  // not symmetric under any change of sign
  double gain(double fy, double fx) const { return 0.5 + 0.05 * fy - 0.03 * fx; }
};

}  // namespace

TEST_CASE("without options the target is the published one, of radius 40", "[low_freq_target]") {
  const auto images = random_images({1, 3, 96, 96});
  CHECK(at::equal(pixmim::low_freq_target(images), pixmim::low_freq_target(images, 40)));
  CHECK_FALSE(at::equal(pixmim::low_freq_target(images), pixmim::low_freq_target(images, 30)));
}

TEST_CASE("filters equal a direct transform for every parity of the sides", "[low_freq_target]") {
  for (const auto& [h, w] : {std::pair{6, 8}, {7, 9}, {6, 9}, {1, 8}, {7, 1}, {1, 1}, {2, 2}}) {
    const auto image = random_images({1, h, w}, at::kDouble);
    const pixmim::Circle circle{2};
    CHECK(largest_difference(pixmim::low_freq_target(image, circle)[0],
                             direct_filter(image[0], [&](double fy, double fx) {
                               return circle.gain(fy, fx);
                             })) < 1e-12);
    const Lopsided lopsided;
    CHECK(largest_difference(pixmim::low_freq_target(image, lopsided)[0],
                             direct_filter(image[0], [&](double fy, double fx) {
                               return lopsided.gain(fy, fx);
                             })) < 1e-12);
  }
}

TEST_CASE("a gain may be of any number type", "[low_freq_target]") {
  struct Whole {
    int gain(double fy, double fx) const { return fy * fy + fx * fx <= 9 ? 1 : 0; }
  };
  const auto images = random_images({2, 3, 16, 12});
  CHECK(at::equal(pixmim::low_freq_target(images, Whole{}),
                  pixmim::low_freq_target(images, pixmim::Circle{3})));
}

TEST_CASE("a lambda is a filter", "[low_freq_target]") {
  const auto images = random_images({2, 3, 16, 12});
  const auto circle = [](double fy, double fx) { return fy * fy + fx * fx <= 9 ? 1.0 : 0.0; };
  CHECK(at::equal(pixmim::low_freq_target(images, circle),
                  pixmim::low_freq_target(images, pixmim::Circle{3})));
}

TEST_CASE("Circle is linear and idempotent and keeps the mean", "[low_freq_target]") {
  const pixmim::BasicLowFreqTargetGenerator<pixmim::Circle> generator(pixmim::Circle{5});
  const auto a = random_images({1, 3, 20, 31}, at::kDouble);
  const auto b = random_images({1, 3, 20, 31}, at::kDouble).flip({3});
  CHECK(largest_difference(generator(a * 2 - b * 3), generator(a) * 2 - generator(b) * 3) < 1e-12);
  CHECK(largest_difference(generator(generator(a)), generator(a)) < 1e-12);
  CHECK(largest_difference(generator(a).mean({2, 3}), a.mean({2, 3})) < 1e-12);
}

TEST_CASE("every radius from 0 to beyond Nyquist is monotone in energy", "[low_freq_target]") {
  const auto images = random_images({1, 3, 24, 18}, at::kDouble);
  const auto mean = images.mean({2, 3}, /*keepdim=*/true);
  double before = -1;
  for (int radius = 0; radius <= 20; ++radius) {
    const double energy =
        pixmim::low_freq_target(images, pixmim::Circle{static_cast<double>(radius)})
            .square()
            .sum()
            .item<double>();
    CHECK(energy >= before - 1e-9);
    before = energy;
  }
  CHECK(largest_difference(pixmim::low_freq_target(images, pixmim::Circle{0}),
                           mean.expand_as(images)) < 1e-12);
  CHECK(largest_difference(pixmim::low_freq_target(images, pixmim::Circle{1000}), images) < 1e-12);
}

TEST_CASE("the published target of an image of positive pixels is the image at a large radius",
          "[low_freq_target]") {
  const auto pixels = at::rand({2, 3, 10, 14}, at::kDouble);
  const auto none = pixmim::LowFreqTargetOptions(1000).mean({}).std(std::nullopt);
  CHECK(largest_difference(pixmim::low_freq_target(pixels, none), pixels) < 1e-12);
}

TEST_CASE("statistics of one value serve every channel", "[low_freq_target]") {
  const auto images = random_images({2, 5, 12, 12});
  const auto one = pixmim::LowFreqTargetOptions(4).mean({0.5}).std({0.25});
  const auto five = pixmim::LowFreqTargetOptions(4)
                        .mean(std::vector<double>(5, 0.5))
                        .std(std::vector<double>(5, 0.25));
  CHECK(at::equal(pixmim::low_freq_target(images, one), pixmim::low_freq_target(images, five)));
}

TEST_CASE("a Gaussian of any width keeps the mean", "[low_freq_target]") {
  const auto images = random_images({1, 3, 8, 8}, at::kDouble);
  CHECK(largest_difference(pixmim::low_freq_target(images, pixmim::Gaussian{1e-200}),
                           images.mean({2, 3}, true).expand_as(images)) < 1e-12);
}

TEST_CASE("NaN stays in its image", "[low_freq_target]") {
  auto images = random_images({3, 3, 16, 16});
  const auto clean = pixmim::low_freq_target(images, 4);
  images[1][2][3][4] = std::nan("");
  const auto target = pixmim::low_freq_target(images, 4);
  CHECK(target[1].isnan().any().item<bool>());
  CHECK(at::equal(target[0], clean[0]));
  CHECK(at::equal(target[2], clean[2]));
}

TEST_CASE("sixteen threads share one generator", "[low_freq_target]") {
  const pixmim::LowFreqTargetGenerator generator(pixmim::LowFreqTargetOptions(5));
  std::vector<at::Tensor> images;
  std::vector<at::Tensor> targets(16);
  for (int64_t i = 0; i < 16; ++i) images.push_back(random_images({1, 3, 16 + i % 5, 20}));
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < 16; ++i) {
    threads.emplace_back([&, i] { targets[i] = generator(images[i]); });
  }
  for (auto& thread : threads) thread.join();
  for (std::size_t i = 0; i < 16; ++i) {
    CHECK(largest_difference(targets[i], pixmim::low_freq_target(images[i], 5)) < 1e-6);
  }
}

TEST_CASE("a large gain of the mean hides no other frequency", "[low_freq_target]") {
  const auto filter = [](double fy, double fx) { return fy == 0 && fx == 0 ? 1e9 : 1.0; };
  auto image = at::zeros({1, 16, 16});
  image[0][3][4] = 1;
  image[0][9][2] = -1;
  CHECK(largest_difference(pixmim::low_freq_target(image, filter), image) < 1e-5);
}

TEST_CASE("pixels too large to square give infinity, not nonsense", "[low_freq_target]") {
  const auto images = at::full({1, 1, 16, 16}, 1e30F);
  const auto none = pixmim::LowFreqTargetOptions(4).mean({}).std({});
  const auto target = pixmim::low_freq_target(images, none);
  CHECK_FALSE(target.isnan().any().item<bool>());
}
