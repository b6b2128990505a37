// SPDX-License-Identifier: Apache-2.0
// NVRTC makes machine code of kernels, and says what it cannot do.
#include <cuda_runtime_api.h>
#include <pixmim/detail/cuda/nvrtc_compiler.hpp>

#include <string>

#include "cuda_delivery/test_kernels.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"

using pixmim::detail::cuda::Kernel;
using pixmim::detail::cuda::load_nvrtc;
using pixmim::detail::cuda::nvrtc_names;
using pixmim::detail::cuda::NvrtcCompiler;
using pixmim::detail::cuda::test_kernels;
using support::error_of;

namespace {

const pixmim::detail::cuda::NvrtcApi& nvrtc() {
  static const auto api = load_nvrtc(nvrtc_names(CUDART_VERSION / 1000));
  return api;
}

const Kernel scale{"kernels.cuh", "scale<3>"};

}  // namespace

TEST_CASE("kernels compile to machine code for every generation", "[cuda_delivery]") {
  const NvrtcCompiler compiler(nvrtc(), test_kernels);
  for (const int capability : {80, 90, 100, 120}) {
    const auto architecture = compiler.architecture(capability);
    CHECK(architecture == "sm_" + std::to_string(capability));
    for (const char* name : {"scale<3>", "reverse", "local_memory"}) {
      const auto compiled = compiler.compile({"kernels.cuh", name}, architecture);
      CHECK(compiled.code.substr(1, 3) == "ELF");
      CHECK_THAT(compiled.code, ContainsSubstring(compiled.lowered_name));
    }
  }
}

TEST_CASE("a device that is newer than NVRTC gets PTX", "[cuda_delivery]") {
  const NvrtcCompiler compiler(nvrtc(), test_kernels);
  const auto architecture = compiler.architecture(9990);
  CHECK(architecture.rfind("compute_", 0) == 0);
  const auto compiled = compiler.compile(scale, architecture);
  CHECK_THAT(compiled.code, ContainsSubstring(".entry " + compiled.lowered_name));
  CHECK(compiled.code.back() == '\0');
}

TEST_CASE("what NVRTC does not compile is an error with its log", "[cuda_delivery]") {
  const NvrtcCompiler compiler(nvrtc(), test_kernels);
  const auto unknown = error_of([&] { compiler.compile({"kernels.cuh", "turn<1>"}, "sm_80"); });
  CHECK_THAT(unknown, ContainsSubstring("nvrtcCompileProgram"));
  CHECK_THAT(unknown, ContainsSubstring("pixmim::kernels::turn<1> of kernels.cuh on sm_80"));
  const auto no_file = error_of([&] { compiler.compile({"none.cuh", "scale<1>"}, "sm_80"); });
  CHECK_THAT(no_file, ContainsSubstring("\"none.cuh\""));
}

TEST_CASE("the identity of code knows what it depends on", "[cuda_delivery]") {
  const NvrtcCompiler compiler(nvrtc(), test_kernels);
  const auto identity = compiler.identity(scale, "sm_80");
  CHECK(identity == compiler.identity(scale, "sm_80"));
  CHECK(identity != compiler.identity(scale, "compute_80"));
  CHECK(identity != compiler.identity({"kernels.cuh", "scale<4>"}, "sm_80"));
  CHECK(identity !=
        NvrtcCompiler(nvrtc(), pixmim::detail::cuda::KernelSources(test_kernels).slice(1))
            .identity(scale, "sm_80"));
  auto other = nvrtc();
  ++other.library_size;
  CHECK(identity != NvrtcCompiler(other, test_kernels).identity(scale, "sm_80"));
}
