// SPDX-License-Identifier: Apache-2.0
// The low-pass filters of the target, and what a filter of your own must offer.
#pragma once

#include <c10/util/Exception.h>

#include <cmath>

namespace pixmim {
inline namespace v0 {

// A filter is any copyable struct with a gain at a signed frequency, in cycles per image:
//
//     struct BandStop {
//       double gain(double fy, double fx) const { return std::hypot(fy, fx) > 3 ? 1.0 : 0.0; }
//     };
//
// `double operator()(double fy, double fx) const` in its place is as good, so a lambda is a filter.
// Gains must be finite. They are asked for at the first use of an image size, in the thread that uses
// it (or in two, if two do so at once), and kept.
//
// For a side of n pixels the frequencies are -n/2 .. (n-1)/2. The filtered image is the real part
// of the inverse transform. Three members are optional:
//
//     static constexpr bool centred_on_grid = true;  // fy, fx count from the middle (n-1)/2 of the
//                                                    // fftshifted axis: half a bin off DC if n is
//                                                    even
//     static constexpr bool takes_magnitude = true;  // un-normalise, filter, take |.|, normalise
//     void validate() const;                         // throw c10::Error if a parameter is wrong

/// The filter that PixMIM was trained with: an ideal circle around the middle of the fftshifted
/// spectrum, applied to pixels in 0..1, and the magnitude of the inverse.
///
/// Units:   radius in frequency bins, >= 0; 40 is the paper's best at 224x224.
/// Source:  arXiv 2303.02416, section 4.1; mmselfsup low_freq_generator.py. Differs: nothing.
/// Example: auto target = pixmim::low_freq_target(images, pixmim::PublishedCircle{40});
struct PublishedCircle {
  double radius;

  static constexpr bool centred_on_grid = true;
  static constexpr bool takes_magnitude = true;

  double gain(double fy, double fx) const { return fy * fy + fx * fx <= radius * radius ? 1 : 0; }
  void validate() const {
    TORCH_CHECK(radius >= 0, "PublishedCircle: expected radius >= 0, got ", radius);
  }
};

/// An ideal circle around DC: keeps `fy^2 + fx^2 <= radius^2`. Linear, and a projection.
///
/// Units:   radius in cycles per image, >= 0; 0 keeps the mean alone.
/// Source:  arXiv 2303.02416, equation 2, with DC as the centre.
/// Example: auto target = pixmim::low_freq_target(images, pixmim::Circle{40});
struct Circle {
  double radius;

  double gain(double fy, double fx) const { return fy * fy + fx * fx <= radius * radius ? 1 : 0; }
  void validate() const { TORCH_CHECK(radius >= 0, "Circle: expected radius >= 0, got ", radius); }
};

/// A Gaussian around DC: `exp(-d^2 / (2 sigma^2))` at the distance d. No ringing.
///
/// Units:   sigma in cycles per image, > 0.
/// Example: auto target = pixmim::low_freq_target(images, pixmim::Gaussian{20});
struct Gaussian {
  double sigma;

  double gain(double fy, double fx) const {
    const double distance = std::hypot(fy, fx) / sigma;
    return std::exp(-distance * distance / 2);
  }
  void validate() const { TORCH_CHECK(sigma > 0, "Gaussian: expected sigma > 0, got ", sigma); }
};

/// A Butterworth filter around DC: `1 / (1 + (d / radius)^(2 order))` at the distance d.
///
/// Units:   radius in cycles per image, > 0: there the gain is one half; order > 0.
/// Example: auto target = pixmim::low_freq_target(images, pixmim::Butterworth{40, 2});
struct Butterworth {
  double radius;
  double order = 2;

  double gain(double fy, double fx) const {
    return 1 / (1 + std::pow(std::hypot(fy, fx) / radius, 2 * order));
  }
  void validate() const {
    TORCH_CHECK(radius > 0, "Butterworth: expected radius > 0, got ", radius);
    TORCH_CHECK(order > 0, "Butterworth: expected order > 0, got ", order);
  }
};

}  // namespace v0
}  // namespace pixmim
