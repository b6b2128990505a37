// SPDX-License-Identifier: Apache-2.0
// The target by cuFFT's plans: FFTW makes the transforms, the executor runs the kernels.
#include <ATen/ATen.h>
#include <pixmim/detail/cuda/cufft_transforms.hpp>
#include <pixmim/detail/low_freq/cufft_target.hpp>
#include <pixmim/low_freq_target.hpp>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "low_freq_target/asymmetric_filters.hpp"
#include "low_freq_target/cufft/kernels.hpp"
#include "support/catch.hpp"
#include "support/cuda/fftw_cufft.hpp"
#include "support/cuda/recording_runtime.hpp"
#include "support/errors.hpp"
#include "support/golden.hpp"
#include "support/simt/executor.hpp"
#include "support/slow_target.hpp"

namespace {

using pixmim::detail::ChannelStatistics;
using pixmim::detail::CufftTarget;
using pixmim::detail::cuda::CufftTransforms;
using support::largest_difference;

const std::vector<double> no_values;
const ChannelStatistics no_statistics = {no_values, no_values};

/// What a target needs beside its filter.
struct Machine {
  explicit Machine(uint64_t seed = 1) : executor(seed) { add_spectrum_kernels(executor); }

  template <typename Filter>
  CufftTarget target(const Filter& filter, const at::Tensor& images,
                     const ChannelStatistics& statistics = no_statistics) {
    const auto dtype = images.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
    return CufftTarget(pixmim::detail::gain_table(filter, images.size(-2), images.size(-1)),
                       statistics, dtype, images.device(), executor, transforms);
  }

  simt::Executor executor;
  support::RecordingRuntime runtime;
  support::FftwCufft cufft;
  CufftTransforms transforms{runtime, support::FftwCufft::api(), 0};
};

at::Tensor random_images(at::IntArrayRef shape, uint64_t seed = 11) {
  auto generator = at::detail::createCPUGenerator(seed);
  return at::randn(shape, generator, at::kDouble);
}

template <typename Filter>
void check_sizes(const Filter& filter) {
  Machine machine;
  for (const auto& [height, width] : std::vector<std::pair<int64_t, int64_t>>{
           {2, 2}, {5, 4}, {3, 3}, {8, 8}, {16, 12}, {33, 30}, {64, 67}, {98, 60}}) {
    CAPTURE(height, width);
    const at::Tensor images = random_images({2, 3, height, width});
    const at::Tensor expected = support::slow_target(images, filter);
    // Rounding grows with the gains.
    const double gain = std::max(1.0, pixmim::detail::gain_table(filter, height, width).largest());
    for (const auto dtype : {at::kFloat, at::kDouble}) {
      const at::Tensor given = images.to(dtype);
      const at::Tensor target = machine.target(filter, given).filter(given);
      CHECK(target.scalar_type() == dtype);
      CHECK(largest_difference(target, expected) < (dtype == at::kFloat ? 1e-5 : 1e-13) * gain);
      CHECK(at::equal(given, images.to(dtype)));  // nothing is written into the images
    }
  }
}

}  // namespace

TEST_CASE("cuFFT's target equals the plain formula", "[low_freq_target]") {
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

TEST_CASE("cuFFT's target is the official generator's", "[low_freq_target]") {
  const auto mean = pixmim::imagenet_default_mean();
  const auto deviation = pixmim::imagenet_default_std();
  int served = 0;
  for (const auto& path : support::golden_files("low_freq_")) {
    const support::Golden golden(path);
    const at::Tensor& input = golden["input"];
    const at::Tensor images = input.dim() == 3 ? input.unsqueeze(0) : input;
    const double radius = golden.number("radius");
    const auto check = [&](const std::string& what, const auto& filter,
                           const at::Tensor& expected) {
      if (!CufftTarget::serves(
              pixmim::detail::gain_table(filter, images.size(-2), images.size(-1)))) {
        return;
      }
      ++served;
      Machine machine;
      const double difference = largest_difference(
          machine.target(filter, images, {mean, deviation}).filter(images).view(input.sizes()),
          expected);
      support::report(golden.name() + " " + what, difference, 1e-5);
      CHECK(difference <= 1e-5);
    };
    check("cufft", pixmim::PublishedCircle{radius}, golden["expected_reference"]);
    if (golden.has("expected_circle")) {
      check("cufft circle", pixmim::Circle{radius}, golden["expected_circle"]);
    }
  }
  CHECK(served >= 8);
}

TEST_CASE("cuFFT's target takes bytes and 16 bits as the CPU does", "[low_freq_target]") {
  const auto mean = pixmim::imagenet_default_mean();
  const auto deviation = pixmim::imagenet_default_std();
  auto generator = at::detail::createCPUGenerator(5);
  for (const int64_t width : {48, 47}) {  // four pixels at once, and one
    const at::Tensor bytes = at::randint(256, {2, 3, 33, width}, generator, at::kByte);
    const at::Tensor images = random_images({2, 3, 33, width});
    const auto check = [&](const auto& filter) {
      for (const auto& [given, allowed] : std::vector<std::pair<at::Tensor, double>>{
               {bytes, 1e-5}, {images.to(at::kHalf), 4e-3}, {images.to(at::kBFloat16), 4e-2}}) {
        Machine machine;
        const at::Tensor expected = pixmim::low_freq_target(given, filter);
        const auto target = machine.target(filter, given, {mean, deviation});
        target.prepare(given);
        const auto made = machine.cufft.plans_made();
        const at::Tensor result = target.filter(given);
        CHECK(machine.cufft.plans_made() == made);
        for (const auto& launch : machine.executor.launches()) {
          const auto& prepared = machine.executor.prepared();
          CHECK(std::find(prepared.begin(), prepared.end(), launch.kernel) != prepared.end());
        }
        CHECK(result.scalar_type() == expected.scalar_type());
        CHECK(largest_difference(result, expected) <= allowed);
      }
    };
    check(pixmim::PublishedCircle{9});
    check(pixmim::Circle{9});
  }
}

TEST_CASE("one mean serves all channels of cuFFT's target", "[low_freq_target]") {
  Machine machine;
  const std::vector<double> half = {0.5};
  auto generator = at::detail::createCPUGenerator(5);
  const at::Tensor bytes = at::randint(256, {2, 5, 12, 12}, generator, at::kByte);
  const at::Tensor expected =
      pixmim::low_freq_target(bytes, pixmim::LowFreqTargetOptions(4).mean(half).std(half));
  CHECK(largest_difference(
            machine.target(pixmim::PublishedCircle{4}, bytes, {half, half}).filter(bytes),
            expected) < 1e-5);
}

TEST_CASE("a large batch goes through cuFFT in parts", "[low_freq_target]") {
  Machine machine;
  const auto mean = pixmim::imagenet_default_mean();
  const auto deviation = pixmim::imagenet_default_std();
  auto generator = at::detail::createCPUGenerator(5);
  const at::Tensor bytes = at::randint(256, {5, 3, 7, 9}, generator, at::kByte);
  const auto target = [&](int64_t channels) {
    const auto gain = pixmim::detail::gain_table(pixmim::PublishedCircle{3}, 7, 9);
    return CufftTarget(gain, {mean, deviation}, at::kFloat, bytes.device(), machine.executor,
                       machine.transforms, channels * 5 * 7 * 8);
  };
  const at::Tensor expected = target(100).filter(bytes);
  CHECK(machine.cufft.plans_made() == 3);
  // Parts begin with every channel of an image, and are even: what an image of odd size needs.
  for (const int64_t channels : {0, 2, 4, 5, 14}) {
    CHECK(at::equal(target(channels).filter(bytes), expected));
  }
  const auto made = machine.cufft.plans_made();
  const auto of_floats = target(4);
  of_floats.prepare(bytes);
  CHECK(machine.cufft.plans_made() == made);
  const at::Tensor images = random_images({5, 3, 7, 9}).to(at::kFloat);
  CHECK(at::equal(of_floats.filter(images), target(100).filter(images)));
}

TEST_CASE("in cuFFT's target NaN stays in its channel", "[low_freq_target]") {
  Machine machine;
  at::Tensor images = random_images({2, 3, 16, 16}).to(at::kFloat);
  images[0][1][3][4] = std::nan("");
  const at::Tensor target = machine.target(pixmim::PublishedCircle{5}, images).filter(images);
  CHECK(target[0][1].isnan().all().item<bool>());
  CHECK(target.isnan().sum().item<int64_t>() == 16 * 16);
}

TEST_CASE("cuFFT's target does not depend on the schedule", "[low_freq_target]") {
  const at::Tensor images = random_images({2, 3, 20, 14}).to(at::kFloat);
  at::Tensor first;
  for (uint64_t seed = 1; seed < 4; ++seed) {
    Machine machine(seed);
    const at::Tensor target = machine.target(pixmim::PublishedCircle{5}, images).filter(images);
    if (first.defined()) CHECK(at::equal(target, first));
    first = target;
  }
}

TEST_CASE("images that begin between two numbers are copied for cuFFT", "[low_freq_target]") {
  Machine machine;
  for (const auto dtype : {at::kFloat, at::kDouble, at::kHalf}) {
    const at::Tensor memory = random_images({2 * 16 * 12 + 1}).to(dtype);
    const at::Tensor images = memory.narrow(0, 1, 2 * 16 * 12).view({1, 2, 16, 12});
    const auto target = machine.target(pixmim::PublishedCircle{5}, images);
    CHECK(at::equal(target.filter(images), target.filter(images.clone())));
  }
}

TEST_CASE("a device's target takes cuFFT, and says so", "[low_freq_target]") {
  Machine machine;
  const at::Tensor images = random_images({1, 3, 20, 14}).to(at::kFloat);
  const auto gain = pixmim::detail::gain_table(pixmim::Circle{4}, 20, 14);
  pixmim::detail::DeviceTarget<false> target(gain, no_statistics, at::kFloat, images.device());
  const at::Tensor expected = target.filter(images, at::kFloat);
  target.use_transforms(gain, no_statistics, machine.executor, machine.transforms);
  CHECK(std::string(target.engine(at::kFloat)) == "cufft");
  target.prepare(images);
  CHECK(machine.cufft.plans() == 3);
  CHECK(largest_difference(target.filter(images, at::kFloat), expected) < 1e-5);
  // Any layout in memory.
  CHECK(at::equal(target.filter(images.contiguous(at::MemoryFormat::ChannelsLast), at::kFloat),
                  target.filter(images, at::kFloat)));
  CHECK(machine.cufft.plans_made() == 3);

  const auto line = pixmim::detail::gain_table(pixmim::Circle{4}, 1, 14);
  pixmim::detail::DeviceTarget<false> of_lines(line, no_statistics, at::kFloat, images.device());
  of_lines.use_transforms(line, no_statistics, machine.executor, machine.transforms);
  CHECK(std::string(of_lines.engine(at::kFloat)) != "cufft");
}

TEST_CASE("every failure of cuFFT or CUDA names the call, and leaves nothing",
          "[low_freq_target]") {
  const at::Tensor images = random_images({1, 1, 15, 9}).to(at::kFloat);
  std::size_t calls = 0;
  {
    Machine machine;
    machine.target(pixmim::Circle{4}, images).filter(images);
    calls = machine.cufft.calls();
  }
  std::vector<std::string> named;
  for (std::size_t call = 0; call < calls; ++call) {
    Machine machine;
    machine.cufft.fail(call);
    const auto target = machine.target(pixmim::Circle{4}, images);
    const auto error = support::error_of([&] { target.filter(images); });
    CAPTURE(error);
    CHECK_THAT(error, ContainsSubstring("pixmim: cufft"));
    CHECK_THAT(error, ContainsSubstring("failed"));
    CHECK_THAT(error, ContainsSubstring("CUFFT_INTERNAL_ERROR"));
    named.push_back(error.substr(8, error.find(" failed") - 8));
    // It was this call alone: the next one serves, with the plans that were made.
    machine.cufft.fail(static_cast<std::size_t>(-1));
    CHECK(target.filter(images).isfinite().all().item<bool>());
    CHECK(machine.cufft.plans() == 3);
  }
  for (const char* call : {"cufftCreate", "cufftSetAutoAllocation", "cufftXtMakePlanMany",
                           "cufftSetStream", "cufftSetWorkArea", "cufftXtExec"}) {
    CHECK(std::find(named.begin(), named.end(), call) != named.end());
  }
}
