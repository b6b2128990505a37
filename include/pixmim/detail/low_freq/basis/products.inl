// SPDX-License-Identifier: Apache-2.0
// Matrix products whose sums stay in registers (a part of kernels.inl).

namespace pixmim {
inline namespace v0 {
namespace detail {
namespace PIXMIM_SIMD {

/// Two registers across, and as many rows that the sums, a row of the right side and a factor fit
/// into the register file.
constexpr int64_t registers_a_block = 2;
template <typename Scalar>
constexpr KernelShape block_shape = {Vector<Scalar>::lanes,
                                     Vector<Scalar>::registers == 32 ? 12 : 6,
                                     registers_a_block* Vector<Scalar>::lanes};

/// result[rows][registers] = left[rows][depth] right[depth][registers]. A packed left side has its
/// columns one after another, another one its rows, `left_stride` apart.
template <typename Scalar, int rows, int registers, bool packed>
PIXMIM_TARGET inline void multiply_block(const Scalar* PIXMIM_RESTRICT left, int64_t left_stride,
                                         const Scalar* PIXMIM_RESTRICT right, int64_t right_stride,
                                         Scalar* PIXMIM_RESTRICT result, int64_t result_stride,
                                         int64_t depth) {
  using V = Vector<Scalar>;
  V sums[rows][registers];
  PIXMIM_UNROLL
  for (int i = 0; i < rows; ++i) {
    PIXMIM_UNROLL
    for (int j = 0; j < registers; ++j) sums[i][j] = V::zero();
  }
  for (int64_t n = 0; n < depth; ++n) {
    V values[registers];
    PIXMIM_UNROLL
    for (int j = 0; j < registers; ++j) values[j] = V::load(right + j * V::lanes);
    PIXMIM_UNROLL
    for (int i = 0; i < rows; ++i) {
      const V factor = V::broadcast(packed ? left[i] : left[i * left_stride]);
      PIXMIM_UNROLL
      for (int j = 0; j < registers; ++j) {
        sums[i][j] = multiply_add(factor, values[j], sums[i][j]);
      }
    }
    left += packed ? rows : 1;
    right += right_stride;
  }
  PIXMIM_UNROLL
  for (int i = 0; i < rows; ++i) {
    PIXMIM_UNROLL
    for (int j = 0; j < registers; ++j) {
      sums[i][j].store(result + i * result_stride + j * V::lanes);
    }
  }
}

/// The same for any number of registers across.
template <typename Scalar, int rows, bool packed>
PIXMIM_TARGET inline void multiply_rows(const Scalar* left, int64_t left_stride,
                                        const Scalar* right, int64_t right_stride, Scalar* result,
                                        int64_t result_stride, int64_t depth, int64_t registers) {
  static_assert(registers_a_block == 2);
  constexpr int64_t lanes = Vector<Scalar>::lanes;
  for (; registers >= 2; registers -= 2) {
    multiply_block<Scalar, rows, 2, packed>(left, left_stride, right, right_stride, result,
                                            result_stride, depth);
    right += 2 * lanes;
    result += 2 * lanes;
  }
  if (registers == 1) {
    multiply_block<Scalar, rows, 1, packed>(left, left_stride, right, right_stride, result,
                                            result_stride, depth);
  }
}

/// The same for 1 .. `most` rows.
template <typename Scalar, bool packed, int most = static_cast<int>(block_shape<Scalar>.rows)>
PIXMIM_TARGET inline void multiply(int64_t rows, const Scalar* left, int64_t left_stride,
                                   const Scalar* right, int64_t right_stride, Scalar* result,
                                   int64_t result_stride, int64_t depth, int64_t registers) {
  if constexpr (most > 0) {
    if (rows == most) {
      multiply_rows<Scalar, most, packed>(left, left_stride, right, right_stride, result,
                                          result_stride, depth, registers);
    } else {
      multiply<Scalar, packed, most - 1>(rows, left, left_stride, right, right_stride, result,
                                         result_stride, depth, registers);
    }
  }
}

/// The same for a whole packed matrix. `traffic` goes on by a step at each block.
template <typename Scalar>
PIXMIM_TARGET inline void multiply(const PackedMatrix<Scalar>& left, const Scalar* right,
                                   int64_t right_stride, Scalar* result, int64_t result_stride,
                                   int64_t registers, Traffic& traffic) {
  const Scalar* values = left.values.data();
  for (int64_t block = 0; block < left.blocks.count; ++block) {
    const int64_t rows = left.blocks.rows(block);
    traffic.step();
    multiply<Scalar, true>(rows, values, 0, right, right_stride, result, result_stride,
                           left.columns, registers);
    values += rows * left.columns;
    result += rows * result_stride;
  }
}

}  // namespace PIXMIM_SIMD
}  // namespace detail
}  // namespace v0
}  // namespace pixmim
