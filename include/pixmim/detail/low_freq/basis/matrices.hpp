// SPDX-License-Identifier: Apache-2.0
// The two sides of the basis engine's products, in the order in which its kernels read them.
#pragma once

#include <cstdint>

#include "pixmim/detail/aligned_array.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {

/// What the kernels of an instruction set work on at once.
struct KernelShape {
  /// Numbers in a register.
  int64_t lanes;
  /// Rows and columns of a product whose sums stay in registers.
  int64_t rows;
  int64_t columns;
};

inline int64_t round_up(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

/// `rows` in even blocks of at most `most`.
struct RowBlocks {
  RowBlocks(int64_t rows, int64_t most)
      : count((rows + most - 1) / most),
        least(count == 0 ? 0 : rows / count),
        larger(count == 0 ? 0 : rows % count) {}

  int64_t rows(int64_t block) const { return block < larger ? least + 1 : least; }

  int64_t count;
  int64_t least;
  /// The first so many blocks have a row more.
  int64_t larger;
};

/// A left side, known beforehand: block of rows after block, in a block column by column.
template <typename Scalar>
struct PackedMatrix {
  PackedMatrix() = default;
  /// `value(row, column)` gives the numbers.
  template <typename Value>
  PackedMatrix(int64_t row_count, int64_t column_count, const KernelShape& shape,
               const Value& value)
      : blocks(row_count, shape.rows), columns(column_count), values(row_count * column_count) {
    int64_t first_row = 0;
    int64_t index = 0;
    for (int64_t block = 0; block < blocks.count; ++block) {
      const int64_t height = blocks.rows(block);
      for (int64_t column = 0; column < columns; ++column) {
        for (int64_t i = 0; i < height; ++i) {
          values[index++] = static_cast<Scalar>(value(first_row + i, column));
        }
      }
      first_row += height;
    }
  }

  RowBlocks blocks = {0, 1};
  int64_t columns = 0;
  AlignedArray<Scalar> values;
};

/// A right side: row by row, each filled up with zeros to whole registers of `lanes`.
template <typename Scalar>
struct PaddedMatrix {
  PaddedMatrix() = default;
  template <typename Value>
  PaddedMatrix(int64_t rows, int64_t columns, int64_t lanes, const Value& value)
      : stride(round_up(columns, lanes)), values(rows * stride) {
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t column = 0; column < columns; ++column) {
        values[row * stride + column] = static_cast<Scalar>(value(row, column));
      }
    }
  }

  int64_t stride = 0;
  AlignedArray<Scalar> values;
};

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
