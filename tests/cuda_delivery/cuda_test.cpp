// SPDX-License-Identifier: Apache-2.0
// Kernels on a GPU: compiled, found on disk the second time, started, and captured.
#include <ATen/ATen.h>

#include "cuda_delivery/delivered.hpp"
#include "support/catch.hpp"
#include "support/cuda/gpu.hpp"
#include "support/errors.hpp"

using namespace delivered;

TEST_CASE("a kernel runs on a GPU, compiled or from the folder", "[cuda_delivery][cuda]") {
  if (support::no_gpu()) return;
  const TemporaryFolder folder;
  RuntimeApi runtime;
  const auto from = at::randn({1000}, at::kCUDA);
  for (int round = 0; round < 2; ++round) {
    NvrtcLauncher launcher(runtime, compiler(), KernelCache(folder.path()), 0);
    const auto to = at::zeros({1000}, at::kCUDA);
    launcher.launch(scale, {8, 128},
                    {Argument::reads(from), Argument::writes(to), Argument::value(int64_t{1000}),
                     Argument::value(2.0f)});
    CHECK(at::equal(to, from * 2));
  }
}

TEST_CASE("a CUDA graph captures a kernel that is prepared, and no other",
          "[cuda_delivery][cuda]") {
  if (support::no_gpu()) return;
  RuntimeApi runtime;
  NvrtcLauncher launcher(runtime, compiler(), KernelCache(""), 0);
  const auto from = at::randn({1000}, at::kCUDA);
  const auto call = [&] {
    const auto to = at::empty({1000}, at::kCUDA);
    launcher.launch(scale, {8, 128},
                    {Argument::reads(from), Argument::writes(to), Argument::value(int64_t{1000}),
                     Argument::value(2.0f)});
    return to;
  };
  CHECK_THAT(support::error_of([&] { support::CapturedCall captured(call); }),
             ContainsSubstring("call prepare()"));
  launcher.prepare(scale);
  support::CapturedCall captured(call);
  for (int round = 0; round < 2; ++round) {
    from.normal_();
    CHECK(at::equal(captured.replay(), from * 2));
  }
}
