// SPDX-License-Identifier: Apache-2.0
// What a warp's matrix instructions do with the registers of its lanes.
#pragma once

#include <array>
#include <cstdint>

namespace simt {

/// Registers of a lane: mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32.
struct MatrixProduct {
  std::array<uint32_t, 4> a;
  std::array<uint32_t, 2> b;
  std::array<float, 4> c;
};
/// `operands`: a MatrixProduct of each lane. C += A B.
void multiply_accumulate(void* const* operands);

/// ldmatrix.sync.aligned.m8n8.x4.shared.b16: `row`, the 8 numbers that the lane gave; `matrices`, what it
/// gets.
struct MatrixLoad {
  std::array<uint16_t, 8> row;
  std::array<uint32_t, 4> matrices;
};
void load_matrices(void* const* operands);
void load_matrices_transposed(void* const* operands);

/// c + the products of a and b as tensor cores add them.
float tensor_core_sum(float c, const float* a, const float* b, int count);

}  // namespace simt
