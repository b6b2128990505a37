// SPDX-License-Identifier: Apache-2.0
// NVRTC, NVIDIA's compiler in a library: found where the program runs, since machines without a GPU have
// none, and its header is not part of every CUDA installation.
#pragma once

#include <c10/util/Exception.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "pixmim/detail/cuda/shared_library.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {
namespace cuda {

/// Functions of nvrtc.h; zero is success.
struct NvrtcApi {
  using Program = struct NvrtcProgram*;

  int (*version)(int* major, int* minor) = nullptr;
  int (*supported_arch_count)(int* count) = nullptr;
  int (*supported_archs)(int* archs) = nullptr;
  int (*create_program)(Program* program, const char* source, const char* name, int header_count,
                        const char* const* headers, const char* const* include_names) = nullptr;
  int (*destroy_program)(Program* program) = nullptr;
  int (*add_name_expression)(Program program, const char* expression) = nullptr;
  int (*compile_program)(Program program, int option_count, const char* const* options) = nullptr;
  int (*log_size)(Program program, std::size_t* size) = nullptr;
  int (*log)(Program program, char* log) = nullptr;
  int (*lowered_name)(Program program, const char* expression, const char** name) = nullptr;
  int (*cubin_size)(Program program, std::size_t* size) = nullptr;
  int (*cubin)(Program program, char* cubin) = nullptr;
  int (*ptx_size)(Program program, std::size_t* size) = nullptr;
  int (*ptx)(Program program, char* ptx) = nullptr;
  const char* (*error_string)(int result) = nullptr;

  /// Releases that differ in the third number alone report the same version, but not the same size.
  int64_t library_size = 0;

  template <class... Details>
  void check(int result, const char* call, const Details&... details) const {
    TORCH_CHECK(result == 0, "pixmim: ", call, " failed", details..., ": ", error_string(result));
  }
};

/// Where NVRTC is looked for: with LibTorch, with the CUDA runtime in use, and where the system has
/// libraries. Only the runtime's own major version makes code that its driver surely loads.
inline std::vector<std::string> nvrtc_names(int cuda_major) {
  const auto major = std::to_string(cuda_major);
  const auto file = "libnvrtc.so." + major;
  std::vector<std::string> names;
  // The Python package keeps CUDA in packages beside it.
  if (const auto torch = folder_of_loaded("libtorch_cuda.so"); !torch.empty()) {
    names.push_back(torch + "../../nvidia/cu" + major + "/lib/" + file);
    names.push_back(torch + "../../nvidia/cuda_nvrtc/lib/" + file);
  }
  if (const auto runtime = folder_of_loaded("libcudart.so." + major); !runtime.empty()) {
    names.push_back(runtime + file);
  }
  names.push_back(file);
  return names;
}

/// Throws if none of `names` is an NVRTC.
inline NvrtcApi load_nvrtc(c10::ArrayRef<std::string> names) {
  const auto library = SharedLibrary::open_first(names);
  TORCH_CHECK(library.is_open(), "NVRTC was not found: ", library.why_not());
  NvrtcApi api;
  library.find("nvrtcVersion", api.version);
  library.find("nvrtcGetNumSupportedArchs", api.supported_arch_count);
  library.find("nvrtcGetSupportedArchs", api.supported_archs);
  library.find("nvrtcCreateProgram", api.create_program);
  library.find("nvrtcDestroyProgram", api.destroy_program);
  library.find("nvrtcAddNameExpression", api.add_name_expression);
  library.find("nvrtcCompileProgram", api.compile_program);
  library.find("nvrtcGetProgramLogSize", api.log_size);
  library.find("nvrtcGetProgramLog", api.log);
  library.find("nvrtcGetLoweredName", api.lowered_name);
  library.find("nvrtcGetCUBINSize", api.cubin_size);
  library.find("nvrtcGetCUBIN", api.cubin);
  library.find("nvrtcGetPTXSize", api.ptx_size);
  library.find("nvrtcGetPTX", api.ptx);
  library.find("nvrtcGetErrorString", api.error_string);
  api.library_size = library.file_size();
  return api;
}

}  // namespace cuda
}  // namespace detail
}  // namespace v0
}  // namespace pixmim
