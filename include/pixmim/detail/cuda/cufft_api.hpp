// SPDX-License-Identifier: Apache-2.0
// cuFFT: the copy that LibTorch has loaded, so that a program has one.
#pragma once

#include <c10/util/Exception.h>
#include <cuda_runtime_api.h>
#include <library_types.h>

#include <cstddef>
#include <string>

#include "pixmim/detail/cuda/shared_library.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {
namespace cuda {

/// Functions of cufft.h and cufftXt.h; zero is success.
struct CufftApi {
  using Plan = int;

  int (*create)(Plan* plan) = nullptr;
  int (*destroy)(Plan plan) = nullptr;
  int (*set_auto_allocation)(Plan plan, int is_wanted) = nullptr;
  int (*make_plan)(Plan plan, int rank, long long* length, long long* input_size,
                   long long input_step, long long input_distance, cudaDataType input_type,
                   long long* output_size, long long output_step, long long output_distance,
                   cudaDataType output_type, long long count, std::size_t* workspace_bytes,
                   cudaDataType type) = nullptr;
  int (*set_stream)(Plan plan, cudaStream_t stream) = nullptr;
  int (*set_work_area)(Plan plan, void* workspace) = nullptr;
  int (*execute)(Plan plan, void* input, void* output, int direction) = nullptr;

  template <class... Details>
  void check(int result, const char* call, const Details&... details) const {
    TORCH_CHECK(result == 0, "pixmim: ", call, " failed", details..., ": ", name_of(result));
  }
  /// Of cufftResult.
  static std::string name_of(int result) {
    switch (result) {
      case 0x1:
        return "CUFFT_INVALID_PLAN";
      case 0x2:
        return "CUFFT_ALLOC_FAILED";
      case 0x3:
        return "CUFFT_INVALID_TYPE";
      case 0x4:
        return "CUFFT_INVALID_VALUE";
      case 0x5:
        return "CUFFT_INTERNAL_ERROR";
      case 0x6:
        return "CUFFT_EXEC_FAILED";
      case 0x7:
        return "CUFFT_SETUP_FAILED";
      case 0x8:
        return "CUFFT_INVALID_SIZE";
      case 0xb:
        return "CUFFT_INVALID_DEVICE";
      case 0xd:
        return "CUFFT_NO_WORKSPACE";
      case 0xe:
        return "CUFFT_NOT_IMPLEMENTED";
      case 0x10:
        return "CUFFT_NOT_SUPPORTED";
      default:
        return "cufftResult " + std::to_string(result);
    }
  }
};

/// That of CUDA `cuda_major`: cuFFT counts one less.
inline std::string cufft_name(int cuda_major) {
  return "libcufft.so." + std::to_string(cuda_major - 1);
}

/// Throws if `name` is no cuFFT.
inline CufftApi load_cufft(const std::string& name) {
  const auto library = SharedLibrary::open_first({name});
  TORCH_CHECK(library.is_open(), "cuFFT was not found: ", library.why_not());
  CufftApi api;
  library.find("cufftCreate", api.create);
  library.find("cufftDestroy", api.destroy);
  library.find("cufftSetAutoAllocation", api.set_auto_allocation);
  library.find("cufftXtMakePlanMany", api.make_plan);
  library.find("cufftSetStream", api.set_stream);
  library.find("cufftSetWorkArea", api.set_work_area);
  library.find("cufftXtExec", api.execute);
  return api;
}

}  // namespace cuda
}  // namespace detail
}  // namespace v0
}  // namespace pixmim
