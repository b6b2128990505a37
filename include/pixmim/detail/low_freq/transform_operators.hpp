// SPDX-License-Identifier: Apache-2.0
// The plain formula of the target, by LibTorch's real transforms.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/complex.h>
#include <ATen/ops/fft_irfft2.h>
#include <ATen/ops/fft_rfft2.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <cstddef>

#include "pixmim/detail/low_freq/filtered_parts.hpp"
#include "pixmim/detail/low_freq/half_gains.hpp"
#include "pixmim/detail/low_freq/spectral_gain.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {

/// irfft2(gain * rfft2(images)), once for the real part and, where there is one, once for the
/// imaginary part. The published code multiplies the shifted spectrum and does not shift back, which
/// turns the inverse by a phase only: the magnitude is the same.
class TransformOperators {
 public:
  static constexpr const char* name = "transforms";

  TransformOperators(const SpectralGain& gain, c10::ScalarType dtype, c10::Device device) {
    const at::Tensor table = gain.to_tensor();
    real_ = real_half(table).to(dtype).to(device);
    if (!gain.takes_magnitude()) return;
    const at::Tensor odd = imaginary_half(table).to(dtype);
    // -i times the odd half: its inverse is the imaginary part.
    if (odd.any().item<bool>()) {
      imaginary_ = at::complex(at::zeros_like(odd), odd.neg()).to(device);
    }
  }

  /// `images` [N,C,H,W] in the tables' dtype; `constant` [C,1,1] is added to the real part.
  FilteredParts operator()(const at::Tensor& images, const at::Tensor& constant) const {
    const auto size = images.sizes().slice(static_cast<std::size_t>(images.dim() - 2));
    const at::Tensor spectrum = at::fft_rfft2(images);
    FilteredParts parts;
    if (imaginary_.defined()) parts.imaginary = at::fft_irfft2(spectrum.mul(imaginary_), size);
    spectrum.mul_(real_);
    if (constant.defined()) {
      spectrum.narrow(-2, 0, 1).narrow(-1, 0, 1).add_(constant, size[0] * size[1]);
    }
    parts.real = at::fft_irfft2(spectrum, size);
    return parts;
  }

  template <typename Visit>
  void each_table(const Visit& visit) const {
    for (const at::Tensor& table : {real_, imaginary_}) visit(table);
  }

 private:
  at::Tensor real_;
  at::Tensor imaginary_;
};

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
