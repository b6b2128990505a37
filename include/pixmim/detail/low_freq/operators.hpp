// SPDX-License-Identifier: Apache-2.0
// The two formulas of the target in LibTorch's operators: plain, for devices without an engine.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/fft_fft2.h>
#include <ATen/ops/fft_ifft2.h>
#include <ATen/ops/fft_irfft2.h>
#include <ATen/ops/fft_rfft2.h>
#include <ATen/ops/var_mean.h>
#include <c10/core/Device.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <cstddef>
#include <cstdint>

namespace pixmim {
inline namespace v0 {
namespace detail {

/// |ifft2(gain * fft2(images))|; `gain` [H,W]. The published code multiplies the shifted spectrum
/// and does not shift back, which turns the inverse by a phase only: the magnitude is the same.
inline at::Tensor filter_magnitude(const at::Tensor& images, const at::Tensor& gain) {
  return at::fft_ifft2(at::fft_fft2(images).mul_(gain)).abs();
}

/// Re(ifft2(gain * fft2(images))); `half_gain` [H,W/2+1] comes from `real_half`.
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

/// The half of `gain` [H,W] that a real transform needs. The real part of the inverse depends on
/// the mean of the gains at f and -f only, which is what makes one half enough for any filter.
inline at::Tensor real_half(const at::Tensor& gain) {
  const at::Tensor mirrored = gain.flip({0, 1}).roll({1, 1}, {0, 1});
  return gain.add(mirrored).mul_(0.5).narrow(1, 0, gain.size(1) / 2 + 1).contiguous();
}

/// Images [N,C,H,W] in patches [N,L,p*p*C], zero where `masked` [N,L] is false.
inline at::Tensor patches_of_target(const at::Tensor& images, int64_t patch_size, bool norm_pix,
                                    const at::Tensor& masked) {
  const int64_t rows = images.size(2) / patch_size;
  const int64_t columns = images.size(3) / patch_size;
  at::Tensor patches =
      images.view({images.size(0), images.size(1), rows, patch_size, columns, patch_size})
          .permute({0, 2, 4, 3, 5, 1})
          .reshape({images.size(0), rows * columns, -1});
  if (norm_pix) {
    const at::Tensor values =
        patches.scalar_type() == at::kDouble ? patches : patches.to(at::kFloat);
    // One value has no unbiased variance (0 / 0): it is its own mean.
    const auto [variance, mean] =
        at::var_mean(values, /*dim=*/{2}, /*unbiased=*/values.size(2) > 1, /*keepdim=*/true);
    patches = values.sub(mean).div_(variance.add(1e-6).sqrt_()).to(patches.scalar_type());
  }
  if (masked.defined()) patches = patches.masked_fill(masked.logical_not().unsqueeze(2), 0);
  return patches;
}

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
