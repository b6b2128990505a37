// SPDX-License-Identifier: Apache-2.0
// What reaches the CUDA runtime when a kernel is started, and what its failures become.
#include <ATen/ATen.h>

#include <cstring>
#include <string>
#include <vector>

#include "cuda_delivery/delivered.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"

using namespace delivered;
using support::error_of;
using support::RecordingRuntime;

namespace {

const KernelCache no_cache{""};

template <class Value>
Value as(const std::string& bytes) {
  Value value;
  REQUIRE(bytes.size() == sizeof(value));
  std::memcpy(&value, bytes.data(), sizeof(value));
  return value;
}

}  // namespace

TEST_CASE("a launch has the shape, the memory, the stream and the arguments that were asked for",
          "[cuda_delivery]") {
  RecordingRuntime runtime;
  NvrtcLauncher launcher(runtime, compiler(), no_cache, 0);
  CHECK(launcher.multiprocessors() == 132);
  CHECK(launcher.shared_bytes_per_block() == 227 * 1024);

  runtime.use_stream(0, 7);
  const auto from = at::zeros({1000});
  const auto to = at::zeros({1000});
  launcher.launch(scale, {8, 128},
                  {Argument::reads(from), Argument::writes(to), Argument::value(int64_t{1000}),
                   Argument::value(2.5f)});
  launcher.launch(reverse, {3, 128}, {Argument::writes(to.slice(0, 16))});

  const auto launches = runtime.launches();
  REQUIRE(launches.size() == 2);
  CHECK_THAT(launches[0].kernel, ContainsSubstring("scale"));
  CHECK(launches[0].blocks == 8);
  CHECK(launches[0].threads == 128);
  CHECK(launches[0].shared_bytes == 0);
  CHECK(launches[0].stream == RecordingRuntime::stream(0, 7));
  REQUIRE(launches[0].parameters.size() == 4);
  CHECK(as<const void*>(launches[0].parameters[0]) == from.const_data_ptr());
  CHECK(as<const void*>(launches[0].parameters[1]) == to.const_data_ptr());
  CHECK(as<int64_t>(launches[0].parameters[2]) == 1000);
  CHECK(as<float>(launches[0].parameters[3]) == 2.5f);
  CHECK_THAT(launches[1].kernel, ContainsSubstring("reverse"));
  CHECK(launches[1].blocks == 3);
  CHECK(launches[1].shared_bytes == 512);
  CHECK(as<const float*>(launches[1].parameters[0]) == to.const_data_ptr<float>() + 16);
}

TEST_CASE("no blocks are no launch, and more than a grid has are an error", "[cuda_delivery]") {
  RecordingRuntime runtime;
  NvrtcLauncher launcher(runtime, compiler(), no_cache, 0);
  const auto numbers = at::zeros({128});
  launcher.launch(reverse, {0, 128}, {Argument::writes(numbers)});
  CHECK(runtime.launches().empty());
  CHECK(runtime.loaded_libraries() == 0);
  for (const int64_t blocks : {int64_t{1} << 31, int64_t{-1}}) {
    CHECK(error_of([&] {
            launcher.launch(reverse, {blocks, 128}, {Argument::writes(numbers)});
          }) == "pixmim: expected at most 2147483647 blocks for kernel reverse, got " +
                    std::to_string(blocks));
  }
}

TEST_CASE("a kernel is loaded once", "[cuda_delivery]") {
  RecordingRuntime runtime;
  NvrtcLauncher launcher(runtime, compiler(), no_cache, 0);
  const auto numbers = at::zeros({128});
  launcher.prepare(reverse);
  const auto prepared = runtime.calls().size();
  launcher.prepare(reverse);
  CHECK(runtime.calls().size() == prepared);
  launcher.launch(reverse, {1, 128}, {Argument::writes(numbers)});
  launcher.launch(reverse, {1, 128}, {Argument::writes(numbers)});
  CHECK(runtime.loaded_libraries() == 1);
  CHECK(runtime.count("cudaFuncGetAttributes") == 1);  // what has lazy loading happen
  // A warm launch asks for the device and starts.
  CHECK(runtime.calls().size() == prepared + 4);
  CHECK(runtime.count("cudaKernelSetAttributeForDevice") == 0);
}

TEST_CASE("more shared memory than 48 KB is asked for before a launch", "[cuda_delivery]") {
  RecordingRuntime runtime;
  NvrtcLauncher launcher(runtime, compiler(), no_cache, 0);
  const auto numbers = at::zeros({128});
  for (const std::size_t kilobytes : {48, 100, 227}) {
    const Kernel kernel{"kernels.cuh", "reverse", kilobytes * 1024};
    launcher.launch(kernel, {1, 128}, {Argument::writes(numbers)});
    CHECK(runtime.launches().back().shared_bytes == kilobytes * 1024);
  }
  CHECK(runtime.count("cudaKernelSetAttributeForDevice") == 2);
  const Kernel too_much{"kernels.cuh", "reverse", 228 * 1024};
  CHECK_THAT(error_of([&] { launcher.prepare(too_much); }),
             ContainsSubstring("cudaKernelSetAttributeForDevice failed for kernel reverse and "
                               "233472 bytes of shared memory: cudaErrorInvalidValue"));
}

TEST_CASE("each device runs its own code on its own stream, and the caller's device stays current",
          "[cuda_delivery]") {
  RecordingRuntime runtime({{80, 108, 163 * 1024}, {120, 170, 99 * 1024}});
  NvrtcLauncher first(runtime, compiler(), no_cache, 0);
  NvrtcLauncher second(runtime, compiler(), no_cache, 1);
  CHECK(first.multiprocessors() == 108);
  CHECK(second.shared_bytes_per_block() == 99 * 1024);
  runtime.use_stream(1, 3);
  const auto numbers = at::zeros({128});
  for (const int current : {0, 1}) {
    runtime.use_device(current);
    second.prepare({"kernels.cuh", "scale<" + std::to_string(current) + ">"});
    CHECK(runtime.used_device() == current);
    first.launch(reverse, {1, 128}, {Argument::writes(numbers)});
    CHECK(runtime.used_device() == current);
    second.launch(reverse, {1, 128}, {Argument::writes(numbers)});
    CHECK(runtime.used_device() == current);
  }
  const auto launches = runtime.launches();
  REQUIRE(launches.size() == 4);
  CHECK(launches[2].device == 0);
  CHECK(launches[2].stream == RecordingRuntime::stream(0, 0));
  CHECK(launches[3].device == 1);
  CHECK(launches[3].stream == RecordingRuntime::stream(1, 3));
}

TEST_CASE("a device that NVRTC does not know yet gets PTX", "[cuda_delivery]") {
  RecordingRuntime runtime({{999, 200, 227 * 1024}});
  NvrtcLauncher launcher(runtime, compiler(), no_cache, 0);
  launcher.launch(reverse, {1, 128}, {Argument::writes(at::zeros({128}))});
  CHECK(runtime.launches().size() == 1);
}

TEST_CASE("a captured stream runs what was prepared, and refuses the rest", "[cuda_delivery]") {
  RecordingRuntime runtime;
  NvrtcLauncher launcher(runtime, compiler(), no_cache, 0);
  runtime.use_stream(0, 1);
  const auto numbers = at::zeros({128});
  launcher.prepare(reverse);
  runtime.begin_capture(RecordingRuntime::stream(0, 1));
  launcher.launch(reverse, {1, 128}, {Argument::writes(numbers)});
  CHECK(runtime.launches().size() == 1);
  const std::string refused =
      "pixmim: kernel scale<3> is needed for the first time by a stream that is being captured, "
      "where nothing can be loaded: call prepare(), or the operator once, before the capture";
  CHECK(error_of([&] { launcher.launch(scale, {1, 128}, {}); }) == refused);
  CHECK(error_of([&] { launcher.prepare(scale); }) == refused);

  // Another stream loads while this one is captured.
  runtime.use_stream(0, 2);
  CHECK_NOTHROW(launcher.prepare(scale));
  CHECK(runtime.capture_mode() == cudaStreamCaptureModeGlobal);
}

TEST_CASE("each call of the runtime that fails is named, and leaves nothing behind",
          "[cuda_delivery]") {
  const Kernel kernel{"kernels.cuh", "reverse", 64 * 1024};
  const auto numbers = at::zeros({128});
  const auto nvrtc_compiler = compiler();
  const auto run = [&](RecordingRuntime& runtime) {
    NvrtcLauncher launcher(runtime, nvrtc_compiler, no_cache, 1);
    launcher.launch(kernel, {1, 128}, {Argument::writes(numbers)});
  };
  const std::vector<RecordingRuntime::Device> devices(2);

  RecordingRuntime good(devices);
  run(good);
  const auto calls = good.calls();
  for (const char* call :
       {"cudaGetDevice", "cudaSetDevice", "cudaDeviceGetAttribute", "cudaStreamIsCapturing",
        "cudaThreadExchangeStreamCaptureMode", "cudaLibraryLoadData", "cudaLibraryGetKernel",
        "cudaKernelSetAttributeForDevice", "cudaFuncGetAttributes", "cudaLaunchKernelExC"}) {
    CHECK(good.count(call) > 0);
  }

  for (std::size_t i = 0; i < calls.size(); ++i) {
    CAPTURE(i, calls[i]);
    RecordingRuntime runtime(devices);
    runtime.fail(i);
    const auto error = error_of([&] { run(runtime); });
    CHECK_THAT(error, ContainsSubstring("pixmim: " + calls[i] + " failed"));
    CHECK_THAT(error, ContainsSubstring("cudaErrorLaunchOutOfResources ("));
    CHECK(runtime.last_error() == cudaSuccess);
    CHECK(runtime.capture_mode() ==
          (calls[i] == "cudaThreadExchangeStreamCaptureMode" &&
                   runtime.count("cudaThreadExchangeStreamCaptureMode") > 1
               ? cudaStreamCaptureModeRelaxed
               : cudaStreamCaptureModeGlobal));
    const bool could_restore =
        !(calls[i] == "cudaSetDevice" && runtime.count("cudaSetDevice") == 2);
    CHECK(runtime.used_device() == (could_restore ? 0 : 1));

    // The next try works: nothing half loaded is kept.
    runtime.fail(static_cast<std::size_t>(-1));
    runtime.use_device(0);
    CHECK_NOTHROW(run(runtime));
  }
}

TEST_CASE("a failed load is tried again", "[cuda_delivery]") {
  RecordingRuntime runtime;
  NvrtcLauncher launcher(runtime, compiler(), no_cache, 0);
  const auto before = runtime.calls();
  launcher.prepare(scale);
  const auto all = runtime.calls();
  for (std::size_t i = 0; i < all.size() - before.size(); ++i) {
    const Kernel kernel{"kernels.cuh", "scale<" + std::to_string(100 + i) + ">"};
    const auto libraries = runtime.loaded_libraries();
    runtime.fail(runtime.calls().size() + i);
    CHECK_THROWS(launcher.prepare(kernel));
    CHECK(runtime.loaded_libraries() <= libraries + 1);
    CHECK_NOTHROW(launcher.prepare(kernel));
  }
}

TEST_CASE("what was compiled once is loaded from the cache", "[cuda_delivery]") {
  const TemporaryFolder folder;
  const KernelCache cache(folder.path());
  RecordingRuntime runtime;
  NvrtcLauncher(runtime, compiler(), cache, 0).prepare(reverse);

  auto api = nvrtc();
  api.compile_program = [](NvrtcApi::Program, int, const char* const*) { return 6; };
  const auto no_compiler = std::make_shared<const NvrtcCompiler>(api, test_kernels);
  NvrtcLauncher launcher(runtime, no_compiler, cache, 0);
  launcher.launch(reverse, {1, 128}, {Argument::writes(at::zeros({128}))});
  CHECK(runtime.launches().size() == 1);
  CHECK_THROWS(launcher.prepare(scale));

  // Another generation needs code of its own.
  RecordingRuntime other({{100, 148, 227 * 1024}});
  CHECK_THROWS(NvrtcLauncher(other, no_compiler, cache, 0).prepare(reverse));
}
