// SPDX-License-Identifier: Apache-2.0
#include "support/simt/tensor_cores.hpp"

#include <c10/util/Half.h>

#include <algorithm>
#include <cmath>

#include "support/simt/grid.hpp"

namespace simt {
namespace {

/// Products that are added in one step, on an A100.
constexpr int products_a_step = 8;

float half_in(uint32_t pair, int i) {
  return c10::detail::fp16_ieee_to_fp32_value(static_cast<uint16_t>(pair >> (16 * i)));
}

/// `value` toward zero to the 24 bits of a float.
float truncate(double value) {
  const auto nearest = static_cast<float>(value);
  return std::fabs(static_cast<double>(nearest)) > std::fabs(value) ? std::nextafter(nearest, 0.0F)
                                                                    : nearest;
}

}  // namespace

// As Fasi, Higham, Mikaitis and Pranesh measured tensor cores ("Numerical behavior of NVIDIA tensor
// cores", PeerJ Computer Science 7:e330, 2021): products are exact; those of a step and the accumulator
// are cut at one place, set by the largest of them, with few bits beyond a float's; their sum is cut
// to a float. Ootomo and Yokota (arXiv 2203.03341) found the same rounding toward zero.
float tensor_core_sum(float c, const float* a, const float* b, int count) {
  constexpr int extra_bits = 2;
  for (int first = 0; first < count; first += products_a_step) {
    double terms[products_a_step + 1];
    const int end = std::min(first + products_a_step, count);
    int size = 0;
    double largest = 0;
    for (int k = first; k < end; ++k) {
      terms[size++] = static_cast<double>(a[k]) * static_cast<double>(b[k]);
    }
    terms[size++] = static_cast<double>(c);
    bool finite = true;
    for (int i = 0; i < size; ++i) {
      largest = std::max(largest, std::fabs(terms[i]));
      finite = finite && std::isfinite(terms[i]);
    }
    double sum = 0;
    if (finite && largest > 0) {
      // The last bit of the largest term as a float, and `extra_bits` below.
      const int last_bit = std::ilogb(largest) - 23 - extra_bits;
      const double unit = std::ldexp(1.0, last_bit);
      const double scale = std::ldexp(1.0, -last_bit);
      int64_t units = 0;
      for (int i = 0; i < size; ++i) units += static_cast<int64_t>(terms[i] * scale);
      sum = static_cast<double>(units) * unit;
    } else {
      for (int i = 0; i < size; ++i) sum += terms[i];
    }
    c = finite ? truncate(sum) : static_cast<float>(sum);
  }
  return c;
}

void multiply_accumulate(void* const* operands) {
  float a[16][16];  // [row][k]
  float b[8][16];   // [column][k]
  for (int lane = 0; lane < lanes_a_warp; ++lane) {
    const auto& product = *static_cast<const MatrixProduct*>(operands[lane]);
    const int group = lane / 4;
    const int pair = lane % 4 * 2;
    for (int i = 0; i < 2; ++i) {
      a[group][pair + i] = half_in(product.a[0], i);
      a[group + 8][pair + i] = half_in(product.a[1], i);
      a[group][pair + 8 + i] = half_in(product.a[2], i);
      a[group + 8][pair + 8 + i] = half_in(product.a[3], i);
      b[group][pair + i] = half_in(product.b[0], i);
      b[group][pair + 8 + i] = half_in(product.b[1], i);
    }
  }
  for (int lane = 0; lane < lanes_a_warp; ++lane) {
    auto& c = static_cast<MatrixProduct*>(operands[lane])->c;
    for (int i = 0; i < 4; ++i) {
      const int row = lane / 4 + i / 2 * 8;
      const int column = lane % 4 * 2 + i % 2;
      c[static_cast<std::size_t>(i)] =
          tensor_core_sum(c[static_cast<std::size_t>(i)], a[row], b[column], 16);
    }
  }
}

namespace {

/// Number (row, column) of matrix m is in the row that lane 8 m + row gave.
template <bool transposed>
void distribute(void* const* operands) {
  for (int lane = 0; lane < lanes_a_warp; ++lane) {
    auto& load = *static_cast<MatrixLoad*>(operands[lane]);
    for (int m = 0; m < 4; ++m) {
      uint32_t pair = 0;
      for (int i = 0; i < 2; ++i) {
        const int across = lane % 4 * 2 + i;
        const int row = transposed ? across : lane / 4;
        const int column = transposed ? lane / 4 : across;
        const auto& given = *static_cast<const MatrixLoad*>(operands[8 * m + row]);
        pair |= static_cast<uint32_t>(given.row[static_cast<std::size_t>(column)]) << (16 * i);
      }
      load.matrices[static_cast<std::size_t>(m)] = pair;
    }
  }
}

}  // namespace

void load_matrices(void* const* operands) {
  distribute<false>(operands);
}

void load_matrices_transposed(void* const* operands) {
  distribute<true>(operands);
}

}  // namespace simt
