// SPDX-License-Identifier: Apache-2.0
// What kernels are written in. nvcc and NVRTC read it as CUDA; without them PIXMIM_DIALECT names a header
// with the same names that runs kernels on the CPU and checks every access.
//
// NVRTC finds no header of the standard library, so kernels include nothing but files of this folder.
#pragma once

#ifndef __CUDACC__
#include PIXMIM_DIALECT
#else

#define PIXMIM_KERNEL(threads) __global__ void __launch_bounds__(threads)
#define PIXMIM_DEVICE __device__ __forceinline__
#define PIXMIM_UNROLLED _Pragma("unroll")
#define PIXMIM_UNROLLED_TWICE _Pragma("unroll 2")
#define PIXMIM_ROLLED _Pragma("unroll 1")

namespace pixmim {
namespace kernels {

using uint8 = unsigned char;
using uint16 = unsigned short;
using int32 = int;
using uint32 = unsigned;
using int64 = long long;
using uint64 = unsigned long long;

/// Memory of a tensor, and of a block. Pointers with bounds where kernels are tested.
template <class T>
using Global = T*;
template <class T>
using Shared = T*;

/// `pointer` to elements of another type; it must be aligned for them.
template <class To, class From>
PIXMIM_DEVICE To* reinterpret(From* pointer) {
  return reinterpret_cast<To*>(pointer);
}

/// Memory of a tensor whose address stands in a table.
template <class T>
PIXMIM_DEVICE Global<T> global_memory(int64 address) {
  return reinterpret_cast<T*>(address);
}

// Places. Blocks and threads stand in a row.
PIXMIM_DEVICE int32 thread_index() {
  return static_cast<int32>(threadIdx.x);
}
PIXMIM_DEVICE int32 threads_a_block() {
  return static_cast<int32>(blockDim.x);
}
PIXMIM_DEVICE int64 block_index() {
  return static_cast<int64>(blockIdx.x);
}
PIXMIM_DEVICE int64 block_count() {
  return static_cast<int64>(gridDim.x);
}

/// `count` elements of the block's dynamic shared memory, from `offset` bytes on (a multiple of 16).
template <class T>
PIXMIM_DEVICE Shared<T> shared_memory(int32 offset, int32 /*count*/) {
  extern __shared__ __align__(16) unsigned char pixmim_shared_memory[];
  return reinterpret_cast<T*>(pixmim_shared_memory + offset);
}

// Meeting points. All threads of the block, or of the warp, take part.
PIXMIM_DEVICE void synchronize_block() {
  __syncthreads();
}
PIXMIM_DEVICE void synchronize_warp() {
  __syncwarp();
}
template <class T>
PIXMIM_DEVICE T shuffle(T value, int32 lane) {
  return __shfl_sync(0xffffffffu, value, lane);
}
template <class T>
PIXMIM_DEVICE T shuffle_xor(T value, int32 mask) {
  return __shfl_xor_sync(0xffffffffu, value, mask);
}
/// From the lane `distance` below; the lowest lanes keep their own.
template <class T>
PIXMIM_DEVICE T shuffle_up(T value, int32 distance) {
  return __shfl_up_sync(0xffffffffu, value, static_cast<unsigned>(distance));
}
PIXMIM_DEVICE uint32 ballot(bool condition) {
  return __ballot_sync(0xffffffffu, condition);
}

// Bits.
PIXMIM_DEVICE int32 count_bits(uint32 word) {
  return __popc(word);
}
PIXMIM_DEVICE uint32 multiply_high(uint32 a, uint32 b) {
  return __umulhi(a, b);
}

// Numbers. None of these is contracted, split or approximated; neither are operators, if nvcc is told
// -fmad=false as NVRTC is.
PIXMIM_DEVICE float multiply(float a, float b) {
  return __fmul_rn(a, b);
}
PIXMIM_DEVICE double multiply(double a, double b) {
  return __dmul_rn(a, b);
}
PIXMIM_DEVICE float add(float a, float b) {
  return __fadd_rn(a, b);
}
PIXMIM_DEVICE float multiply_add(float a, float b, float c) {
  return __fmaf_rn(a, b, c);
}
PIXMIM_DEVICE float divide(float a, float b) {
  return __fdiv_rn(a, b);
}
PIXMIM_DEVICE float square_root(float a) {
  return __fsqrt_rn(a);
}
PIXMIM_DEVICE double square_root(double a) {
  return __dsqrt_rn(a);
}
PIXMIM_DEVICE float absolute(float a) {
  return fabsf(a);
}
PIXMIM_DEVICE double absolute(double a) {
  return fabs(a);
}
/// The larger one, or the one that is a number.
PIXMIM_DEVICE float larger(float a, float b) {
  return fmaxf(a, b);
}
PIXMIM_DEVICE uint32 float_bits(float a) {
  return __float_as_uint(a);
}
PIXMIM_DEVICE float float_of_bits(uint32 bits) {
  return __uint_as_float(bits);
}

/// 16-bit numbers as tensors store them.
struct float16 {
  uint16 bits;
};
struct bfloat16 {
  uint16 bits;
};
PIXMIM_DEVICE float to_float(float value) {
  return value;
}
PIXMIM_DEVICE float to_float(uint8 value) {
  return static_cast<float>(value);
}
PIXMIM_DEVICE float to_float(float16 value) {
  float result;
  asm("cvt.f32.f16 %0, %1;" : "=f"(result) : "h"(value.bits));
  return result;
}
PIXMIM_DEVICE float to_float(bfloat16 value) {
  return __uint_as_float(static_cast<unsigned>(value.bits) << 16);
}
/// To the nearest, ties to even.
template <class T>
PIXMIM_DEVICE T round_to(float value);
template <>
PIXMIM_DEVICE float round_to<float>(float value) {
  return value;
}
template <>
PIXMIM_DEVICE float16 round_to<float16>(float value) {
  float16 result;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(result.bits) : "f"(value));
  return result;
}
template <>
PIXMIM_DEVICE bfloat16 round_to<bfloat16>(float value) {
  bfloat16 result;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(result.bits) : "f"(value));
  return result;
}
/// Two half-precision numbers in a register, the first in the low bits.
PIXMIM_DEVICE uint32 pack(float16 low, float16 high) {
  return static_cast<uint32>(low.bits) | static_cast<uint32>(high.bits) << 16;
}

/// 16 bytes that are read and written at once.
struct alignas(16) Vector16 {
  uint32 words[4];
};

// Tensor cores: m16n8k16, half precision, sums in single precision. `lane` holds of A (row, column of
// registers 0..3, two neighbours a register) rows lane/4 (+8 for 1 and 3) and columns 2*(lane%4) (+8 for
// 2 and 3); of B rows 2*(lane%4) (+8 for 1) of column lane/4; of C rows lane/4 (+8 for 2 and 3), columns
// 2*(lane%4) and the next (PTX ISA, mma.m16n8k16).
PIXMIM_DEVICE void multiply_accumulate(float (&c)[4], const uint32 (&a)[4], const uint32 (&b)[2]) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
      "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
/// Four matrices of 8x8 numbers: lane l gives row l%8 of matrix l/8 (16 bytes, aligned), and gets of each
/// matrix the numbers 2*(l%4) and the next of row l/4.
PIXMIM_DEVICE void load_matrices(uint32 (&matrices)[4], Shared<const float16> row) {
  const auto address = static_cast<unsigned>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(matrices[0]), "=r"(matrices[1]), "=r"(matrices[2]), "=r"(matrices[3])
               : "r"(address)
               : "memory");
}
/// The same, of each matrix transposed.
PIXMIM_DEVICE void load_matrices_transposed(uint32 (&matrices)[4], Shared<const float16> row) {
  const auto address = static_cast<unsigned>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(matrices[0]), "=r"(matrices[1]), "=r"(matrices[2]), "=r"(matrices[3])
               : "r"(address)
               : "memory");
}

}  // namespace kernels
}  // namespace pixmim

#endif
