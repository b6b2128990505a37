// SPDX-License-Identifier: Apache-2.0
// Which engine is faster for a size and filter.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "pixmim/detail/low_freq/basis/folded_axis.hpp"
#include "pixmim/detail/low_freq/basis/matrices.hpp"
#include "pixmim/detail/low_freq/spectral_gain.hpp"
#include "pixmim/detail/simd/instruction_set.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {

/// Estimated nanoseconds a channel in one thread. Fitted to benchmarks/engine_choice on a machine with
/// AVX-512 and MKL; docs/performance.md has the worst decisions. Other machines differ by factors that
/// both engines share.
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

/// What the basis engine does for a channel.
struct BasisWork {
  /// Indices of all sequences in y.
  double rows;
  /// Registers that are multiplied and added.
  double along_y;
  double along_x;
  /// Registers that are folded or unfolded.
  double folds;

  double flops(const KernelShape& shape) const {
    return 2 * (along_y + along_x) * static_cast<double>(shape.lanes);
  }
};

/// `highest_y` and `highest_x` are the highest frequencies that the filter keeps.
inline BasisWork basis_work(int64_t height, int64_t width, int64_t highest_y, int64_t highest_x,
                            bool magnitude, const KernelShape& shape) {
  const auto registers = [&](int64_t numbers) {
    return round_up(numbers, shape.lanes) / shape.lanes;
  };
  const FoldedAxis y(height, highest_y);
  const FoldedAxis x(width, highest_x);
  int64_t rows = 0;
  for (const FoldedSequence& sequence : y.sequences) rows += sequence.count;
  int64_t analysis = 0;
  int64_t synthesis = 0;
  for (const FoldedSequence& sequence : x.sequences) {
    analysis += x.positions * registers(sequence.count);
    synthesis += sequence.count * registers(x.positions);
  }
  const double parts = magnitude ? 2 : 1;
  // A circle needs about pi / 4 of the coefficients.
  const double along_x = 0.8 * static_cast<double>(rows) *
                         (static_cast<double>(analysis) + parts * static_cast<double>(synthesis));
  return {static_cast<double>(rows),
          static_cast<double>(rows * y.positions * registers(width)) * (1 + parts), along_x,
          static_cast<double>(height * width) * (1 + parts) / static_cast<double>(shape.lanes)};
}

template <typename Scalar>
EngineCosts engine_costs(int64_t height, int64_t width, int64_t highest_y, int64_t highest_x,
                         bool magnitude, const KernelShape& shape) {
  const BasisWork work = basis_work(height, width, highest_y, highest_x, magnitude, shape);
  const auto pixels = static_cast<double>(height * width);
  const double bytes = pixels * sizeof(Scalar);
  const double beyond_cache = std::log2(std::max(1.0, bytes / (1 << 18)));
  // SSE2 multiplies and adds in two instructions.
  const bool apart = PIXMIM_X86_DISPATCH != 0 && instruction_set() == InstructionSet::Portable;
  const double products = apart ? 2.5 : 1;
  const double basis = products * (0.155 * work.along_y + 0.24 * work.along_x) +
                       (2.1 + 1.15 * beyond_cache) * work.folds + 45 * work.rows;

  const bool smooth = std::max(largest_prime_factor(height), largest_prime_factor(width)) <= 13;
  const bool even = height % 2 == 0 && width % 2 == 0;
  const double far_beyond_cache = std::log2(std::max(1.0, bytes / (1 << 20)));
  const double butterfly = !smooth ? 0.6 : (even ? 0.18 : 0.25) + 0.04 * far_beyond_cache;
  const double transforms = magnitude ? 1.5 : 1;
  const double fft = 4000 + transforms * butterfly * pixels * std::log2(pixels + 1) *
                                static_cast<double>(sizeof(Scalar)) / sizeof(float);
  return {basis, fft};
}

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
