// SPDX-License-Identifier: Apache-2.0
// The target by the plain formula in float64: what fast engines are compared with.
#pragma once

#include <ATen/ATen.h>
#include <pixmim/low_freq_target.hpp>

#include <vector>

namespace support {

/// |or Re of| inverse(gain x transform(images)), un-normalised before and normalised after if the
/// filter takes the magnitude; `images` normalised, float64.
template <typename Filter>
at::Tensor slow_target(const at::Tensor& images, const Filter& filter,
                       const std::vector<double>& mean = {},
                       const std::vector<double>& deviation = {}) {
  const at::Tensor gain =
      pixmim::detail::gain_table(filter, images.size(-2), images.size(-1)).to_tensor();
  const auto filtered = [&](const at::Tensor& pixels) {
    return at::fft_ifft2(at::fft_fft2(pixels.to(at::kDouble)) * gain);
  };
  if (!pixmim::detail::takes_magnitude<Filter>::value) return at::real(filtered(images));
  if (mean.empty()) return filtered(images).abs();
  const auto shaped = [](const std::vector<double>& values) {
    return at::tensor(values, at::kDouble).view({-1, 1, 1});
  };
  const at::Tensor pixels = images.to(at::kDouble) * shaped(deviation) + shaped(mean);
  return (filtered(pixels).abs() - shaped(mean)) / shaped(deviation);
}

}  // namespace support
