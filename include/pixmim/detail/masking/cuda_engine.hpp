// SPDX-License-Identifier: Apache-2.0
// Whether kernels make masks and move rows on a device.
#pragma once

#include <c10/core/Device.h>

#include "pixmim/detail/cuda/default_engines.hpp"
#include "pixmim/detail/cuda/launcher_of.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {

/// What starts the kernels; null where LibTorch's operators serve. `device` has an index.
inline cuda::Launcher* masking_launcher(const c10::Device& device) {
  if (!device.is_cuda()) return nullptr;
  if (cuda::engine_on_cuda(cuda::Component::Masking) != cuda::Engine::Fused) return nullptr;
  return cuda::launcher_of(device);
}

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
