// SPDX-License-Identifier: Apache-2.0
// The target's fused kernel, run by the executor, against the official generator and the plain formula.
#include <ATen/ATen.h>
#include <pixmim/detail/cuda/kernels/low_pass.cuh>
#include <pixmim/detail/low_freq/fused_target.hpp>
#include <pixmim/low_freq_target.hpp>

#include <cmath>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/golden.hpp"
#include "support/simt/executor.hpp"
#include "support/slow_target.hpp"

namespace {

using pixmim::detail::ChannelStatistics;
using pixmim::detail::FusedTarget;
using support::largest_difference;

const std::vector<double> no_values;
const ChannelStatistics no_statistics = {no_values, no_values};

simt::Executor executor_of(uint64_t seed) {
  simt::Executor executor(seed);
  // The goldens' sizes.
  PIXMIM_ADD_KERNEL(executor, low_pass<224, 224, 48, float, float, true, true>);
  PIXMIM_ADD_KERNEL(executor, low_pass<224, 224, 48, float, float, true, false>);
  PIXMIM_ADD_KERNEL(executor, low_pass<224, 224, 48, uint8, float, true, true>);
  PIXMIM_ADD_KERNEL(executor, low_pass<224, 224, 48, bfloat16, bfloat16, false, true>);
  PIXMIM_ADD_KERNEL(executor, low_pass<224, 224, 48, float16, float16, false, false>);
  PIXMIM_ADD_KERNEL(executor, low_pass<192, 192, 32, float, float, true, true>);
  PIXMIM_ADD_KERNEL(executor, low_pass<192, 192, 32, float, float, true, false>);
  PIXMIM_ADD_KERNEL(executor, low_pass<96, 128, 32, float, float, true, true>);
  PIXMIM_ADD_KERNEL(executor, low_pass<96, 128, 32, float, float, true, false>);
  PIXMIM_ADD_KERNEL(executor, low_pass<64, 64, 16, float, float, true, true>);
  PIXMIM_ADD_KERNEL(executor, low_pass<64, 64, 16, float, float, true, false>);
  PIXMIM_ADD_KERNEL(executor, low_pass<64, 64, 48, float, float, true, true>);
  PIXMIM_ADD_KERNEL(executor, low_pass<64, 64, 48, float, float, true, false>);
  PIXMIM_ADD_KERNEL(executor, low_pass<32, 32, 16, float, float, true, true>);
  PIXMIM_ADD_KERNEL(executor, low_pass<32, 32, 16, float, float, true, false>);
  // Every way in and out.
  PIXMIM_ADD_KERNEL(executor, low_pass<64, 32, 16, float, float, true, true>);
  PIXMIM_ADD_KERNEL(executor, low_pass<64, 32, 16, float, float, true, false>);
  PIXMIM_ADD_KERNEL(executor, low_pass<64, 32, 16, uint8, float, true, true>);
  PIXMIM_ADD_KERNEL(executor, low_pass<64, 32, 16, uint8, float, true, false>);
  PIXMIM_ADD_KERNEL(executor, low_pass<64, 32, 16, float16, float16, false, true>);
  PIXMIM_ADD_KERNEL(executor, low_pass<64, 32, 16, float16, float16, false, false>);
  PIXMIM_ADD_KERNEL(executor, low_pass<64, 32, 16, bfloat16, bfloat16, false, true>);
  PIXMIM_ADD_KERNEL(executor, low_pass<64, 32, 16, bfloat16, bfloat16, false, false>);
  return executor;
}

template <typename Filter>
pixmim::detail::SpectralGain gain_of(const Filter& filter, const at::Tensor& images) {
  return pixmim::detail::gain_table(filter, images.size(-2), images.size(-1));
}

template <typename Filter>
at::Tensor fused(const at::Tensor& images, const Filter& filter,
                 const ChannelStatistics& statistics = no_statistics, uint64_t seed = 1) {
  simt::Executor executor = executor_of(seed);
  const auto gain = gain_of(filter, images);
  REQUIRE(FusedTarget::serves(gain, images.scalar_type(), executor));
  return FusedTarget(gain, statistics, images.device(), executor).filter(images);
}

at::Tensor random_images(at::IntArrayRef shape, uint64_t seed = 11) {
  auto generator = at::detail::createCPUGenerator(seed);
  return at::randn(shape, generator, at::kDouble);
}

}  // namespace

TEST_CASE("the fused kernel gives the official target", "[low_freq_target]") {
  const auto mean = pixmim::imagenet_default_mean();
  const auto deviation = pixmim::imagenet_default_std();
  simt::Executor executor = executor_of(0);
  int served = 0;
  for (const auto& path : support::golden_files("low_freq_")) {
    const support::Golden golden(path);
    const at::Tensor& input = golden["input"];
    const at::Tensor images = input.dim() == 3 ? input.unsqueeze(0) : input;
    const double radius = golden.number("radius");
    const auto check = [&](const std::string& what, const auto& filter, const at::Tensor& expected,
                           double allowed) {
      if (!FusedTarget::serves(gain_of(filter, images), at::kFloat, executor)) return;
      ++served;
      const double difference = largest_difference(
          fused(images, filter, {mean, deviation}).view(input.sizes()), expected);
      support::report(golden.name() + " " + what, difference, allowed);
      CHECK(difference <= allowed);
    };
    check("fused", pixmim::PublishedCircle{radius}, golden["expected_reference"], 1e-5);
    if (golden.has("expected_circle")) {
      check("fused circle", pixmim::Circle{radius}, golden["expected_circle"], 1e-5);
    }
  }
  CHECK(served >= 4);
}

TEST_CASE("the fused kernel equals the plain formula, whatever comes first", "[low_freq_target]") {
  const at::Tensor images = random_images({2, 3, 64, 32});
  const auto check = [&](const auto& filter) {
    const at::Tensor expected = support::slow_target(images, filter);
    const at::Tensor first = fused(images.to(at::kFloat), filter);
    CHECK(largest_difference(first, expected) < 1e-5);
    for (uint64_t seed = 2; seed < 5; ++seed) {
      CHECK(at::equal(fused(images.to(at::kFloat), filter, no_statistics, seed), first));
    }
  };
  check(pixmim::Circle{9});
  check(pixmim::Circle{0});
  check(pixmim::PublishedCircle{9.5});
  check(pixmim::Gaussian{2});
  check(pixmim::Butterworth{0.5, 4});
}

TEST_CASE("the fused kernel takes bytes and 16 bits as the CPU does", "[low_freq_target]") {
  const auto mean = pixmim::imagenet_default_mean();
  const auto deviation = pixmim::imagenet_default_std();
  auto generator = at::detail::createCPUGenerator(5);
  const at::Tensor bytes = at::randint(256, {2, 3, 64, 32}, generator, at::kByte);
  const at::Tensor images = random_images({2, 3, 64, 32});
  const auto check = [&](const auto& filter) {
    for (const auto& [given, allowed] : std::vector<std::pair<at::Tensor, double>>{
             {bytes, 2e-5},
             {at::full({1, 3, 64, 32}, 255, at::kByte), 2e-5},
             {images.to(at::kHalf), 8e-3},
             {images.to(at::kBFloat16), 6e-2}}) {
      const at::Tensor expected = pixmim::low_freq_target(given, filter);
      const at::Tensor target = fused(given, filter, {mean, deviation});
      CHECK(target.scalar_type() == expected.scalar_type());
      CHECK(largest_difference(target, expected) <= allowed);
    }
  };
  check(pixmim::PublishedCircle{9});
  check(pixmim::Circle{9});
}

TEST_CASE("16 bits at 224 are within rounding of their dtype", "[low_freq_target]") {
  const at::Tensor images = random_images({1, 1, 224, 224});
  const at::Tensor half = images.to(at::kHalf);
  const at::Tensor of_half = fused(half, pixmim::Circle{40});
  const at::Tensor difference =
      of_half.to(at::kDouble) - support::slow_target(half.to(at::kDouble), pixmim::Circle{40});
  support::report("fused circle float16", difference.abs().max().item<double>(), 5e-3);
  CHECK(difference.abs().max().item<double>() < 5e-3);
  CHECK(difference.square().mean().sqrt().item<double>() < 1e-3);
}

TEST_CASE("the fused kernel takes numbers that half precision does not hold", "[low_freq_target]") {
  const at::Tensor images = random_images({1, 1, 64, 32});
  for (const double size : {1e-30, 1e-6, 300.0, 1e6, 1e15}) {
    const at::Tensor given = images.mul(size).to(at::kFloat);
    CAPTURE(size);
    for (const double radius : {0.0, 9.0}) {
      CHECK(largest_difference(fused(given, pixmim::Circle{radius}).to(at::kDouble).div(size),
                               support::slow_target(images, pixmim::Circle{radius})) < 1e-5);
      CHECK(largest_difference(
                fused(given, pixmim::PublishedCircle{radius}).to(at::kDouble).div(size),
                support::slow_target(images, pixmim::PublishedCircle{radius})) < 1e-5);
    }
  }
  CHECK(at::equal(fused(at::zeros({1, 1, 64, 32}), pixmim::Circle{9}), at::zeros({1, 1, 64, 32})));
}

TEST_CASE("in the fused kernel NaN stays in its channel", "[low_freq_target]") {
  at::Tensor images = random_images({1, 3, 64, 32}).to(at::kFloat);
  images[0][1][3][4] = std::nan("");
  const at::Tensor target = fused(images, pixmim::Circle{9});
  CHECK(target[0][1].isnan().all().item<bool>());
  CHECK(target[0][0].isfinite().all().item<bool>());
  CHECK(target[0][2].isfinite().all().item<bool>());
}

TEST_CASE("filters of any size of gain pass through the fused kernel", "[low_freq_target]") {
  struct Loud {
    double gain(double fy, double fx) const { return fy * fy + fx * fx <= 81 ? 1e5 : 0; }
  };
  const at::Tensor images = random_images({1, 1, 64, 32});
  CHECK(largest_difference(fused(images.to(at::kFloat), Loud{}).div(1e5),
                           support::slow_target(images, Loud{}).div(1e5)) < 1e-5);
}

TEST_CASE("images off the boundaries of vectors are copied", "[low_freq_target]") {
  const at::Tensor memory = random_images({2 * 64 * 32 + 1}).to(at::kFloat);
  const at::Tensor images = memory.narrow(0, 1, 2 * 64 * 32).view({1, 2, 64, 32});
  CHECK(at::equal(fused(images, pixmim::Circle{9}), fused(images.clone(), pixmim::Circle{9})));
}

TEST_CASE("the fused kernel says which images it does not serve", "[low_freq_target]") {
  simt::Executor executor;
  const auto serves = [&](const auto& filter, int64_t height, int64_t width,
                          c10::ScalarType dtype = at::kFloat) {
    return FusedTarget::serves(pixmim::detail::gain_table(filter, height, width), dtype, executor);
  };
  struct Tilted {
    double gain(double fy, double fx) const { return std::exp(-0.02 * std::pow(fy + 2 * fx, 2)); }
  };
  CHECK(serves(pixmim::PublishedCircle{40}, 224, 224));
  CHECK(!serves(pixmim::PublishedCircle{40}, 224, 224, at::kDouble));
  CHECK(!serves(pixmim::PublishedCircle{40}, 225, 224));
  CHECK(!serves(pixmim::PublishedCircle{40}, 224, 240));
  CHECK(!serves(pixmim::PublishedCircle{112}, 224, 224));
  CHECK(!serves(Tilted{}, 64, 64));
  executor.allow_shared_bytes(99 * 1024);
  CHECK(!serves(pixmim::PublishedCircle{40}, 224, 224));
  CHECK(serves(pixmim::PublishedCircle{40}, 224, 224, at::kBFloat16));
}

TEST_CASE("a target takes the kernel for what it serves, and operators for the rest",
          "[low_freq_target]") {
  simt::Executor executor = executor_of(4);
  executor.allow_shared_bytes(99 * 1024);
  const at::Tensor images = random_images({1, 3, 224, 224});
  const auto gain = gain_of(pixmim::Circle{40}, images);
  pixmim::detail::DeviceTarget<false> target(gain, no_statistics, at::kFloat, images.device());
  target.use_kernels(gain, no_statistics, executor);
  CHECK(std::string(target.engine(at::kHalf)) == "fused");
  CHECK(std::string(target.engine(at::kFloat)) != "fused");
  target.prepare(images.to(at::kFloat));
  target.prepare(images.to(at::kHalf));
  CHECK(executor.prepared().size() == 1);
  target.filter(images.to(at::kFloat), at::kFloat);
  CHECK(executor.launches().empty());
  // Any layout in memory.
  const at::Tensor half = images.to(at::kHalf);
  const at::Tensor expected = target.filter(half, at::kHalf);
  CHECK(executor.launches().size() == 1);
  CHECK(at::equal(target.filter(half.contiguous(at::MemoryFormat::ChannelsLast), at::kHalf),
                  expected));
}

TEST_CASE("a launch is one block a channel, up to one a multiprocessor", "[low_freq_target]") {
  simt::Executor executor = executor_of(3);
  const at::Tensor images = random_images({3, 3, 64, 32}).to(at::kFloat);
  const FusedTarget target(gain_of(pixmim::Circle{9}, images), no_statistics, images.device(),
                           executor);
  target.prepare(at::kFloat);
  target.filter(images);
  target.filter(images.narrow(0, 0, 1).contiguous());
  REQUIRE(executor.launches().size() == 2);
  CHECK(executor.launches()[0].shape.blocks == executor.multiprocessors());
  CHECK(executor.launches()[1].shape.blocks == 3);
  CHECK(executor.prepared().size() == 1);
}
