// SPDX-License-Identifier: Apache-2.0
// The transforms of a tensor's device, in builds with and without CUDA.
#pragma once

#include <c10/core/Device.h>

#include "pixmim/detail/cuda/fourier_transforms.hpp"

#ifdef PIXMIM_HAS_CUDA
#include <c10/util/Exception.h>
#include <cuda_runtime_api.h>

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "pixmim/detail/cuda/cufft_transforms.hpp"
#endif

namespace pixmim {
inline namespace v0 {
namespace detail {
namespace cuda {

#ifdef PIXMIM_HAS_CUDA
/// One a device, made when it is first asked for. For any number of threads.
class DeviceTransforms {
 public:
  /// `cufft`: the library's name.
  DeviceTransforms(RuntimeApi& runtime, std::string cufft)
      : runtime_(runtime), name_(std::move(cufft)) {}

  /// Null if there is no cuFFT.
  FourierTransforms* find(c10::DeviceIndex device) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!cufft_.has_value() && why_none_.empty()) {
      try {
        cufft_ = load_cufft(name_);
      } catch (const c10::Error& error) {
        why_none_ = error.what_without_backtrace();
      }
    }
    if (!cufft_.has_value()) return nullptr;
    auto& made = devices_[device];
    if (made == nullptr) made = std::make_unique<CufftTransforms>(runtime_, *cufft_, device);
    return made.get();
  }
  /// The reason if find() gives none.
  std::string why_none() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return why_none_;
  }

 private:
  RuntimeApi& runtime_;
  std::string name_;
  std::mutex mutex_;
  std::optional<CufftApi> cufft_;
  std::string why_none_;
  std::map<c10::DeviceIndex, std::unique_ptr<CufftTransforms>> devices_;
};

/// Never destroyed: the CUDA runtime may be gone before it would be.
inline DeviceTransforms& device_transforms() {
  static auto& transforms =
      *new DeviceTransforms(*new RuntimeApi, cufft_name(CUDART_VERSION / 1000));
  return transforms;
}
#endif

/// What transforms on `device`. Null if nothing does, and another engine has to serve.
inline FourierTransforms* transforms_of([[maybe_unused]] const c10::Device& device) {
#ifdef PIXMIM_HAS_CUDA
  if (device.is_cuda()) return device_transforms().find(device.index());
#endif
  return nullptr;
}

}  // namespace cuda
}  // namespace detail
}  // namespace v0
}  // namespace pixmim
