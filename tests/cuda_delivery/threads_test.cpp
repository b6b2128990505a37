// SPDX-License-Identifier: Apache-2.0
// Threads and devices at once.
#include <ATen/ATen.h>

#include <atomic>
#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "cuda_delivery/delivered.hpp"
#include "support/catch.hpp"

using namespace delivered;
using support::RecordingRuntime;

TEST_CASE("threads share the kernels of their devices and keep their own streams",
          "[cuda_delivery]") {
  RecordingRuntime runtime({{80, 108, 163 * 1024}, {90, 132, 227 * 1024}});
  NvrtcLauncher first(runtime, compiler(), KernelCache(""), 0);
  NvrtcLauncher second(runtime, compiler(), KernelCache(""), 1);
  constexpr int threads = 8;
  constexpr int rounds = 50;
  constexpr int kernels = 3;
  const auto numbers = at::zeros({128});
  std::atomic<int> wrong{0};
  const auto work = [&](int thread) {
    runtime.use_device(thread % 2);
    runtime.use_stream(0, thread + 1);
    runtime.use_stream(1, thread + 1);
    for (int round = 0; round < rounds; ++round) {
      const int which = (thread + round) % kernels;
      const Kernel kernel{"kernels.cuh", "scale<" + std::to_string(which) + ">"};
      auto& launcher = round % 2 == 0 ? first : second;
      launcher.launch(kernel, {1, 128},
                      {Argument::reads(numbers), Argument::writes(numbers),
                       Argument::value(int64_t{128}), Argument::value(1.0f)});
      wrong += runtime.used_device() == thread % 2 ? 0 : 1;
    }
  };
  std::vector<std::thread> running;
  for (int thread = 0; thread < threads; ++thread) {
    running.emplace_back(work, thread);
  }
  for (auto& thread : running) {
    thread.join();
  }
  CHECK(wrong == 0);
  CHECK(runtime.loaded_libraries() == 2 * kernels);
  std::map<cudaStream_t, int> launches;
  for (const auto& launch : runtime.launches()) {
    ++launches[launch.stream];
  }
  CHECK(launches.size() == 2 * threads);
  for (const auto& [stream, count] : launches) {
    CHECK(count == rounds / 2);
  }
}

TEST_CASE("what one thread loads, others find without a lock", "[cuda_delivery]") {
  RecordingRuntime runtime;
  LoadedKernels kernels(runtime, compiler(), KernelCache(""), 0);
  std::vector<Kernel> names;
  for (int i = 0; i < 8; ++i) {
    names.push_back({"kernels.cuh", "scale<" + std::to_string(i) + ">"});
  }
  std::vector<std::vector<cudaKernel_t>> found(3);
  std::vector<std::thread> finders;
  for (auto& list : found) {
    finders.emplace_back([&] {
      for (const auto& name : names) {
        cudaKernel_t kernel = nullptr;
        while (kernel == nullptr) {
          std::this_thread::yield();
          kernel = kernels.find(name);
        }
        list.push_back(kernel);
      }
    });
  }
  std::vector<cudaKernel_t> loaded;
  for (const auto& name : names) {
    loaded.push_back(kernels.load(name));
  }
  for (auto& finder : finders) {
    finder.join();
  }
  for (const auto& list : found) {
    CHECK(list == loaded);
  }
}
