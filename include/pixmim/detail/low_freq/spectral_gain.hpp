// SPDX-License-Identifier: Apache-2.0
// A table of gains as the engines see it: what it does to waves, and how far it reaches.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <c10/core/ScalarType.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>

#include "pixmim/detail/aligned_array.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {

/// What a filter does to the four waves {cos, sin}(a y) {cos, sin}(b x) of one pair of frequencies.
/// The real part of the filtered image comes from the half of the gains that is even under f -> -f,
/// the imaginary part from the odd half. Signs are those of the result cos cos.
struct WaveGains {
  double same;             ///< of the same wave, in the real part
  double both_swapped;     ///< of the wave with cos and sin swapped in y and x, in the real part
  double rows_swapped;     ///< of the wave with cos and sin swapped in y, in the imaginary part
  double columns_swapped;  ///< of the wave with cos and sin swapped in x, in the imaginary part

  /// The gains of another wave of the result: sine or cosine in y and in x.
  WaveGains of(bool sine_y, bool sine_x) const {
    return {same, sine_y == sine_x ? both_swapped : -both_swapped,
            sine_y ? -rows_swapped : rows_swapped, sine_x ? -columns_swapped : columns_swapped};
  }
  double largest() const {
    return std::max({std::abs(same), std::abs(both_swapped), std::abs(rows_swapped),
                     std::abs(columns_swapped)});
  }
};

/// What may be left out: beside the largest gain, for results in `dtype`.
inline double negligible_gain(c10::ScalarType dtype) {
  return (dtype == at::kDouble ? std::numeric_limits<double>::epsilon()
                               : double{std::numeric_limits<float>::epsilon()}) /
         16;
}

/// The gains of a filter at every bin.
class SpectralGain {
 public:
  /// `gains` [height, width] in the order of an unshifted transform. Without `takes_magnitude` the
  /// imaginary part is thrown away.
  SpectralGain(AlignedArray<double> gains, int64_t height, int64_t width, bool takes_magnitude)
      : height_(height),
        width_(width),
        takes_magnitude_(takes_magnitude),
        gains_(std::move(gains)) {
    for (int64_t y = 0; y <= height / 2; ++y) {
      for (int64_t x = 0; x <= width / 2; ++x) {
        if (y + x > 0) largest_ = std::max(largest_, waves(y, x).largest());
      }
    }
    // The mean may be kept at any scale, and says nothing of the others.
    if (largest_ == 0) largest_ = waves(0, 0).largest();
  }

  int64_t height() const { return height_; }
  int64_t width() const { return width_; }
  bool takes_magnitude() const { return takes_magnitude_; }
  /// Of the gains of all frequencies but 0, or of that one if they are zero.
  double largest() const { return largest_; }
  double at(int64_t y, int64_t x) const { return gains_[y * width_ + x]; }

  /// float64 [height, width] on the CPU.
  at::Tensor to_tensor() const {
    at::Tensor table = at::empty({height_, width_}, at::kDouble);
    std::copy_n(gains_.data(), gains_.size(), table.mutable_data_ptr<double>());
    return table;
  }

  /// Frequencies 0 <= y <= height/2, 0 <= x <= width/2.
  WaveGains waves(int64_t y, int64_t x) const {
    const int64_t minus_y = y == 0 ? 0 : height_ - y;
    const int64_t minus_x = x == 0 ? 0 : width_ - x;
    const double even_plus = (at(y, x) + at(minus_y, minus_x)) / 2;
    const double even_minus = (at(y, minus_x) + at(minus_y, x)) / 2;
    WaveGains gains = {(even_plus + even_minus) / 2, (even_minus - even_plus) / 2, 0, 0};
    if (takes_magnitude_) {
      const double odd_plus = (at(y, x) - at(minus_y, minus_x)) / 2;
      const double odd_minus = (at(y, minus_x) - at(minus_y, x)) / 2;
      gains.rows_swapped = -(odd_plus + odd_minus) / 2;
      gains.columns_swapped = -(odd_plus - odd_minus) / 2;
    }
    return gains;
  }

  /// The highest frequencies in y and x whose gain is not negligible beside the largest.
  std::pair<int64_t, int64_t> reach(double negligible) const {
    std::pair<int64_t, int64_t> highest = {0, 0};
    for (int64_t y = 0; y <= height_ / 2; ++y) {
      for (int64_t x = 0; x <= width_ / 2; ++x) {
        if (waves(y, x).largest() <= negligible * largest_) continue;
        highest = {std::max(highest.first, y), std::max(highest.second, x)};
      }
    }
    return highest;
  }

 private:
  int64_t height_;
  int64_t width_;
  bool takes_magnitude_;
  AlignedArray<double> gains_;
  double largest_ = 0;
};

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
