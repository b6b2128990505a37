// SPDX-License-Identifier: Apache-2.0
// The engines of other devices, run on the CPU: nothing in them asks where they are.
#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <pixmim/low_freq_target.hpp>

#include <cmath>
#include <string>
#include <vector>

#include "low_freq_target/asymmetric_filters.hpp"
#include "support/catch.hpp"
#include "support/golden.hpp"
#include "support/slow_target.hpp"

namespace {

using pixmim::detail::ChannelStatistics;
using pixmim::detail::DeviceTarget;
using support::largest_difference;

const std::vector<double> no_values;
const ChannelStatistics no_statistics = {no_values, no_values};

template <typename Filter>
auto device_target(const at::Tensor& images, const Filter& filter, bool by_products,
                   const ChannelStatistics& statistics = no_statistics) {
  constexpr bool magnitude = pixmim::detail::takes_magnitude<Filter>::value;
  const auto gain = pixmim::detail::gain_table(filter, images.size(-2), images.size(-1));
  const auto dtype = images.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  return DeviceTarget<magnitude>(gain, statistics, dtype, images.device(), by_products);
}

at::Tensor random_images(at::IntArrayRef shape) {
  auto generator = at::detail::createCPUGenerator(11);
  return at::randn(shape, generator, at::kDouble);
}

template <typename Filter>
void check_sizes(const Filter& filter) {
  for (const auto& [height, width] : std::vector<std::pair<int64_t, int64_t>>{
           {1, 1}, {1, 7}, {2, 2}, {5, 4}, {8, 8}, {16, 12}, {33, 30}, {64, 67}, {98, 60}}) {
    CAPTURE(height, width);
    const at::Tensor images = random_images({2, 3, height, width});
    const at::Tensor expected = support::slow_target(images, filter);
    // Rounding grows with the gains.
    const double gain = std::max(1.0, pixmim::detail::gain_table(filter, height, width).largest());
    for (const bool by_products : {false, true}) {
      for (const auto dtype : {at::kFloat, at::kDouble}) {
        const at::Tensor given = images.to(dtype);
        const at::Tensor target = device_target(given, filter, by_products).filter(given, dtype);
        CHECK(target.scalar_type() == dtype);
        CHECK(largest_difference(target, expected) < (dtype == at::kFloat ? 1e-5 : 1e-13) * gain);
        CHECK(at::equal(given, images.to(dtype)));  // nothing is written into the images
      }
    }
  }
}

}  // namespace

TEST_CASE("the engines of devices equal the plain formula", "[low_freq_target]") {
  for (const double radius : {0.0, 1.0, 7.0, 100.0}) {
    check_sizes(pixmim::Circle{radius});
    check_sizes(pixmim::PublishedCircle{radius});
  }
  check_sizes(pixmim::Gaussian{3});
  check_sizes(pixmim::Butterworth{4, 2});
  check_sizes(Lopsided{});
  check_sizes(LopsidedMagnitude{});
  check_sizes(EvenInX{});
  check_sizes(Tilted{});
}

TEST_CASE("the engines of devices equal the official generator", "[low_freq_target]") {
  const auto mean = pixmim::imagenet_default_mean();
  const auto deviation = pixmim::imagenet_default_std();
  const ChannelStatistics statistics = {mean, deviation};
  for (const auto& path : support::golden_files("low_freq_")) {
    const support::Golden golden(path);
    const at::Tensor& images = golden["input"];
    const at::Tensor batch = images.dim() == 3 ? images.unsqueeze(0) : images;
    for (const bool by_products : {false, true}) {
      const auto target = device_target(batch, pixmim::PublishedCircle{golden.number("radius")},
                                        by_products, statistics);
      const double difference = largest_difference(
          target.filter(batch, at::kFloat).view(images.sizes()), golden["expected_reference"]);
      support::report(golden.name() + " " + target.engine(at::kFloat), difference, 1e-5);
      CHECK(difference <= 1e-5);
    }
  }
}

TEST_CASE("the engines of devices take bytes and 16 bits as the CPU does", "[low_freq_target]") {
  const auto mean = pixmim::imagenet_default_mean();
  const auto deviation = pixmim::imagenet_default_std();
  auto generator = at::detail::createCPUGenerator(5);
  const at::Tensor bytes = at::randint(256, {2, 3, 32, 48}, generator, at::kByte);
  const at::Tensor images = random_images({2, 3, 32, 48});
  const auto check = [&](const auto& filter) {
    for (const auto& [given, allowed] : std::vector<std::pair<at::Tensor, double>>{
             {bytes, 1e-5}, {images.to(at::kHalf), 4e-3}, {images.to(at::kBFloat16), 4e-2}}) {
      const at::Tensor expected = pixmim::low_freq_target(given, filter);
      for (const bool by_products : {false, true}) {
        const at::Tensor target = device_target(given, filter, by_products, {mean, deviation})
                                      .filter(given, expected.scalar_type());
        CHECK(target.scalar_type() == expected.scalar_type());
        CHECK(largest_difference(target, expected) <= allowed);
      }
    }
  };
  check(pixmim::PublishedCircle{9});
  check(pixmim::Circle{9});
}

TEST_CASE("a model's autocast leaves the target's products alone", "[low_freq_target]") {
  const at::Tensor images = random_images({1, 3, 32, 32}).to(at::kFloat);
  const auto target = device_target(images, pixmim::PublishedCircle{9}, true);
  const at::Tensor expected = target.filter(images, at::kFloat);
  at::autocast::set_autocast_enabled(at::kCPU, true);
  const at::Tensor under_autocast = target.filter(images, at::kFloat);
  at::autocast::set_autocast_enabled(at::kCPU, false);
  CHECK(at::equal(under_autocast, expected));
}

TEST_CASE("NaN stays in its image on devices", "[low_freq_target]") {
  at::Tensor images = random_images({3, 3, 16, 16}).to(at::kFloat);
  images[1][0][3][4] = std::nan("");
  for (const bool by_products : {false, true}) {
    const at::Tensor target =
        device_target(images, pixmim::PublishedCircle{5}, by_products).filter(images, at::kFloat);
    CHECK(target[1][0].isnan().any().item<bool>());
    CHECK(target[0].isfinite().all().item<bool>());
    CHECK(target[2].isfinite().all().item<bool>());
  }
}

TEST_CASE("a generator names the engine that serves", "[low_freq_target]") {
  const pixmim::LowFreqTargetGenerator generator(8);  // few enough frequencies for any processor
  CHECK(generator.engine(at::zeros({2, 3, 224, 224})) == "basis");
  CHECK(pixmim::LowFreqTargetGenerator(1000).engine(at::zeros({1, 3, 1024, 1024})) == "transforms");
  CHECK_THROWS_AS(generator.engine(at::zeros({3})), c10::Error);
  generator.prepare(at::zeros({2, 3, 224, 224}));
  CHECK_THROWS_AS(generator.prepare(at::zeros({3})), c10::Error);
  generator.prepare(at::zeros({2, 3, 224, 224}), 16);
  CHECK_THROWS_AS(generator.prepare(at::zeros({2, 3, 224, 224}), 15), c10::Error);
}

TEST_CASE("products serve where little is kept, transforms where much is", "[low_freq_target]") {
  const auto faster = [](const auto& filter, int64_t size, c10::ScalarType dtype = at::kFloat) {
    return pixmim::detail::products_are_faster(pixmim::detail::gain_table(filter, size, size),
                                               dtype);
  };
  CHECK(faster(pixmim::PublishedCircle{12}, 224));
  CHECK(!faster(pixmim::PublishedCircle{112}, 224));
  CHECK(!faster(pixmim::Circle{200}, 448));
  CHECK(!faster(pixmim::PublishedCircle{12}, 224, at::kDouble));
}
