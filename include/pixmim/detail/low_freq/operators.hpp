// SPDX-License-Identifier: Apache-2.0
// The two formulas of the target in LibTorch's operators: plain, for devices without an engine.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/fft_fft2.h>
#include <ATen/ops/fft_ifft2.h>
#include <ATen/ops/fft_irfft2.h>
#include <ATen/ops/fft_rfft2.h>
#include <c10/core/Device.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <cstddef>
#include <cstdint>

#include "pixmim/detail/patch_operators.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {

/// |ifft2(gain * fft2(images))|; `gain` [H,W]. The published code multiplies the shifted spectrum
/// and does not shift back, which turns the inverse by a phase only: the magnitude is the same.
inline at::Tensor filter_magnitude(const at::Tensor& images, const at::Tensor& gain) {
  return at::fft_ifft2(at::fft_fft2(images).mul_(gain)).abs();
}

/// Re(ifft2(gain * fft2(images))); `half_gain` [H,W/2+1] comes from `real_half` (half_gains.hpp).
inline at::Tensor filter_real(const at::Tensor& images, const at::Tensor& half_gain) {
  const auto size = images.sizes().slice(static_cast<std::size_t>(images.dim() - 2));
  return at::fft_irfft2(at::fft_rfft2(images).mul_(half_gain), size);
}

/// The gains of a filter, and the statistics as [C,1,1] or [1,1,1] (undefined if there are none).
struct OperatorTables {
  at::Tensor gain;
  at::Tensor mean;
  at::Tensor std;

  /// Tells the caching allocator that the current stream reads the tables too: another stream may
  /// have made them, and the cache may drop them while this one still works.
  void record_current_stream(c10::Device device) const {
    if (!device.is_cuda()) return;
    const auto stream = c10::impl::VirtualGuardImpl(device.type()).getStream(device);
    for (const at::Tensor& table : {gain, mean, std}) {
      if (table.defined()) table.record_stream(stream);
    }
  }
};

/// Images [N,C,H,W] in patches [N,L,p*p*C], zero where `masked` [N,L] is false.
inline at::Tensor patches_of_target(const at::Tensor& images, int64_t patch_size, bool norm_pix,
                                    const at::Tensor& masked) {
  at::Tensor patches = cut_into_patches(images, patch_size);
  if (norm_pix) patches = normalize_each_patch(patches).to(images.scalar_type());
  if (masked.defined()) patches = patches.masked_fill(masked.logical_not().unsqueeze(2), 0);
  return patches;
}

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
