// SPDX-License-Identifier: Apache-2.0
// Sizes of a low-pass block and its places in shared memory, for the kernel and for the host.
#pragma once

#ifdef __CUDACC__
#define PIXMIM_ANYWHERE __host__ __device__
#else
#define PIXMIM_ANYWHERE
#endif

namespace pixmim {
namespace kernels {

/// `waves` is a multiple of 16, more than the highest frequency; sides are multiples of 32.
struct LowPassShape {
  int warps;
  int threads;
  /// Of matrices of half-precision numbers. Rows are an odd number of 16 bytes: eight of them in a column
  /// are spread over all banks.
  int stride_y;
  int stride_x;
  int row_stride;
  /// Numbers to the low parts.
  int basis_y_numbers;
  int basis_x_numbers;
  int row_numbers;
  int coefficient_numbers;
  /// Of single-precision coefficients.
  int raw_stride;

  int basis_y_bytes;
  int basis_x_bytes;
  int row_bytes;
  int coefficient_bytes;
  int raw_bytes;
  int second_bytes;

  /// basis_y, basis_x (the same if the sides are equal); rows; over these, once they are read, the real
  /// part's coefficients, and then raw coefficients, which give way to those of the imaginary part.
  int basis_x_offset;
  int work_offset;
  int second_offset;
  int largest_offset;
  int shared_bytes;

  PIXMIM_ANYWHERE constexpr LowPassShape(int height, int width, int waves, bool exact,
                                         bool magnitude)
      : warps(height / 32),
        threads(height),
        stride_y(basis_stride(height)),
        stride_x(basis_stride(width)),
        row_stride(2 * waves + 8),
        basis_y_numbers(2 * waves * stride_y),
        basis_x_numbers(2 * waves * stride_x),
        row_numbers(height * row_stride),
        coefficient_numbers(2 * waves * row_stride),
        raw_stride(2 * waves + 2),
        basis_y_bytes(part_bytes(exact) * basis_y_numbers),
        basis_x_bytes(height == width ? 0 : part_bytes(exact) * basis_x_numbers),
        row_bytes(part_bytes(exact) * row_numbers),
        coefficient_bytes(part_bytes(exact) * coefficient_numbers),
        raw_bytes(magnitude ? 4 * 2 * waves * raw_stride : 0),
        second_bytes(magnitude ? larger(raw_bytes, coefficient_bytes) : 0),
        basis_x_offset(basis_y_bytes),
        work_offset(basis_y_bytes + basis_x_bytes),
        second_offset(work_offset + coefficient_bytes),
        largest_offset(work_offset + larger(row_bytes, coefficient_bytes + second_bytes)),
        shared_bytes(largest_offset + (warps + 3) / 4 * 16) {}

 private:
  PIXMIM_ANYWHERE static constexpr int part_bytes(bool exact) { return exact ? 4 : 2; }
  PIXMIM_ANYWHERE static constexpr int larger(int a, int b) { return a > b ? a : b; }
  /// Of half an axis: a multiple of 16 numbers, and 8.
  PIXMIM_ANYWHERE static constexpr int basis_stride(int size) { return size / 2 + 8; }
};

}  // namespace kernels
}  // namespace pixmim
