// SPDX-License-Identifier: Apache-2.0
// How one axis of an image is folded, and the trigonometric tables for the folded samples.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace pixmim {
inline namespace v0 {
namespace detail {

// The basis of an axis of n samples is cos(k t) and sin(k t), k = 0..n/2, at the angles
// t = 2 pi (x + 1/2) / n. Shifted by half a sample like this it spans the same planes as a Fourier
// basis, and has mirror symmetries:
//
//   x -> n-1-x     every cos is even, every sin odd: sums of mirrored samples see the cosines only,
//                  differences the sines, and both are half as long.
//   x -> n/2-1-x   (n even) of these halves: even k are even or odd, odd k the opposite.
//   x -> n/4-1-x   (n/2 even) of the even k's quarters: once more. Of the odd k's: the samples are
//                  turned by t first, since
//                      cos((4i +- 1) t) = cos(4i t) cos(t) -+ sin(4i t) sin(t)
//                      sin((4i +- 1) t) = sin(4i t) cos(t) +- cos(4i t) sin(t)
//                  takes products with the waves 4i alone for two frequencies.
//
// Each fold halves the products. What folds leave are sequences of equal length; a sample that is
// its own mirror image counts twice in them, and has half the weight in the analysis.

/// Folded samples, and the waves that products take with them.
struct FoldedSequence {
  /// cos or sin of (first + step i) t, i = 0..count-1: the basis.
  bool sine;
  int64_t first;
  int64_t step;
  int64_t count;
  /// cos or sin of (wave_first + step i) t: what index i stands for in the end. Only sequences that
  /// were turned differ from their basis.
  bool wave_sine;
  int64_t wave_first;
  /// Sequences of one family have as many indices and go together.
  std::size_t family;
};

constexpr std::size_t most_families = 3;
constexpr std::size_t most_sequences = 8;

/// The frequencies 0 .. `highest` of an axis of `size` samples.
struct FoldedAxis {
  FoldedAxis(int64_t samples, int64_t highest_frequency)
      : size(samples), highest(highest_frequency) {
    // Cosines and sines of one wave are neighbours: a sequence's partner is its index ^ 1.
    if (size % 2 == 1) {
      folds = 1;
      add_waves(0, 1);
    } else if (size % 4 == 2) {
      folds = 2;
      add_waves(1, 2);
      add_waves(0, 2);
    } else {
      folds = 3;
      const int64_t count = (highest + 1) / 4 + 1;
      sequences = {{false, 0, 4, count, false, 1, families},
                   {false, 0, 4, count, true, 1, families},
                   {true, 0, 4, count, false, -1, families},
                   {true, 0, 4, count, true, -1, families}};
      ++families;
      add_waves(2, 4);
      add_waves(0, 4);
    }
    int64_t length = size;
    for (int fold = 0; fold < folds; ++fold) {
      has_middle = length % 2 == 1;
      length = (length + 1) / 2;
    }
    positions = length;
  }

  double weight(int64_t position) const {
    return has_middle && position == positions - 1 ? 0.5 : 1;
  }
  /// The frequency of index `i`, or -1 if it stands for none that is kept.
  int64_t frequency(const FoldedSequence& sequence, int64_t i) const {
    const int64_t frequency = sequence.wave_first + sequence.step * i;
    return frequency <= highest ? frequency : -1;
  }

  int64_t size;
  int64_t highest;
  int folds = 0;
  /// The length of a sequence: sets of samples that mirror each other.
  int64_t positions = 0;
  bool has_middle = false;
  std::vector<FoldedSequence> sequences;
  std::size_t families = 0;

 private:
  void add_waves(int64_t first, int64_t step) {
    const int64_t count = highest >= first ? (highest - first) / step + 1 : 0;
    for (const bool sine : {false, true}) {
      sequences.push_back({sine, first, step, count, sine, first, families});
    }
    ++families;
  }
};

/// cos and sin of pi j / size for every j: all values that the basis functions take.
class BasisFunctions {
 public:
  explicit BasisFunctions(int64_t size) : size_(size) {
    constexpr double pi = 3.14159265358979323846;
    for (int64_t j = 0; j < 2 * size; ++j) {
      const double angle = pi * static_cast<double>(j) / static_cast<double>(size);
      // Exact zeros where the angle is a multiple of a quarter turn.
      cosines_.push_back(2 * j % size == 0 && j % size != 0 ? 0 : std::cos(angle));
      sines_.push_back(j % size == 0 ? 0 : std::sin(angle));
    }
  }

  /// The cosine or sine of `frequency` at sample `position`.
  double operator()(bool sine, int64_t frequency, int64_t position) const {
    const auto turn = static_cast<std::size_t>(frequency * (2 * position + 1) % (2 * size_));
    return sine ? sines_[turn] : cosines_[turn];
  }

 private:
  int64_t size_;
  std::vector<double> cosines_;
  std::vector<double> sines_;
};

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
