// SPDX-License-Identifier: Apache-2.0
// What the benchmarks share: sizes, the device, how a row is registered, checked and timed.
#pragma once

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <benchmark/benchmark.h>
#include <c10/core/GradMode.h>
#include <torch/version.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "pixmim/version.hpp"

namespace pixmim_bench {

constexpr int64_t batch = 16;
constexpr int64_t image_size = 224;
constexpr int64_t large_image_size = 448;
constexpr int64_t patch_size = 16;
constexpr double radius = 40;
constexpr double mask_ratio = 0.75;
constexpr int64_t encoder_width = 768;
constexpr int64_t decoder_width = 512;
constexpr uint64_t seed = 0;
/// Unless --benchmark_min_time says otherwise: a file of rows takes well under a minute.
constexpr auto default_min_time = "--benchmark_min_time=0.2";

/// The CPU, or what PIXMIM_BENCH_DEVICE names ("cuda", "cuda:1").
inline at::Device device() {
  const char* name = std::getenv("PIXMIM_BENCH_DEVICE");
  return at::Device(name != nullptr ? name : "cpu");
}

/// One thread and all; on a GPU the host's threads do not matter.
inline const std::vector<int>& thread_counts() {
  static const std::vector<int> counts = [] {
    const int all = at::get_num_threads();
    return device().is_cpu() && all > 1 ? std::vector<int>{1, all} : std::vector<int>{1};
  }();
  return counts;
}

/// Returns when `result` is there: copying one element waits for the current stream of a GPU.
inline void wait_for(const at::Tensor& result) {
  if (result.device().is_cpu() || result.numel() == 0) return;
  benchmark::DoNotOptimize(result.as_strided({1}, {1}).cpu());
}

/// A GPU gets several calls before they are waited for, so that neither the wait nor the host's part of a
/// short call is counted.
inline int64_t calls_a_wait() {
  return device().is_cpu() ? 1 : 20;
}

/// Throws unless the values of `ours` are within `tolerance` of those of `reference`.
inline void expect_equal(const std::string& row, const at::Tensor& ours,
                         const at::Tensor& reference, double tolerance) {
  if (ours.sizes() != reference.sizes()) {
    throw std::runtime_error(row + ": the result and the reference differ in shape");
  }
  const double difference =
      ours.to(at::kDouble).sub(reference.to(at::kDouble)).abs().max().item<double>();
  if (!(difference <= tolerance)) {
    std::ostringstream message;  // not to_string, which shows 1e-8 as 0
    message << row << ": not the reference's values: they differ by up to " << difference
            << ", allowed are " << tolerance;
    throw std::runtime_error(message.str());
  }
}

/// Kibibytes that `call` needs at its peak beyond what the process has, or -1 where the system does not
/// say. Memory that an earlier call freed and the allocator kept does not count.
inline double peak_kibibytes(const std::function<at::Tensor()>& call) {
  const auto status = [](const std::string& field) {
    std::ifstream file("/proc/self/status");
    std::string line;
    while (std::getline(file, line)) {
      if (line.rfind(field, 0) == 0) return std::stod(line.substr(field.size() + 1));
    }
    return -1.0;
  };
  std::ofstream("/proc/self/clear_refs") << 5;  // the peak is what there is now
  const double before = status("VmRSS");
  const at::Tensor result = call();
  wait_for(result);
  const double peak = status("VmHWM");
  if (before < 0 || peak < 0) return -1;
  return std::max(0.0, peak - before - static_cast<double>(result.nbytes()) / 1024);
}

/// A row of the table.
struct Row {
  std::string name;
  int threads;
  /// Images that a call handles.
  int64_t images;
  /// Bytes that a call must read and write at the least; 0: not counted.
  std::size_t bytes = 0;
  /// Row that this one is measured against, added before; none: itself.
  std::string reference = {};
  /// Row that copies the same bytes, added before; none: not compared.
  std::string copy = {};
  /// Multiplications and additions of a call; 0: not counted.
  double flops = 0;
};

/// Registers a row that times `call`.
inline void add(const Row& row, const std::function<at::Tensor()>& call) {
  static std::map<std::string, double> seconds_of;
  const bool on_gpu = !device().is_cpu();
  auto* const registered =
      benchmark::RegisterBenchmark(row.name.c_str(), [row, call, on_gpu](benchmark::State& state) {
        at::set_num_threads(row.threads);
        // Tables, plans and memory pools are made here.
        if (row.copy.empty()) {
          wait_for(call());
        } else {
          state.counters["extra_KiB"] = peak_kibibytes(call);
        }
        const auto calls_at_once = static_cast<double>(calls_a_wait());
        double seconds = 0;
        for (auto _ : state) {
          const auto start = std::chrono::steady_clock::now();
          at::Tensor result;
          for (int64_t i = 0; i < calls_a_wait(); ++i) result = call();
          wait_for(result);
          benchmark::DoNotOptimize(result.unsafeGetTensorImpl());
          const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
          seconds += elapsed.count();
          if (on_gpu) state.SetIterationTime(elapsed.count() / calls_at_once);
        }
        seconds_of[row.name] = seconds / static_cast<double>(state.iterations()) / calls_at_once;

        const auto rate = benchmark::Counter::kIsIterationInvariantRate;
        state.counters["images/s"] = benchmark::Counter(static_cast<double>(row.images), rate);
        if (row.bytes > 0) {
          state.counters["bytes/s"] = benchmark::Counter(static_cast<double>(row.bytes), rate);
        }
        state.counters["us/image"] = seconds_of[row.name] * 1e6 / static_cast<double>(row.images);
        if (row.flops > 0) state.counters["flops/s"] = benchmark::Counter(row.flops, rate);
        const auto copy = seconds_of.find(row.copy);
        if (copy != seconds_of.end()) {
          state.counters["copy_share"] = copy->second / seconds_of[row.name];
        }
        const auto reference = seconds_of.find(row.reference.empty() ? row.name : row.reference);
        if (reference != seconds_of.end()) {
          state.counters["speedup"] = reference->second / seconds_of[row.name];
        }
      });
  registered->Unit(benchmark::kMicrosecond);
  if (on_gpu) {
    registered->UseManualTime();
  } else {
    registered->UseRealTime();
  }
}

/// The body of main: checks and registers by `add_rows`, then runs.
inline int run(int argc, char** argv, void (*add_rows)()) {
  std::string min_time = default_min_time;
  std::vector<char*> arguments(argv, argv + argc);
  arguments.insert(arguments.begin() + 1, min_time.data());  // a later one wins
  arguments.push_back(nullptr);
  int count = argc + 1;
  benchmark::Initialize(&count, arguments.data());
  if (benchmark::ReportUnrecognizedArguments(count, arguments.data())) return 1;

  benchmark::AddCustomContext("pixmim", std::to_string(PIXMIM_VERSION_MAJOR) + "." +
                                            std::to_string(PIXMIM_VERSION_MINOR) + "." +
                                            std::to_string(PIXMIM_VERSION_PATCH));
  benchmark::AddCustomContext("torch", TORCH_VERSION);
  benchmark::AddCustomContext("torch_cpu", at::get_cpu_capability());
  try {
    benchmark::AddCustomContext("device", device().str());
    const c10::NoGradGuard no_grad;
    at::manual_seed(seed);
    thread_counts();  // read before a row sets another
    add_rows();
    benchmark::RunSpecifiedBenchmarks();
  } catch (const c10::Error& error) {
    std::cerr << argv[0] << ": " << error.what_without_backtrace() << '\n';
    return 1;
  } catch (const std::exception& error) {
    std::cerr << argv[0] << ": " << error.what() << '\n';
    return 1;
  }
  benchmark::Shutdown();
  return 0;
}

/// The end of a row's name.
inline std::string threads_axis(int threads) {
  return "/threads:" + std::to_string(threads);
}

}  // namespace pixmim_bench
