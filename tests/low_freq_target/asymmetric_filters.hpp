// SPDX-License-Identifier: Apache-2.0
// Filters of every symmetry: what engines must not take for granted.
#pragma once

#include <cmath>

/// Even under no change of sign.
struct Lopsided {
  double gain(double fy, double fx) const { return 0.5 + 0.05 * fy - 0.03 * fx; }
};
/// The same with an imaginary part.
struct LopsidedMagnitude : Lopsided {
  static constexpr bool takes_magnitude = true;
};
/// Even in y and in x alone, and neither in both.
struct EvenInX {
  static constexpr bool takes_magnitude = true;
  double gain(double fy, double fx) const { return 0.7 + 0.1 * fy + 0.02 * fx * fx; }
};
/// Even under f -> -f only.
struct Tilted {
  double gain(double fy, double fx) const { return std::exp(-0.02 * std::pow(fy + 2 * fx, 2)); }
};
