// SPDX-License-Identifier: Apache-2.0
// What kernels are loaded and started with: functions of the CUDA runtime, each under its own name, so
// that tests can put others in their place.
#pragma once

#include <c10/core/Device.h>
#include <c10/cuda/CUDAStream.h>
#include <c10/util/Exception.h>
#include <cuda_runtime_api.h>

#include <cstddef>

namespace pixmim {
inline namespace v0 {
namespace detail {
namespace cuda {

class RuntimeApi {
 public:
  virtual ~RuntimeApi() = default;

  [[nodiscard]] virtual cudaError_t get_device(int* device) { return cudaGetDevice(device); }
  [[nodiscard]] virtual cudaError_t set_device(int device) { return cudaSetDevice(device); }
  [[nodiscard]] virtual cudaError_t device_attribute(int* value, cudaDeviceAttr attribute,
                                                     int device) {
    return cudaDeviceGetAttribute(value, attribute, device);
  }

  [[nodiscard]] virtual cudaError_t load_library(cudaLibrary_t* library, const void* code) {
    return cudaLibraryLoadData(library, code, nullptr, nullptr, 0, nullptr, nullptr, 0);
  }
  [[nodiscard]] virtual cudaError_t unload_library(cudaLibrary_t library) {
    return cudaLibraryUnload(library);
  }
  [[nodiscard]] virtual cudaError_t kernel_of_library(cudaKernel_t* kernel, cudaLibrary_t library,
                                                      const char* name) {
    return cudaLibraryGetKernel(kernel, library, name);
  }
  [[nodiscard]] virtual cudaError_t set_kernel_attribute(cudaKernel_t kernel,
                                                         cudaFuncAttribute attribute, int value,
                                                         int device) {
    return cudaKernelSetAttributeForDevice(kernel, attribute, value, device);
  }
  [[nodiscard]] virtual cudaError_t kernel_attributes(cudaFuncAttributes* attributes,
                                                      cudaKernel_t kernel) {
    return cudaFuncGetAttributes(attributes, reinterpret_cast<const void*>(kernel));
  }
  [[nodiscard]] virtual cudaError_t launch(const cudaLaunchConfig_t& configuration,
                                           cudaKernel_t kernel, void** arguments) {
    return cudaLaunchKernelExC(&configuration, reinterpret_cast<const void*>(kernel), arguments);
  }

  [[nodiscard]] virtual cudaError_t capture_status(cudaStream_t stream,
                                                   cudaStreamCaptureStatus* status) {
    return cudaStreamIsCapturing(stream, status);
  }
  [[nodiscard]] virtual cudaError_t exchange_capture_mode(cudaStreamCaptureMode* mode) {
    return cudaThreadExchangeStreamCaptureMode(mode);
  }

  virtual cudaError_t last_error() { return cudaGetLastError(); }
  /// LibTorch's, for the calling thread.
  virtual cudaStream_t current_stream(c10::DeviceIndex device) {
    return c10::cuda::getCurrentCUDAStream(device).stream();
  }

  /// Throws if `result` is no success. `call` is CUDA's name of what was called, `details` what for.
  template <class... Details>
  void check(cudaError_t result, const char* call, const Details&... details) {
    if (result != cudaSuccess) {
      forget_error();
      TORCH_CHECK(false, "pixmim: ", call, " failed", details..., ": ", cudaGetErrorName(result),
                  " (", cudaGetErrorString(result), ")");
    }
  }
  int attribute(cudaDeviceAttr which, int device) {
    int value = 0;
    check(device_attribute(&value, which, device), "cudaDeviceGetAttribute", " for device ",
          device);
    return value;
  }
  /// 90 for 9.0.
  int compute_capability(int device) {
    return 10 * attribute(cudaDevAttrComputeCapabilityMajor, device) +
           attribute(cudaDevAttrComputeCapabilityMinor, device);
  }
  /// The runtime would tell of it again, at a call that has nothing to do with it.
  void forget_error() { static_cast<void>(last_error()); }
};

}  // namespace cuda
}  // namespace detail
}  // namespace v0
}  // namespace pixmim
