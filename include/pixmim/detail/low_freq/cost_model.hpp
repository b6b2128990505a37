// SPDX-License-Identifier: Apache-2.0
// Which engine is faster for a size and filter.
#pragma once

#include <cmath>
#include <cstdint>

#include "pixmim/detail/low_freq/basis/folded_axis.hpp"
#include "pixmim/detail/low_freq/basis/matrices.hpp"
#include "pixmim/detail/low_freq/spectral_gain.hpp"
#include "pixmim/detail/simd/instruction_set.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {

/// Estimated nanoseconds a channel; only their ratio matters. The constants are measured by
/// benchmarks/low_freq_target_bench (docs/performance.md has the worst decision).
struct EngineCosts {
  double basis;
  double fft;
};

inline int64_t largest_prime_factor(int64_t number) {
  int64_t largest = 1;
  for (int64_t factor = 2; number > 1; ++factor) {
    if (factor * factor > number) factor = number;
    while (number % factor == 0) {
      largest = factor;
      number /= factor;
    }
  }
  return largest;
}

/// `highest_y` and `highest_x` are the highest frequencies that the filter keeps.
inline EngineCosts engine_costs(int64_t height, int64_t width, int64_t highest_y, int64_t highest_x,
                                bool magnitude, const KernelShape& shape) {
  const FoldedAxis y(height, highest_y);
  const FoldedAxis x(width, highest_x);
  int64_t rows = 0;
  for (const FoldedSequence& sequence : y.sequences) rows += sequence.count;
  int64_t analysis = 0;
  int64_t synthesis = 0;
  for (const FoldedSequence& sequence : x.sequences) {
    analysis += x.positions * (round_up(sequence.count, shape.lanes) / shape.lanes);
    synthesis += sequence.count * (round_up(x.positions, shape.lanes) / shape.lanes);
  }
  const auto along_y =
      static_cast<double>(rows * y.positions * (round_up(width, shape.lanes) / shape.lanes));
  // A circle needs about pi / 4 of the coefficients.
  const auto along_x = static_cast<double>(rows) * 0.8;
  const double parts = magnitude ? 2 : 1;
  const double products =
      along_y * (1 + parts) +
      along_x * (static_cast<double>(analysis) + parts * static_cast<double>(synthesis));
  const auto pixels = static_cast<double>(height * width);
  const double folds = pixels * (1 + parts) / static_cast<double>(shape.lanes);
  // Two products a cycle where multiplication and addition are one instruction.
  const double product = instruction_set() == InstructionSet::Portable ? 0.4 : 0.18;
  constexpr double fold = 2;

  constexpr double butterfly = 0.2;
  // Transforms of large prime lengths go through longer ones.
  const double prime =
      largest_prime_factor(height) > 13 || largest_prime_factor(width) > 13 ? 3 : 1;
  const double transforms = magnitude ? 1.5 : 1;
  return {products * product + folds * fold,
          transforms * prime * butterfly * pixels * std::log2(pixels + 1)};
}

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
