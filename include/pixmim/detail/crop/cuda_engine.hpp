// SPDX-License-Identifier: Apache-2.0
// Whether a kernel crops on a device.
#pragma once

#include <c10/core/Device.h>

#include "pixmim/detail/cuda/default_engines.hpp"
#include "pixmim/detail/cuda/launcher.hpp"
#include "pixmim/detail/cuda/launcher_of.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {

/// Null where LibTorch's operators serve.
inline cuda::Launcher* crop_launcher(const c10::Device& device) {
  if (!device.is_cuda()) return nullptr;
  if (cuda::engine_on_cuda(cuda::Component::Crop) != cuda::Engine::Fused) return nullptr;
  return cuda::launcher_of(device);
}

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
