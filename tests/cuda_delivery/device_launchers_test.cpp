// SPDX-License-Identifier: Apache-2.0
// Which devices get a launcher, and what is said of the others.
#include <pixmim/detail/cuda/launcher_of.hpp>

#include <string>
#include <thread>
#include <vector>

#include "cuda_delivery/delivered.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"

using namespace delivered;
using support::error_of;
using support::RecordingRuntime;

TEST_CASE("a device's launcher is made when it is asked for, once", "[cuda_delivery]") {
  RecordingRuntime runtime({{90, 132, 227 * 1024}, {80, 108, 163 * 1024}});
  DeviceLaunchers launchers(runtime, nvrtc_names(CUDART_VERSION / 1000), test_kernels,
                            KernelCache(""));
  CHECK(runtime.calls().empty());
  std::vector<Launcher*> found(8);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < found.size(); ++i) {
    threads.emplace_back([&, i] { found[i] = launchers.find(1); });
  }
  for (auto& thread : threads) {
    thread.join();
  }
  REQUIRE(found[0] != nullptr);
  for (const auto* launcher : found) {
    CHECK(launcher == found[0]);
  }
  CHECK(found[0]->multiprocessors() == 108);
  REQUIRE(launchers.find(0) != nullptr);
  CHECK(launchers.find(0)->multiprocessors() == 132);
  CHECK(launchers.why_none(0).empty());
}

TEST_CASE("without NVRTC no device has a launcher, and the reason is told", "[cuda_delivery]") {
  RecordingRuntime runtime;
  DeviceLaunchers launchers(runtime, {"libnone.so.13"}, test_kernels, KernelCache(""));
  CHECK(launchers.find(0) == nullptr);
  CHECK_THAT(launchers.why_none(0), ContainsSubstring("NVRTC was not found: libnone.so.13"));
}

TEST_CASE("a device without the tensor cores of the kernels has no launcher", "[cuda_delivery]") {
  RecordingRuntime runtime({{75, 40, 64 * 1024}});
  DeviceLaunchers launchers(runtime, nvrtc_names(CUDART_VERSION / 1000), test_kernels,
                            KernelCache(""));
  CHECK(launchers.find(0) == nullptr);
  CHECK(launchers.why_none(0) == "kernels need compute capability 8.0, the device has 7.5");
}

TEST_CASE("a runtime that fails is an error each time, until it works", "[cuda_delivery]") {
  RecordingRuntime runtime;
  DeviceLaunchers launchers(runtime, nvrtc_names(CUDART_VERSION / 1000), test_kernels,
                            KernelCache(""));
  runtime.fail(0);
  CHECK_THAT(error_of([&] { launchers.find(0); }),
             ContainsSubstring("cudaDeviceGetAttribute failed for device 0"));
  CHECK(launchers.find(0) != nullptr);
  CHECK_THAT(error_of([&] { launchers.find(5); }), ContainsSubstring("cudaErrorInvalidDevice"));
}

TEST_CASE("CPU tensors have no launcher", "[cuda_delivery]") {
  CHECK(launcher_of(c10::Device(c10::kCPU)) == nullptr);
  CHECK(why_no_launcher(c10::Device(c10::kCPU)) == "kernels run on CUDA devices, not on cpu");
}
