// SPDX-License-Identifier: Apache-2.0
// The target on a GPU is that of the CPU, whichever engine PIXMIM_CUDA_ENGINES chooses.
#include <ATen/ATen.h>
#include <pixmim/low_freq_target.hpp>

#include <cmath>
#include <thread>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/cuda/gpu.hpp"
#include "support/golden.hpp"

using support::largest_difference;
using support::no_gpu;

namespace {

double tolerance(c10::ScalarType dtype) {
  return dtype == at::kBFloat16 ? 6e-2 : dtype == at::kHalf ? 8e-3 : 2e-5;
}

template <typename Filter>
void compare(const Filter& filter, const at::Tensor& images) {
  const pixmim::BasicLowFreqTargetGenerator<Filter> generator(filter);
  const at::Tensor there = images.to(at::kCUDA);
  CAPTURE(images.sizes(), images.scalar_type(), generator.engine(there));
  const at::Tensor target = generator(there);
  CHECK(target.is_cuda());
  CHECK(largest_difference(target.cpu(), generator(images)) <= tolerance(images.scalar_type()));
  CHECK(at::equal(generator(there), target));
}

}  // namespace

TEST_CASE("CUDA gives the target of the CPU", "[low_freq_target][cuda]") {
  if (no_gpu()) return;
  for (const auto& [height, width, radius] :
       {std::tuple{224, 224, 40}, {192, 192, 30}, {96, 128, 20}, {97, 75, 17}, {33, 32, 100}}) {
    const at::Tensor images = at::randn({2, 3, height, width});
    for (const auto dtype : {at::kHalf, at::kBFloat16, at::kFloat, at::kDouble, at::kByte}) {
      const at::Tensor given =
          dtype == at::kByte ? at::randint(256, images.sizes(), at::kByte) : images.to(dtype);
      compare(pixmim::PublishedCircle{static_cast<double>(radius)}, given);
      compare(pixmim::Circle{static_cast<double>(radius)}, given);
    }
  }
  compare(pixmim::Gaussian{20}, at::randn({2, 3, 64, 64}));
}

TEST_CASE("CUDA gives the official generator's target", "[low_freq_target][cuda]") {
  if (no_gpu()) return;
  for (const auto& path : support::golden_files("low_freq_")) {
    const support::Golden golden(path);
    const at::Tensor target =
        pixmim::low_freq_target(golden["input"].to(at::kCUDA), golden.number("radius"));
    const double difference = largest_difference(target.cpu(), golden["expected_reference"]);
    support::report(golden.name() + " on CUDA", difference, 1e-5);
    CHECK(difference <= 1e-5);
  }
}

TEST_CASE("patches of the target on CUDA are those of the CPU", "[low_freq_target][cuda]") {
  if (no_gpu()) return;
  const pixmim::LowFreqTargetGenerator generator(40);
  const at::Tensor images = at::randn({3, 3, 224, 224});
  const at::Tensor mask = at::rand({3, 196}).lt(0.75).to(at::kFloat);
  for (const bool norm_pix : {false, true}) {
    const auto options = pixmim::TargetPatchesOptions(16).norm_pix(norm_pix);
    const at::Tensor there = generator.patches(images.to(at::kCUDA), options, mask.to(at::kCUDA));
    // Normalised patches of little contrast are the filter's error over their deviation.
    CHECK(largest_difference(there.cpu(), generator.patches(images, options, mask)) <=
          (norm_pix ? 1e-3 : 2e-5));
  }
}

TEST_CASE("NaN stays in its image on CUDA", "[low_freq_target][cuda]") {
  if (no_gpu()) return;
  at::Tensor images = at::randn({3, 3, 224, 224});
  images[1][0][3][4] = std::nan("");
  const at::Tensor target = pixmim::low_freq_target(images.to(at::kCUDA), 40).cpu();
  CHECK(target[1].isnan().any().item<bool>());
  CHECK(target[0].isfinite().all().item<bool>());
  CHECK(target[2].isfinite().all().item<bool>());
}

#ifdef PIXMIM_HAS_CUDA
TEST_CASE("a CUDA graph captures the target once it is prepared", "[low_freq_target][cuda]") {
  if (no_gpu()) return;
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    for (const int64_t size : {224, 97}) {
      const pixmim::LowFreqTargetGenerator generator(20);
      const at::Tensor images =
          at::randn({4, 3, size, size}, at::TensorOptions(at::kCUDA).dtype(dtype));
      generator.prepare(images);
      support::CapturedCall captured([&] { return generator(images); });
      for (int round = 0; round < 2; ++round) {
        images.normal_();
        CHECK(at::equal(captured.replay(), generator(images)));
      }
    }
  }
  const pixmim::LowFreqTargetGenerator generator(20);
  const auto options = pixmim::TargetPatchesOptions(16).norm_pix(true);
  const at::Tensor images = at::randn({4, 3, 224, 224}, at::kCUDA);
  const at::Tensor mask = at::rand({4, 196}, at::kCUDA).lt(0.75);
  generator.prepare(images, options);
  support::CapturedCall captured([&] { return generator.patches(images, options, mask); });
  for (int round = 0; round < 2; ++round) {
    images.normal_();
    CHECK(at::equal(captured.replay(), generator.patches(images, options, mask)));
  }
}

TEST_CASE("threads share a generator on CUDA, each on its stream", "[low_freq_target][cuda]") {
  if (no_gpu()) return;
  const pixmim::LowFreqTargetGenerator generator(40);
  constexpr std::size_t threads = 4;
  std::vector<at::Tensor> images;
  std::vector<at::Tensor> expected;
  for (std::size_t i = 0; i < threads; ++i) {
    images.push_back(at::randn({8, 3, 224, 224}, at::kCUDA));
    expected.push_back(generator(images.back()));
  }
  c10::cuda::device_synchronize();
  std::vector<char> equal(threads);
  std::vector<std::thread> running;
  for (std::size_t i = 0; i < threads; ++i) {
    running.emplace_back([&, i] {
      const c10::cuda::CUDAStreamGuard on_stream(c10::cuda::getStreamFromPool());
      bool all = true;
      for (int round = 0; round < 20; ++round) all &= at::equal(generator(images[i]), expected[i]);
      equal[i] = all;
    });
  }
  for (auto& thread : running) thread.join();
  for (const char each : equal) CHECK(each);
}

TEST_CASE("one generator serves every GPU", "[low_freq_target][cuda]") {
  if (no_gpu()) return;
  const pixmim::LowFreqTargetGenerator generator(40);
  const at::Tensor images = at::randn({2, 3, 224, 224});
  const at::Tensor expected = generator(images);
  for (c10::DeviceIndex i = 0; i < c10::cuda::device_count(); ++i) {
    const at::Tensor target = generator(images.to(at::Device(at::kCUDA, i)));
    CHECK(target.device().index() == i);
    CHECK(largest_difference(target.cpu(), expected) <= 2e-5);
    CHECK(c10::cuda::current_device() == 0);
  }
}
#endif
