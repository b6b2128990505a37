// SPDX-License-Identifier: Apache-2.0
// Both engines of the CPU against the plain formula, for every way in which an axis folds.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <pixmim/low_freq_target.hpp>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "low_freq_target/asymmetric_filters.hpp"
#include "support/catch.hpp"
#include "support/golden.hpp"
#include "support/slow_target.hpp"

namespace {

using pixmim::detail::BasisEngine;
using pixmim::detail::FftEngine;
using support::largest_difference;

at::Tensor random_images(at::IntArrayRef shape) {
  auto generator = at::detail::createCPUGenerator(11);
  return at::randn(shape, generator, at::kDouble);
}

/// The largest difference of each engine to the plain formula, in `Scalar`.
template <typename Scalar, typename Filter>
std::pair<double, double> differences(int64_t height, int64_t width, const Filter& filter) {
  constexpr bool magnitude = pixmim::detail::takes_magnitude<Filter>::value;
  constexpr auto dtype = c10::CppTypeToScalarType<Scalar>::value;
  const at::Tensor images = random_images({2, height, width}).to(dtype);
  const at::Tensor expected = support::slow_target(images, filter);
  const auto gain = pixmim::detail::gain_table(filter, height, width);
  const std::vector<pixmim::detail::Epilogue> epilogues(1);
  pixmim::detail::ScratchPool pool;

  const at::Tensor by_basis = at::full_like(images, std::nan(""));
  BasisEngine<Scalar>(gain).template filter<magnitude>(
      epilogues, images.const_data_ptr<Scalar>(), by_basis.mutable_data_ptr<Scalar>(), 2, pool);
  const at::Tensor by_fft =
      FftEngine<Scalar>(gain).template filter<magnitude>(epilogues, images, dtype);
  return {largest_difference(by_basis, expected), largest_difference(by_fft, expected)};
}

template <typename Filter>
void check_engines(int64_t height, int64_t width, const Filter& filter) {
  CAPTURE(height, width);
  // Rounding grows with the gains.
  const double gain = std::max(1.0, pixmim::detail::gain_table(filter, height, width).largest());
  const auto [basis, fft] = differences<float>(height, width, filter);
  CHECK(basis < 1e-5 * gain);
  CHECK(fft < 1e-5 * gain);
  const auto [basis64, fft64] = differences<double>(height, width, filter);
  CHECK(basis64 < 1e-13 * gain);
  CHECK(fft64 < 1e-13 * gain);
}

template <typename Filter>
void check_sizes(const Filter& filter) {
  for (int64_t size = 1; size <= 40; ++size) {
    check_engines(size, 41 - size, filter);
    check_engines(size, size, filter);
  }
  for (const auto& [h, w] : {std::pair{64, 67}, {66, 96}, {98, 60}, {100, 130}, {257, 16}}) {
    check_engines(h, w, filter);
  }
}

}  // namespace

TEST_CASE("the engines equal the plain formula: Circle", "[low_freq_target]") {
  for (const double radius : {0.0, 1.0, 2.5, 7.0, 100.0}) check_sizes(pixmim::Circle{radius});
}

TEST_CASE("the engines equal the plain formula: PublishedCircle", "[low_freq_target]") {
  for (const double radius : {0.0, 0.8, 5.0, 100.0}) check_sizes(pixmim::PublishedCircle{radius});
}

TEST_CASE("the engines equal the plain formula: smooth filters", "[low_freq_target]") {
  check_sizes(pixmim::Gaussian{3});
  check_sizes(pixmim::Butterworth{4, 2});
}

TEST_CASE("the engines equal the plain formula: filters of any symmetry", "[low_freq_target]") {
  check_sizes(Lopsided{});
  check_sizes(LopsidedMagnitude{});
  check_sizes(EvenInX{});
  check_sizes(Tilted{});
}

TEST_CASE("at 224 the target is within rounding of float64", "[low_freq_target]") {
  const at::Tensor images = random_images({2, 3, 224, 224}).to(at::kFloat);
  const auto check = [](const at::Tensor& ours, const at::Tensor& expected) {
    const at::Tensor difference = ours.to(at::kDouble) - expected;
    CHECK(difference.abs().max().item<double>() < 5e-6);
    CHECK(difference.square().mean().sqrt().item<double>() < 1e-6);
  };
  const pixmim::Circle circle{40};
  check(pixmim::low_freq_target(images, circle), support::slow_target(images, circle));
  const auto mean = pixmim::imagenet_default_mean();
  const auto deviation = pixmim::imagenet_default_std();
  check(pixmim::low_freq_target(images, 40),
        support::slow_target(images, pixmim::PublishedCircle{40}, mean, deviation));
}

TEST_CASE("a generator takes the engine that its cost model prefers", "[low_freq_target]") {
  const auto uses_basis = [](int64_t size, double radius) {
    return pixmim::detail::CpuTarget<false, float>(
               pixmim::detail::gain_table(pixmim::Circle{radius}, size, size))
        .uses_basis();
  };
  CHECK(uses_basis(224, 10));
  // Most frequencies of a large image of a size that transforms like.
  CHECK_FALSE(uses_basis(1024, 512));
  const pixmim::Circle all{512};
  const at::Tensor image = random_images({1, 1, 1024, 1024}).to(at::kFloat);
  CHECK(largest_difference(pixmim::low_freq_target(image, all), support::slow_target(image, all)) <
        5e-6);
}

TEST_CASE("the same bits for any number of threads and any batch", "[low_freq_target]") {
  const at::Tensor images = random_images({5, 3, 100, 92}).to(at::kFloat);
  const int threads = at::get_num_threads();
  const pixmim::LowFreqTargetGenerator generator(pixmim::LowFreqTargetOptions(20));
  at::set_num_threads(1);
  const at::Tensor expected = generator(images);
  for (const int count : {2, 3, 7}) {
    at::set_num_threads(count);
    CHECK(at::equal(generator(images), expected));
  }
  at::set_num_threads(threads);
  for (int64_t i = 0; i < 5; ++i) CHECK(at::equal(generator(images[i]), expected[i]));
}

TEST_CASE("the memory of a thread does not grow with the batch", "[low_freq_target]") {
  const auto kibibytes = [](const auto& filter) {
    const pixmim::detail::BasisPlan<float> plan(pixmim::detail::gain_table(filter, 224, 224),
                                                BasisEngine<float>::shape());
    const pixmim::detail::BasisScratchLayout<float> layout(plan, plan.shape.columns, 1, 0);
    return layout.size() * 4 / 1024;
  };
  CHECK(kibibytes(pixmim::Circle{40}) < 4096);
  CHECK(kibibytes(pixmim::PublishedCircle{40}) < 4096);
  CHECK(kibibytes(pixmim::Circle{200}) < 4096);
}
