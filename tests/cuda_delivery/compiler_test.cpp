// SPDX-License-Identifier: Apache-2.0
// NVRTC makes machine code of kernels, and says what it cannot do.
#include <string>
#include <vector>

#include "cuda_delivery/delivered.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"

using namespace delivered;
using support::error_of;

TEST_CASE("kernels compile to machine code for every generation", "[cuda_delivery]") {
  for (const int capability : {80, 90, 100, 120}) {
    const auto architecture = compiler()->architecture(capability);
    CHECK(architecture == "sm_" + std::to_string(capability));
    for (const char* name : {"scale<3>", "reverse", "local_memory", "widen<bfloat16>"}) {
      const auto compiled = compiler()->compile({"kernels.cuh", name}, architecture);
      CHECK(compiled.code.substr(1, 3) == "ELF");
      CHECK_THAT(compiled.code, ContainsSubstring(compiled.lowered_name));
    }
  }
}

TEST_CASE("a device that is newer than NVRTC gets PTX", "[cuda_delivery]") {
  const auto architecture = compiler()->architecture(9990);
  CHECK(architecture.rfind("compute_", 0) == 0);
  const auto compiled = compiler()->compile(scale, architecture);
  CHECK_THAT(compiled.code, ContainsSubstring(".entry " + compiled.lowered_name));
  CHECK(compiled.code.back() == '\0');
  CHECK_THAT(error_of([] { compiler()->architecture(10); }),
             ContainsSubstring("NVRTC has no architecture for compute capability 1.0"));
}

TEST_CASE("what NVRTC does not compile is an error with its log", "[cuda_delivery]") {
  const auto unknown = error_of([&] { compiler()->compile({"kernels.cuh", "turn<1>"}, "sm_80"); });
  CHECK_THAT(unknown, ContainsSubstring("nvrtcCompileProgram failed"));
  CHECK_THAT(unknown, ContainsSubstring("pixmim::kernels::turn<1> of kernels.cuh on sm_80"));
  CHECK_THAT(unknown, ContainsSubstring("error: "));
  const auto no_file = error_of([&] { compiler()->compile({"none.cuh", "scale<1>"}, "sm_80"); });
  CHECK_THAT(no_file, ContainsSubstring("\"none.cuh\""));
}

TEST_CASE("the identity of code knows what the code depends on", "[cuda_delivery]") {
  const auto identity = compiler()->identity(scale, "sm_80");
  CHECK(identity == compiler()->identity(scale, "sm_80"));
  CHECK(identity != compiler()->identity(scale, "compute_80"));
  CHECK(identity != compiler()->identity({"kernels.cuh", "scale<4>"}, "sm_80"));
  CHECK(identity != compiler()->identity({"others.cuh", "scale<3>"}, "sm_80"));

  std::vector<KernelSource> sources(std::begin(test_kernels), std::end(test_kernels));
  const auto text = std::string(sources.back().text) + "\n";
  sources.back().text = text.c_str();
  CHECK(identity != NvrtcCompiler(nvrtc(), sources).identity(scale, "sm_80"));

  const NvrtcCompiler with_lines(nvrtc(), test_kernels, " --generate-line-info");
  CHECK(identity != with_lines.identity(scale, "sm_80"));
  CHECK(with_lines.compile(scale, "sm_80").code.size() >
        compiler()->compile(scale, "sm_80").code.size());
  CHECK_THAT(
      error_of([] { NvrtcCompiler(nvrtc(), test_kernels, "--none").compile(scale, "sm_80"); }),
      ContainsSubstring("NVRTC_ERROR_INVALID_OPTION"));

  auto other = nvrtc();
  ++other.library_size;
  CHECK(identity != NvrtcCompiler(other, test_kernels).identity(scale, "sm_80"));
  other = nvrtc();
  other.version = [](int* major, int* minor) {
    *major = 12;
    *minor = 8;
    return 0;
  };
  CHECK(identity != NvrtcCompiler(other, test_kernels).identity(scale, "sm_80"));
}

TEST_CASE("each call of NVRTC that fails is named", "[cuda_delivery]") {
  // Whether the error of a compilation with `api` names `call`.
  const auto names = [](const char* call, const NvrtcApi& api) {
    const auto error = error_of([&] {
      const NvrtcCompiler broken(api, test_kernels);
      std::string log;
      broken.compile(scale, "sm_80", &log);
      broken.compile(scale, "compute_80");
    });
    CAPTURE(error);
    CHECK_THAT(error, ContainsSubstring(std::string("pixmim: ") + call + " failed"));
    CHECK_THAT(error, ContainsSubstring("NVRTC_ERROR_INTERNAL_ERROR"));
  };
  using Program = NvrtcApi::Program;
  constexpr int error = 11;
  auto api = nvrtc();
  api.version = [](int*, int*) { return error; };
  names("nvrtcVersion", api);
  api = nvrtc();
  api.supported_arch_count = [](int*) { return error; };
  names("nvrtcGetNumSupportedArchs", api);
  api = nvrtc();
  api.supported_archs = [](int*) { return error; };
  names("nvrtcGetSupportedArchs", api);
  api = nvrtc();
  api.create_program = [](Program*, const char*, const char*, int, const char* const*,
                          const char* const*) { return error; };
  names("nvrtcCreateProgram", api);
  api = nvrtc();
  api.add_name_expression = [](Program, const char*) { return error; };
  names("nvrtcAddNameExpression", api);
  api = nvrtc();
  api.compile_program = [](Program program, int count, const char* const* options) {
    const int result = nvrtc().compile_program(program, count, options);
    return result == 0 ? error : result;
  };
  names("nvrtcCompileProgram", api);
  api = nvrtc();
  api.log_size = [](Program, std::size_t*) { return error; };
  names("nvrtcGetProgramLogSize", api);
  api = nvrtc();
  api.log = [](Program, char*) { return error; };
  names("nvrtcGetProgramLog", api);
  api = nvrtc();
  api.lowered_name = [](Program, const char*, const char**) { return error; };
  names("nvrtcGetLoweredName", api);
  api = nvrtc();
  api.cubin_size = [](Program, std::size_t*) { return error; };
  names("nvrtcGetCUBINSize", api);
  api = nvrtc();
  api.cubin = [](Program, char*) { return error; };
  names("nvrtcGetCUBIN", api);
  api = nvrtc();
  api.ptx_size = [](Program, std::size_t*) { return error; };
  names("nvrtcGetPTXSize", api);
  api = nvrtc();
  api.ptx = [](Program, char*) { return error; };
  names("nvrtcGetPTX", api);
  api = nvrtc();
  api.destroy_program = [](Program* program) {
    nvrtc().destroy_program(program);
    return error;
  };
  names("nvrtcDestroyProgram", api);
}

TEST_CASE("NVRTC is looked for with LibTorch first, with the system last", "[cuda_delivery]") {
  const auto torch = folder_of_loaded("libtorch_cuda.so");
  REQUIRE(!torch.empty());
  const auto names = nvrtc_names(13);
  CHECK(names.front() == torch + "../../nvidia/cu13/lib/libnvrtc.so.13");
  CHECK(names.back() == "libnvrtc.so.13");
  CHECK(folder_of_loaded("libnone.so.1").empty());
  CHECK(nvrtc().library_size > 0);
}

TEST_CASE("without NVRTC the error names what was tried", "[cuda_delivery]") {
  const auto missing = error_of([] { load_nvrtc({"libnone.so.1", "/nowhere/libnvrtc.so.13"}); });
  CHECK_THAT(missing, ContainsSubstring("NVRTC was not found"));
  CHECK_THAT(missing, ContainsSubstring("libnone.so.1"));
  CHECK_THAT(missing, ContainsSubstring("/nowhere/libnvrtc.so.13"));
  CHECK(error_of([] { load_nvrtc({"libm.so.6"}); }) == "libm.so.6 has no function nvrtcVersion");
}

TEST_CASE("parameters of machine code have the sizes of the kernel's", "[cuda_delivery]") {
  for (const char* architecture : {"sm_80", "sm_90", "sm_100", "sm_120"}) {
    const auto compiled = compiler()->compile(scale, architecture);
    const auto sizes = support::parameter_sizes(compiled.code, compiled.lowered_name);
    REQUIRE(sizes.has_value());
    CHECK(*sizes == std::vector<std::size_t>{8, 8, 8, 4});
  }
}
