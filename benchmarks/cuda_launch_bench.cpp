// SPDX-License-Identifier: Apache-2.0
// What the host does for a kernel that is loaded, and for a whole call of each engine, without the driver's
// part: the CUDA runtime is the tests' stand-in, which starts nothing. Needs no GPU.
#include <ATen/ATen.h>
#include <benchmark/benchmark.h>
#include <cuda_runtime_api.h>
#include <pixmim/detail/cuda/kernel_sources.hpp>
#include <pixmim/detail/cuda/nvrtc_launcher.hpp>
#include <pixmim/detail/cuda/transforms_of.hpp>
#include <pixmim/detail/masking/cuda_masks.hpp>
#include <pixmim/detail/masking/cuda_rows.hpp>
#include <pixmim/loss.hpp>
#include <pixmim/low_freq_target.hpp>
#include <pixmim/masking.hpp>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "cuda_delivery/test_kernels.hpp"
#include "support/cuda/recording_runtime.hpp"

namespace cuda = pixmim::detail::cuda;

namespace {

const cuda::Kernel scale{"kernels.cuh", "scale<3>", 0};

/// A launcher on two devices that has `scale` and a few kernels more.
struct Warm {
  Warm() : runtime(std::vector<support::RecordingRuntime::Device>(2)) {
    for (int i = 0; i < 20; ++i) {
      launcher.prepare({"kernels.cuh", "scale<" + std::to_string(i) + ">"});
    }
    runtime.record(false);
  }

  support::RecordingRuntime runtime;
  cuda::NvrtcLauncher launcher{
      runtime,
      std::make_shared<const cuda::NvrtcCompiler>(
          cuda::load_nvrtc(cuda::nvrtc_names(CUDART_VERSION / 1000)), cuda::test_kernels),
      cuda::KernelCache(""), 1};
};

void warm_launch(benchmark::State& state, int current_device) {
  Warm warm;
  warm.runtime.use_device(current_device);
  const auto from = at::zeros({1000});
  const auto to = at::zeros({1000});
  for (auto _ : state) {
    warm.launcher.launch(scale, {8, 128},
                         {cuda::Argument::reads(from), cuda::Argument::writes(to),
                          cuda::Argument::value(int64_t{1000}), cuda::Argument::value(2.5f)});
  }
}

/// The same where the engine makes up the kernel's name each time.
void named_launch(benchmark::State& state) {
  Warm warm;
  warm.runtime.use_device(1);
  const auto from = at::zeros({1000});
  const auto to = at::zeros({1000});
  int64_t pad = 3;
  for (auto _ : state) {
    benchmark::DoNotOptimize(pad);
    warm.launcher.launch({"kernels.cuh", "scale<" + std::to_string(pad) + ">", 0}, {8, 128},
                         {cuda::Argument::reads(from), cuda::Argument::writes(to),
                          cuda::Argument::value(int64_t{1000}), cuda::Argument::value(2.5f)});
  }
}

void find_kernel(benchmark::State& state) {
  Warm warm;
  for (auto _ : state) {
    warm.launcher.prepare(scale);
  }
}

/// Compiles what the engines ask for, once.
struct Engines {
  Engines() { runtime.record(false); }

  support::RecordingRuntime runtime;
  cuda::NvrtcLauncher launcher{
      runtime,
      std::make_shared<const cuda::NvrtcCompiler>(
          cuda::load_nvrtc(cuda::nvrtc_names(CUDART_VERSION / 1000)), cuda::kernel_sources),
      cuda::KernelCache(""), 0};
};
Engines& engines() {
  static Engines all;
  return all;
}

/// Of an engine. Memory is the host's, whose allocator stands for LibTorch's on a device.
template <class Call>
void warm_call(benchmark::State& state, const Call& call) {
  call();
  for (auto _ : state) benchmark::DoNotOptimize(call());
}

const std::vector<double> mean = pixmim::imagenet_default_mean();
const std::vector<double> deviation = pixmim::imagenet_default_std();

pixmim::detail::ChannelStatistics statistics() {
  return {mean, deviation};
}
pixmim::detail::SpectralGain published_gain() {
  return pixmim::detail::gain_table(pixmim::PublishedCircle{40}, 224, 224);
}

void fused_target(benchmark::State& state, bool in_patches) {
  const auto images = at::zeros({2, 3, 224, 224});
  const auto masked = at::ones({2, 196}, at::kBool);
  const pixmim::detail::FusedTarget target(published_gain(), statistics(), at::kCPU,
                                           engines().launcher);
  warm_call(state, [&] {
    return in_patches ? target.patches(images, 16, true, masked) : target.filter(images);
  });
}

/// cuFFT that starts nothing.
cuda::CufftApi no_cufft() {
  cuda::CufftApi api;
  api.create = [](int* plan) { return *plan = 0; };
  api.destroy = [](int) { return 0; };
  api.set_auto_allocation = [](int, int) { return 0; };
  api.make_plan = [](int, int, long long*, long long*, long long, long long, cudaDataType,
                     long long*, long long, long long, cudaDataType, long long,
                     std::size_t* workspace, cudaDataType) {
    *workspace = 0;
    return 0;
  };
  api.set_stream = [](int, cudaStream_t) { return 0; };
  api.set_work_area = [](int, void*) { return 0; };
  api.execute = [](int, void*, void*, int) { return 0; };
  return api;
}

void cufft_target(benchmark::State& state) {
  const auto images = at::zeros({2, 3, 224, 224});
  cuda::CufftTransforms transforms(engines().runtime, no_cufft(), 0);
  const pixmim::detail::CufftTarget target(published_gain(), statistics(), at::kFloat, at::kCPU,
                                           engines().launcher, transforms);
  warm_call(state, [&] { return target.filter(images); });
}

void masks(benchmark::State& state) {
  const pixmim::detail::TokenPlan plan = {196, 49};
  warm_call(state, [&] { return cuda::drawn_masks(engines().launcher, {}, 256, plan, at::kCPU); });
}

void visible(benchmark::State& state) {
  const auto tokens = at::zeros({2, 196, 768});
  const auto mask = pixmim::random_mask(2, 196, 0.75);
  const pixmim::detail::TokenOrder order = {mask.ids_keep, mask.ids_restore};
  warm_call(state, [&] { return cuda::keep_rows(engines().launcher, tokens, order); });
}

void loss(benchmark::State& state) {
  const auto prediction = at::zeros({2, 196, 768});
  const auto target = at::zeros({2, 3, 224, 224});
  const auto mask = pixmim::random_mask(2, 196, 0.75).mask;
  const auto options = pixmim::PixelLossOptions(16).norm_pix(true);
  warm_call(state, [&] {
    return cuda::pixel_loss(engines().launcher, prediction, target, mask, options, true);
  });
}

BENCHMARK_CAPTURE(warm_launch, current_device, 1);
BENCHMARK_CAPTURE(warm_launch, other_device, 0);
BENCHMARK(named_launch);
BENCHMARK(find_kernel);
BENCHMARK_CAPTURE(fused_target, image, false);
BENCHMARK_CAPTURE(fused_target, normalized_patches, true);
BENCHMARK(cufft_target);
BENCHMARK(masks);
BENCHMARK(visible);
BENCHMARK(loss);

}  // namespace

BENCHMARK_MAIN();
