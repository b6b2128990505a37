// SPDX-License-Identifier: Apache-2.0
// The tables of the basis engine for one size and filter.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "pixmim/detail/aligned_array.hpp"
#include "pixmim/detail/low_freq/basis/folded_axis.hpp"
#include "pixmim/detail/low_freq/basis/matrices.hpp"
#include "pixmim/detail/low_freq/spectral_gain.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {

/// A few rows of coefficients of one sequence, and how many indices they need of each family in x:
/// a circle needs fewer in its outer rows.
struct CoefficientBlock {
  int64_t first_row;
  int64_t rows;
  /// The first row of the same waves with cosines and sines swapped.
  int64_t swapped_row;
  std::array<int64_t, most_families> needed;
};

/// One channel is filtered as
///
///     coefficients = analysis_y (rows folded), analysis_x (columns folded)
///     result       = gains, synthesis_x (columns unfolded), synthesis_y (rows unfolded)
///
/// where each step is a product of each folded sequence with its basis.
template <typename Scalar>
struct BasisPlan {
  // A gain so small beside the largest is below what rounding does to the others.
  static constexpr double negligible = std::numeric_limits<Scalar>::epsilon() / 16;

  BasisPlan(const SpectralGain& gain, const KernelShape& kernel_shape)
      : BasisPlan(gain, kernel_shape, gain.reach(negligible)) {}

  KernelShape shape;
  FoldedAxis y;
  FoldedAxis x;
  /// From one folded sequence of a row to the next.
  int64_t sequence_stride;
  /// From one row to the next between the two axes: y's waves, x's samples.
  int64_t row_stride;
  /// cos t, sin t at y's and x's first samples: the turn of odd frequencies.
  AlignedArray<Scalar> cosine_y, sine_y, cosine_x, sine_x;

  // By sequence.
  std::array<PackedMatrix<Scalar>, most_sequences> analysis_y;   // indices x positions
  std::array<PaddedMatrix<Scalar>, most_sequences> analysis_x;   // positions x indices
  std::array<PaddedMatrix<Scalar>, most_sequences> synthesis_x;  // indices x positions
  std::array<PackedMatrix<Scalar>, most_sequences> synthesis_y;  // positions x indices

  // Coefficients: the rows are y's indices and the columns x's, sequence by sequence; those in x are
  // filled up to whole registers.
  std::array<int64_t, most_sequences> row_start = {};
  std::array<int64_t, most_sequences> column_start = {};
  int64_t rows = 0;
  int64_t columns = 0;
  std::vector<CoefficientBlock> blocks;

  int64_t sequences_y() const { return static_cast<int64_t>(y.sequences.size()); }
  int64_t sequences_x() const { return static_cast<int64_t>(x.sequences.size()); }

  /// Steps of products until the filtered rows are there, and from there to the image.
  int64_t analysis_steps(int64_t slab_columns) const {
    int64_t steps = 0;
    for (const PackedMatrix<Scalar>& basis : analysis_y) steps += basis.blocks.count;
    const int64_t parts = has_imaginary_part() ? 2 : 1;
    return steps * ((x.size + slab_columns - 1) / slab_columns) +
           (1 + parts) * sequences_x() * static_cast<int64_t>(blocks.size());
  }
  int64_t synthesis_steps(int64_t slab_columns) const {
    int64_t steps = 0;
    for (const PackedMatrix<Scalar>& basis : synthesis_y) steps += basis.blocks.count;
    return steps * ((x.size + slab_columns - 1) / slab_columns) * (has_imaginary_part() ? 2 : 1);
  }

  // Gains by coefficient, see WaveGains. Most filters are even in y and in x and need the first
  // only; the others are empty then.
  AlignedArray<Scalar> same;
  AlignedArray<Scalar> both_swapped;
  AlignedArray<Scalar> rows_swapped;
  AlignedArray<Scalar> columns_swapped;
  /// Of frequency 0.
  double mean_gain;

  bool is_crossed() const { return both_swapped.size() != 0; }
  bool has_imaginary_part() const { return rows_swapped.size() != 0; }

 private:
  BasisPlan(const SpectralGain& gain, const KernelShape& kernel_shape,
            const std::pair<int64_t, int64_t>& reach)
      : shape(kernel_shape),
        y(gain.height(), reach.first),
        x(gain.width(), reach.second),
        sequence_stride(round_up(x.positions, shape.lanes)),
        row_stride(stride_of(gain.width(), shape.lanes)),
        mean_gain(gain.at(0, 0)) {
    make_bases();
    make_gains(gain);
  }

  /// Rows a power of two apart share few places of a cache.
  static int64_t stride_of(int64_t size, int64_t lanes) {
    const int64_t stride = round_up(size, lanes);
    const auto line = static_cast<int64_t>(cache_line_bytes / sizeof(Scalar));
    return stride % (16 * line) == 0 ? stride + std::max(line, lanes) : stride;
  }

  void make_bases() {
    const BasisFunctions wave_y(y.size);
    const BasisFunctions wave_x(x.size);
    for (std::size_t s = 0; s < y.sequences.size(); ++s) {
      const FoldedSequence& sequence = y.sequences[s];
      const auto wave = [&](int64_t index, int64_t position) {
        return wave_y(sequence.sine, sequence.first + sequence.step * index, position);
      };
      analysis_y[s] = {sequence.count, y.positions, shape, [&](int64_t row, int64_t column) {
                         return y.weight(column) * wave(row, column);
                       }};
      synthesis_y[s] = {y.positions, sequence.count, shape,
                        [&](int64_t row, int64_t column) { return wave(column, row); }};
      row_start[s] = rows;
      rows += sequence.count;
    }
    for (std::size_t s = 0; s < x.sequences.size(); ++s) {
      const FoldedSequence& sequence = x.sequences[s];
      const auto wave = [&](int64_t index, int64_t position) {
        return wave_x(sequence.sine, sequence.first + sequence.step * index, position);
      };
      analysis_x[s] = {x.positions, sequence.count, shape.lanes, [&](int64_t row, int64_t column) {
                         return x.weight(row) * wave(column, row);
                       }};
      // To the end of a register: a fold along x may read positions past the last.
      synthesis_x[s] = {sequence.count, sequence_stride, shape.lanes, wave};
      column_start[s] = columns;
      columns += round_up(sequence.count, shape.lanes);
    }
    make_turns(wave_y, round_up(y.positions, shape.lanes), &cosine_y, &sine_y);
    make_turns(wave_x, sequence_stride, &cosine_x, &sine_x);
  }

  static void make_turns(const BasisFunctions& wave, int64_t count, AlignedArray<Scalar>* cosine,
                         AlignedArray<Scalar>* sine) {
    *cosine = AlignedArray<Scalar>(count);
    *sine = AlignedArray<Scalar>(count);
    for (int64_t position = 0; position < count; ++position) {
      (*cosine)[position] = static_cast<Scalar>(wave(false, 1, position));
      (*sine)[position] = static_cast<Scalar>(wave(true, 1, position));
    }
  }

  /// Of a wave and its mirror images together, over the number of samples.
  static double norm(int64_t frequency, int64_t size) {
    return (frequency == 0 || 2 * frequency == size ? 1.0 : 2.0) / static_cast<double>(size);
  }

  void make_gains(const SpectralGain& gain) {
    const std::array<AlignedArray<Scalar>*, 4> tables = {&same, &both_swapped, &rows_swapped,
                                                         &columns_swapped};
    for (AlignedArray<Scalar>* table : tables) *table = AlignedArray<Scalar>(rows * columns);
    std::array<bool, 4> used = {};

    // needed[family in y][index][family in x]
    std::array<std::vector<std::array<int64_t, most_families>>, most_families> needed;
    for (std::size_t sy = 0; sy < y.sequences.size(); ++sy) {
      const FoldedSequence& in_y = y.sequences[sy];
      auto& needed_in_y = needed[in_y.family];
      needed_in_y.resize(static_cast<std::size_t>(in_y.count));
      for (int64_t i = 0; i < in_y.count; ++i) {
        const int64_t ky = y.frequency(in_y, i);
        for (std::size_t sx = 0; ky >= 0 && sx < x.sequences.size(); ++sx) {
          const FoldedSequence& in_x = x.sequences[sx];
          int64_t& needed_here = needed_in_y[static_cast<std::size_t>(i)][in_x.family];
          for (int64_t j = 0; j < in_x.count; ++j) {
            const int64_t kx = x.frequency(in_x, j);
            if (kx < 0) continue;
            const WaveGains waves = gain.waves(ky, kx);
            if (waves.largest() <= negligible * gain.largest()) continue;
            needed_here = std::max(needed_here, j + 1);
            const WaveGains here = waves.of(in_y.wave_sine, in_x.wave_sine);
            const double values[] = {here.same, here.both_swapped, here.rows_swapped,
                                     here.columns_swapped};
            const int64_t place = (row_start[sy] + i) * columns + column_start[sx] + j;
            for (std::size_t table = 0; table < tables.size(); ++table) {
              const double value = values[table] * norm(ky, y.size) * norm(kx, x.size);
              (*tables[table])[place] = static_cast<Scalar>(value);
              used[table] = used[table] || value != 0;
            }
          }
        }
      }
    }
    const bool imaginary = used[2] || used[3];
    if (!imaginary) {
      rows_swapped = AlignedArray<Scalar>();
      columns_swapped = AlignedArray<Scalar>();
    }
    if (!imaginary && !used[1]) both_swapped = AlignedArray<Scalar>();
    for (std::size_t sy = 0; sy < y.sequences.size(); ++sy) {
      add_blocks(sy, needed[y.sequences[sy].family]);
    }
  }

  void add_blocks(std::size_t sequence,
                  const std::vector<std::array<int64_t, most_families>>& needed) {
    const RowBlocks row_blocks(y.sequences[sequence].count, shape.rows);
    int64_t first = 0;
    for (int64_t block = 0; block < row_blocks.count; ++block) {
      CoefficientBlock added = {row_start[sequence] + first,
                                row_blocks.rows(block),
                                row_start[sequence ^ 1U] + first,
                                {}};
      for (int64_t i = first; i < first + added.rows; ++i) {
        for (std::size_t family = 0; family < most_families; ++family) {
          added.needed[family] =
              std::max(added.needed[family], needed[static_cast<std::size_t>(i)][family]);
        }
      }
      first += added.rows;
      blocks.push_back(added);
    }
  }
};

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
