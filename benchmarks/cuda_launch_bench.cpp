// SPDX-License-Identifier: Apache-2.0
// What the host does for a kernel that is loaded, without the driver's part: the CUDA runtime is the tests'
// stand-in, which starts nothing. Needs no GPU.
#include <ATen/ATen.h>
#include <benchmark/benchmark.h>
#include <cuda_runtime_api.h>
#include <pixmim/detail/cuda/kernel_sources.hpp>
#include <pixmim/detail/cuda/nvrtc_launcher.hpp>

#include <memory>

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

BENCHMARK_CAPTURE(warm_launch, current_device, 1);
BENCHMARK_CAPTURE(warm_launch, other_device, 0);
BENCHMARK(named_launch);
BENCHMARK(find_kernel);

}  // namespace

BENCHMARK_MAIN();
