// SPDX-License-Identifier: Apache-2.0
// cuFFT's plans: one a layout, on the caller's stream and device, for any number of threads.
#include <ATen/ATen.h>
#include <pixmim/detail/cuda/cufft_transforms.hpp>
#include <pixmim/detail/cuda/transforms_of.hpp>

#include <string>
#include <thread>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/cuda/fftw_cufft.hpp"
#include "support/cuda/recording_runtime.hpp"
#include "support/errors.hpp"

#if __has_include(<cufftXt.h>)
#include <cufftXt.h>
#endif

namespace {

using namespace pixmim::detail::cuda;
using support::FftwCufft;
using support::RecordingRuntime;
using Kind = FourierTransform::Kind;

/// `count` transforms of neighbours.
FourierTransform rows(Kind kind, c10::ScalarType dtype, int64_t length, int64_t count) {
  const int64_t half = length / 2 + 1;
  return {kind,
          dtype,
          length,
          count,
          {1, kind == Kind::ComplexToReal ? half : length},
          {1, kind == Kind::RealToComplex ? half : length}};
}

}  // namespace

TEST_CASE("transforms are LibTorch's, undivided", "[cufft]") {
  RecordingRuntime runtime;
  FftwCufft cufft;
  CufftTransforms transforms(runtime, FftwCufft::api(), 0);
  for (const auto dtype : {at::kFloat, at::kDouble}) {
    const double allowed = dtype == at::kFloat ? 1e-4 : 1e-12;
    for (const int64_t length : {2, 7, 12}) {
      const at::Tensor real = at::randn({5, length}, dtype);
      at::Tensor spectrum = at::empty({5, length / 2 + 1, 2}, dtype);
      transforms.run(rows(Kind::RealToComplex, dtype, length, 5), real, spectrum, false);
      CHECK(at::allclose(at::view_as_complex(spectrum), at::fft_rfft(real), allowed, allowed));

      at::Tensor back = at::empty({5, length}, dtype);
      transforms.run(rows(Kind::ComplexToReal, dtype, length, 5), spectrum, back, true);
      CHECK(at::allclose(back, real * length, allowed, allowed));

      const at::Tensor complex = at::randn({5, length, 2}, dtype);
      const at::Tensor inverse = at::empty_like(complex);
      const auto plan = rows(Kind::ComplexToComplex, dtype, length, 5);
      transforms.run(plan, complex, inverse, true);
      CHECK(at::allclose(at::view_as_complex(inverse),
                         at::fft_ifft(at::view_as_complex(complex)) * length, allowed, allowed));
      transforms.run(plan, inverse, inverse, false);
      CHECK(at::allclose(inverse, complex * length, allowed, allowed));
    }
  }
}

TEST_CASE("a plan is made once for each layout, and goes with its maker", "[cufft]") {
  RecordingRuntime runtime;
  FftwCufft cufft;
  {
    CufftTransforms transforms(runtime, FftwCufft::api(), 0);
    auto transform = rows(Kind::RealToComplex, at::kFloat, 8, 3);
    transforms.prepare(transform);
    const at::Tensor real = at::randn({4, 8});
    const at::Tensor spectrum = at::empty({4, 5, 2});
    transforms.run(transform, real, spectrum, false);
    CHECK(cufft.plans_made() == 1);
    transform.count = 4;
    transforms.run(transform, real, spectrum, false);
    transform.dtype = at::kDouble;
    transforms.prepare(transform);
    transform.output.step = 4;
    transforms.prepare(transform);
    transform.input.distance = 16;
    transforms.prepare(transform);
    CHECK(cufft.plans_made() == 5);
    // Those that nobody used for long are dropped.
    for (int64_t count = 1; count <= 300; ++count) {
      transforms.prepare(rows(Kind::ComplexToComplex, at::kFloat, 8, count));
      transforms.prepare(rows(Kind::RealToComplex, at::kFloat, 8, 3));
    }
    CHECK(cufft.plans_made() == 305);
    CHECK(cufft.plans() == 256);
  }
  CHECK(cufft.plans() == 0);
}

TEST_CASE("transforms run on the stream and the device of their tensors", "[cufft]") {
  RecordingRuntime runtime({{90, 132, 227 * 1024}, {80, 108, 163 * 1024}});
  FftwCufft cufft;
  CufftTransforms second(runtime, FftwCufft::api(), 1);
  const auto transform = rows(Kind::RealToComplex, at::kFloat, 7, 3);
  const at::Tensor real = at::randn({3, 7});
  const at::Tensor spectrum = at::empty({3, 4, 2});
  for (const int stream : {0, 5, 6}) {
    runtime.use_stream(1, stream);
    second.run(transform, real, spectrum, false);
    CHECK(cufft.executions().back().stream == RecordingRuntime::stream(1, stream));
    CHECK(runtime.used_device() == 0);
  }
  CHECK(cufft.plans_made() == 1);
  CHECK(runtime.count("cudaSetDevice") == 6);
}

TEST_CASE("a plan that a captured stream lacks is an error that says what to do", "[cufft]") {
  RecordingRuntime runtime;
  FftwCufft cufft;
  CufftTransforms transforms(runtime, FftwCufft::api(), 0);
  const auto transform = rows(Kind::RealToComplex, at::kFloat, 7, 3);
  const at::Tensor real = at::randn({3, 7});
  const at::Tensor spectrum = at::empty({3, 4, 2});
  runtime.use_stream(0, 2);
  runtime.begin_capture(RecordingRuntime::stream(0, 2));
  const auto error = support::error_of([&] { transforms.run(transform, real, spectrum, false); });
  CHECK_THAT(error, ContainsSubstring("cuFFT's plan for 3 transforms of length 7"));
  CHECK_THAT(error, ContainsSubstring("prepare()"));
  CHECK(cufft.plans_made() == 0);
  // Another stream's thread may make it meanwhile; then the capture goes on.
  runtime.use_stream(0, 1);
  transforms.prepare(transform);
  CHECK(runtime.capture_mode() == cudaStreamCaptureModeGlobal);
  runtime.use_stream(0, 2);
  transforms.run(transform, real, spectrum, false);
  CHECK(cufft.executions().size() == 1);
  runtime.end_capture(RecordingRuntime::stream(0, 2));
  // A graph may run it again, however many others are needed meanwhile.
  for (int64_t count = 1; count <= 300; ++count) {
    transforms.prepare(rows(Kind::ComplexToComplex, at::kFloat, 8, count));
  }
  CHECK(cufft.plans() == 257);
  transforms.run(transform, real, spectrum, false);
  CHECK(cufft.plans_made() == 301);
}

TEST_CASE("every failure of the CUDA runtime names the call", "[cufft]") {
  const auto transform = rows(Kind::RealToComplex, at::kFloat, 7, 3);
  const at::Tensor real = at::randn({3, 7});
  const at::Tensor spectrum = at::empty({3, 4, 2});
  std::size_t calls = 0;
  const auto attempt = [&](std::size_t failing) {
    RecordingRuntime runtime({{90, 132, 227 * 1024}, {80, 108, 163 * 1024}});
    FftwCufft cufft;
    CufftTransforms transforms(runtime, FftwCufft::api(), 1);
    runtime.fail(failing);
    const auto error = support::error_of([&] {
      transforms.run(transform, real, spectrum, false);
      calls = runtime.calls().size();
    });
    CHECK(runtime.last_error() == cudaSuccess);
    return error;
  };
  attempt(static_cast<std::size_t>(-1));
  REQUIRE(calls >= 5);
  for (std::size_t call = 0; call < calls; ++call) {
    const auto error = attempt(call);
    CAPTURE(call, error);
    CHECK_THAT(error, ContainsSubstring("pixmim: cuda"));
    CHECK_THAT(error, ContainsSubstring("cudaErrorLaunchOutOfResources"));
  }
}

TEST_CASE("threads share plans and keep their streams", "[cufft]") {
  RecordingRuntime runtime;
  FftwCufft cufft;
  CufftTransforms transforms(runtime, FftwCufft::api(), 0);
  constexpr int threads = 4;
  constexpr int rounds = 20;
  std::vector<std::thread> running;
  std::vector<int> right(threads);
  for (int thread = 0; thread < threads; ++thread) {
    running.emplace_back([&, thread] {
      runtime.use_stream(0, thread + 1);
      for (int round = 0; round < rounds; ++round) {
        const at::Tensor real = at::full({3, 7}, 1.0 + thread);
        const at::Tensor spectrum = at::empty({3, 4, 2});
        transforms.run(rows(Kind::RealToComplex, at::kFloat, 7, 3), real, spectrum, false);
        right[static_cast<std::size_t>(thread)] +=
            std::abs(spectrum[0][0][0].item<double>() - 7.0 * (thread + 1)) < 1e-4;
      }
    });
  }
  for (auto& thread : running) thread.join();
  for (const int count : right) CHECK(count == rounds);
  CHECK(cufft.plans_made() == 1);
  std::vector<int> of_stream(threads + 1);
  for (const auto& execution : cufft.executions()) {
    ++of_stream[reinterpret_cast<std::uintptr_t>(execution.stream)];
  }
  for (int thread = 1; thread <= threads; ++thread) {
    CHECK(of_stream[static_cast<std::size_t>(thread)] == rounds);
  }
}

TEST_CASE("cuFFT is found with LibTorch, and what is missing is named", "[cufft]") {
  CHECK_NOTHROW(load_cufft(cufft_name(CUDART_VERSION / 1000)));
  CHECK_THAT(support::error_of([] { load_cufft("libcufft.so.0"); }),
             ContainsSubstring("libcufft.so.0"));
  CHECK_THAT(support::error_of([] { load_cufft("libm.so.6"); }),
             ContainsSubstring("libm.so.6 has no function cufftCreate"));
  RecordingRuntime runtime;
  DeviceTransforms none(runtime, "libcufft.so.0");
  CHECK(none.find(0) == nullptr);
  CHECK_THAT(none.why_none(), ContainsSubstring("cuFFT was not found"));
  DeviceTransforms some(runtime, cufft_name(CUDART_VERSION / 1000));
  CHECK(some.find(0) != nullptr);
  CHECK(some.find(0) == some.find(0));
  CHECK(some.find(0) != some.find(1));
  CHECK(transforms_of(at::kCPU) == nullptr);
}

#if __has_include(<cufftXt.h>)
// Results are an enumeration there, a plain number here.
template <class Result, class... Parameters>
std::tuple<Parameters...> parameters(Result (*)(Parameters...));
template <class Ours, class Theirs>
constexpr bool take_the_same = std::is_same_v<decltype(parameters(std::declval<Ours>())),
                                              decltype(parameters(std::declval<Theirs>()))>;
static_assert(take_the_same<decltype(CufftApi::create), decltype(&cufftCreate)>);
static_assert(take_the_same<decltype(CufftApi::destroy), decltype(&cufftDestroy)>);
static_assert(
    take_the_same<decltype(CufftApi::set_auto_allocation), decltype(&cufftSetAutoAllocation)>);
static_assert(take_the_same<decltype(CufftApi::make_plan), decltype(&cufftXtMakePlanMany)>);
static_assert(take_the_same<decltype(CufftApi::set_stream), decltype(&cufftSetStream)>);
static_assert(take_the_same<decltype(CufftApi::set_work_area), decltype(&cufftSetWorkArea)>);
static_assert(take_the_same<decltype(CufftApi::execute), decltype(&cufftXtExec)>);
#endif
