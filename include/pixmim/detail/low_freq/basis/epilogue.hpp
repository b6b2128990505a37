// SPDX-License-Identifier: Apache-2.0
// What happens to a filtered channel on its way out.
#pragma once

#include <cstdint>

namespace pixmim {
inline namespace v0 {
namespace detail {

/// Bytes are read as byte - uint8_centre: sums of small numbers round less.
constexpr double uint8_centre = 128;

/// real * scale + shift, or the magnitude of that and imaginary * scale, plus magnitude_shift.
/// Filters are linear but for the magnitude: what they do to the constant part of the pixels, and to
/// mean and deviation, is left to these three numbers.
struct Epilogue {
  double scale = 1;
  double shift = 0;
  double magnitude_shift = 0;

  /// For a channel of `mean` and `deviation`, or of pixels 0..1 (mean 0, deviation 1). `mean_gain` is
  /// the filter's at frequency 0.
  static Epilogue of(bool bytes, bool takes_magnitude, double mean, double deviation,
                     double mean_gain) {
    // The filter gets `value`; a pixel is value * unit + zero, normalised (pixel - mean) / deviation.
    const double unit = bytes ? 1.0 / 255 : deviation;
    const double zero = bytes ? uint8_centre / 255 : mean;
    if (takes_magnitude) {
      return {unit / deviation, mean_gain * zero / deviation, -mean / deviation};
    }
    if (!bytes) return {};
    return {unit / deviation, mean_gain * (zero - mean) / deviation, 0};
  }
};

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
