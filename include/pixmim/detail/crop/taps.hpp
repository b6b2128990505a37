// SPDX-License-Identifier: Apache-2.0
// The weights of Pillow's 8-bit resize (src/libImaging/Resample.c), in fixed point.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "pixmim/crop_window.hpp"
#include "pixmim/detail/rounded_product.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {

/// Fraction bits of a weight: PRECISION_BITS = 32 - 8 - 2.
constexpr int weight_bits = 22;
/// A weight of 1.
constexpr int32_t whole_weight = int32_t{1} << weight_bits;

inline double kernel_support(Interpolation interpolation) {
  return interpolation == Interpolation::Bicubic ? 2.0 : 1.0;
}

inline double kernel_value(Interpolation interpolation, double x) {
  x = std::abs(x);
  if (interpolation == Interpolation::Bilinear) return x < 1 ? 1 - x : 0.0;
  constexpr double a = -0.5;
  const auto times = rounded_product;
  if (x < 1) return times(times(times(a + 2, x) - (a + 3), x), x) + 1;
  if (x < 2) return times(times(times(x - 5, x) + 8, x) - 4, a);
  return 0;
}

/// The inputs low .. high-1 that make one output of a resized axis.
struct TapRange {
  int64_t low;
  int64_t high;

  int64_t count() const { return high - low; }
};

/// What each output of an axis of `input` pixels, resized to `resized`, is made of.
class Resize {
 public:
  Resize(int64_t input, int64_t resized, Interpolation interpolation)
      : input_(input),
        copies_(input == resized),
        interpolation_(interpolation),
        scale_(static_cast<double>(input) / static_cast<double>(resized)),
        filter_scale_(std::max(scale_, 1.0)) {}

  TapRange taps(int64_t output) const {
    if (copies_) return {output, output + 1};  // Pillow skips the pass
    const double support = rounded_product(kernel_support(interpolation_), filter_scale_);
    const double middle = center(output);
    return {std::max<int64_t>(static_cast<int64_t>(middle - support + 0.5), 0),
            std::min(static_cast<int64_t>(middle + support + 0.5), input_)};
  }

  /// Calls `use(tap, weight)` for the weights of `taps(output)`. `values`: room for as many numbers.
  template <typename Use>
  void weights(int64_t output, TapRange range, std::vector<double>& values, const Use& use) const {
    if (copies_) return use(int64_t{0}, whole_weight);
    const auto count = static_cast<std::size_t>(range.count());
    if (values.size() < count) values.resize(count);
    const double middle = center(output);
    const double inverse = 1.0 / filter_scale_;
    double sum = 0;
    for (std::size_t t = 0; t < count; ++t) {
      const auto x = static_cast<double>(range.low + static_cast<int64_t>(t));
      values[t] = kernel_value(interpolation_, rounded_product(x - middle + 0.5, inverse));
      sum += values[t];
    }
    for (std::size_t t = 0; t < count; ++t) {
      const double weight = values[t] / sum * whole_weight;
      use(static_cast<int64_t>(t), static_cast<int32_t>(weight < 0 ? weight - 0.5 : weight + 0.5));
    }
  }

 private:
  double center(int64_t output) const {
    return rounded_product(static_cast<double>(output) + 0.5, scale_);
  }

  int64_t input_;
  bool copies_;
  Interpolation interpolation_;
  double scale_;
  double filter_scale_;
};

/// The weights of two neighbouring taps as 16-bit digits: weight = high * 2^15 + low, low >= 0. Processors
/// multiply pairs of 16-bit numbers and add the products in one instruction; the two sums of
/// digits make the sum of products in 32 bits exactly, as Pillow's.
struct WeightPair {
  static constexpr int digit_bits = 15;
  int16_t high[2];
  int16_t low[2];

  void set(int64_t tap, int32_t weight) {
    high[tap] = static_cast<int16_t>(weight >> digit_bits);
    low[tap] = static_cast<int16_t>(weight & ((1 << digit_bits) - 1));
  }
  int32_t weight(int64_t tap) const { return high[tap] * (1 << digit_bits) + low[tap]; }
};

/// The taps of several outputs, each with as many pairs as the one with the most: the rest weigh 0.
struct TapTable {
  int64_t pairs = 0;
  /// The first input of each output, and how many it has.
  std::vector<int64_t> low;
  std::vector<int64_t> count;
  /// pairs of each output
  std::vector<WeightPair> weights;
  /// The inputs that are read: begin .. end-1.
  int64_t begin = 0;
  int64_t end = 0;

  TapRange range(int64_t output) const {
    const auto k = static_cast<std::size_t>(output);
    return {low[k], low[k] + count[k]};
  }
  const WeightPair* weights_of(int64_t output) const {
    return weights.data() + static_cast<std::size_t>(output * pairs);
  }

  /// The taps of the outputs `position(0)` .. `position(outputs - 1)`. Reuses its memory; `values`
  /// too.
  template <typename Position>
  void fill(const Resize& resize, int64_t outputs, std::vector<double>& values,
            const Position& position) {
    low.resize(static_cast<std::size_t>(outputs));
    count.resize(static_cast<std::size_t>(outputs));
    int64_t most = 0;
    begin = INT64_MAX;
    end = 0;
    for (int64_t k = 0; k < outputs; ++k) {
      const TapRange taps = resize.taps(position(k));
      low[static_cast<std::size_t>(k)] = taps.low;
      count[static_cast<std::size_t>(k)] = taps.count();
      most = std::max(most, taps.count());
      begin = std::min(begin, taps.low);
      end = std::max(end, taps.high);
    }
    pairs = (most + 1) / 2;
    weights.assign(static_cast<std::size_t>(outputs * pairs), WeightPair{});
    for (int64_t k = 0; k < outputs; ++k) {
      WeightPair* const output = weights.data() + static_cast<std::size_t>(k * pairs);
      resize.weights(position(k), range(k), values,
                     [&](int64_t tap, int32_t weight) { output[tap / 2].set(tap % 2, weight); });
    }
  }
};

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
