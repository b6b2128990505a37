// SPDX-License-Identifier: Apache-2.0
// The launcher of a tensor's device, in builds with and without CUDA.
#pragma once

#include <c10/core/Device.h>
#include <c10/util/Exception.h>

#include <string>

#include "pixmim/detail/cuda/launcher.hpp"

#ifdef PIXMIM_HAS_CUDA
#include <cuda_runtime_api.h>
#endif
// The first CUDA runtime that loads code by itself.
#if defined(PIXMIM_HAS_CUDA) && CUDART_VERSION >= 12080
#define PIXMIM_HAS_KERNELS 1
#include "pixmim/detail/cuda/device_launchers.hpp"
#include "pixmim/detail/cuda/kernel_sources.hpp"
#else
#define PIXMIM_HAS_KERNELS 0
#endif

namespace pixmim {
inline namespace v0 {
namespace detail {
namespace cuda {

#if PIXMIM_HAS_KERNELS
/// Never destroyed: the CUDA runtime may be gone before it would be.
inline DeviceLaunchers& device_launchers() {
  static auto& launchers = *new DeviceLaunchers(*new RuntimeApi, nvrtc_names(CUDART_VERSION / 1000),
                                                kernel_sources, KernelCache(kernel_cache_folder()));
  return launchers;
}
#endif

/// Why launcher_of() gives none.
inline std::string why_no_launcher([[maybe_unused]] const c10::Device& device) {
  if (!device.is_cuda()) {
    return "kernels run on CUDA devices, not on " + device.str();
  }
#if PIXMIM_HAS_KERNELS
  return device_launchers().why_none(device.index());
#else
  return "pixmim was built without CUDA, or with a CUDA runtime older than 12.8";
#endif
}

/// What starts kernels on `device`. Null if nothing does, and another engine has to serve: for a CUDA device,
/// where an engine was asked for, a warning says why, once.
inline Launcher* launcher_of([[maybe_unused]] const c10::Device& device) {
#if PIXMIM_HAS_KERNELS
  if (device.is_cuda()) {
    if (auto* const launcher = device_launchers().find(device.index())) return launcher;
  }
#endif
  if (device.is_cuda()) {
    TORCH_WARN_ONCE("pixmim: LibTorch's operators serve on ", device, ": ",
                    why_no_launcher(device));
  }
  return nullptr;
}

}  // namespace cuda
}  // namespace detail
}  // namespace v0
}  // namespace pixmim
