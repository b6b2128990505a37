// SPDX-License-Identifier: Apache-2.0
// What a filter type offers, and its gain at every bin of a spectrum.
#pragma once

#include <c10/util/Exception.h>

#include <cmath>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "pixmim/detail/aligned_array.hpp"
#include "pixmim/detail/low_freq/spectral_gain.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {

template <typename Filter, typename = void>
struct has_gain : std::false_type {};
template <typename Filter>
struct has_gain<Filter, std::void_t<decltype(static_cast<double>(
                            std::declval<const Filter&>().gain(0.0, 0.0)))>> : std::true_type {};

template <typename Filter>
constexpr bool is_filter_v =
    has_gain<Filter>::value || std::is_invocable_r_v<double, const Filter&, double, double>;

template <typename Filter, typename = void>
struct centred_on_grid : std::false_type {};
template <typename Filter>
struct centred_on_grid<Filter, std::void_t<decltype(Filter::centred_on_grid)>>
    : std::bool_constant<Filter::centred_on_grid> {};

template <typename Filter, typename = void>
struct takes_magnitude : std::false_type {};
template <typename Filter>
struct takes_magnitude<Filter, std::void_t<decltype(Filter::takes_magnitude)>>
    : std::bool_constant<Filter::takes_magnitude> {};

template <typename Filter, typename = void>
struct has_radius : std::false_type {};
template <typename Filter>
struct has_radius<Filter, std::void_t<decltype(std::declval<const Filter&>().radius)>>
    : std::true_type {};

template <typename Filter, typename = void>
struct has_validate : std::false_type {};
template <typename Filter>
struct has_validate<Filter, std::void_t<decltype(std::declval<const Filter&>().validate())>>
    : std::true_type {};

/// The frequency that bin `index` of an unshifted axis of `size` bins stands for, as `Filter`
/// counts.
template <typename Filter>
double bin_frequency(int64_t index, int64_t size) {
  const int64_t signed_frequency = index < (size + 1) / 2 ? index : index - size;
  if constexpr (centred_on_grid<Filter>::value) {
    // fftshift puts DC at size / 2, the circle's centre is at (size - 1) / 2.
    const int64_t shifted_index = signed_frequency + size / 2;
    return static_cast<double>(shifted_index) - static_cast<double>(size - 1) / 2;
  } else {
    return static_cast<double>(signed_frequency);
  }
}

/// The gains of `filter` in the order of an unshifted `fft2`.
template <typename Filter>
SpectralGain gain_table(const Filter& filter, int64_t height, int64_t width) {
  AlignedArray<double> gains(height * width);
  int64_t bin = 0;
  for (int64_t y = 0; y < height; ++y) {
    const double fy = bin_frequency<Filter>(y, height);
    for (int64_t x = 0; x < width; ++x) {
      const double fx = bin_frequency<Filter>(x, width);
      double gain;
      if constexpr (has_gain<Filter>::value) {
        gain = static_cast<double>(filter.gain(fy, fx));
      } else {
        gain = static_cast<double>(filter(fy, fx));
      }
      TORCH_CHECK(std::isfinite(gain), "low_freq_target: expected a filter of finite gains, got ",
                  gain, " at the frequency (", fy, ", ", fx, ")");
      gains[bin++] = gain;
    }
  }
  return SpectralGain(std::move(gains), height, width, takes_magnitude<Filter>::value);
}

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
