// SPDX-License-Identifier: Apache-2.0
// The two formulas of the target in LibTorch's operators: plain, for every size and device.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/fft_fft2.h>
#include <ATen/ops/fft_ifft2.h>
#include <ATen/ops/fft_irfft2.h>
#include <ATen/ops/fft_rfft2.h>

#include <cstddef>

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

/// The half of `gain` [H,W] that a real transform needs. The real part of the inverse depends on
/// the mean of the gains at f and -f only, which is what makes one half enough for any filter.
inline at::Tensor real_half(const at::Tensor& gain) {
  const at::Tensor mirrored = gain.flip({0, 1}).roll({1, 1}, {0, 1});
  return gain.add(mirrored).mul_(0.5).narrow(1, 0, gain.size(1) / 2 + 1).contiguous();
}

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
