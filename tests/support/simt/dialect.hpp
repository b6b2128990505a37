// SPDX-License-Identifier: Apache-2.0
// The names of detail/cuda/kernels/dialect.cuh, for kernels that run on the CPU in a Grid.
#pragma once

#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>

#include <array>
#include <bitset>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>

#include "support/simt/grid.hpp"
#include "support/simt/pointer.hpp"
#include "support/simt/tensor_cores.hpp"

#define PIXMIM_KERNEL(threads) inline void
#define PIXMIM_DEVICE inline
#define PIXMIM_UNROLLED
#define PIXMIM_UNROLLED_TWICE
#define PIXMIM_ROLLED

namespace pixmim {
namespace kernels {

using uint8 = unsigned char;
using uint16 = unsigned short;
using int32 = int;
using uint32 = unsigned;
using int64 = long long;
using uint64 = unsigned long long;

template <class T>
using Global = simt::Pointer<T, simt::Space::Global>;
template <class T>
using Shared = simt::Pointer<T, simt::Space::Shared>;

template <class To, class From, simt::Space space>
simt::Pointer<To, space> reinterpret(const simt::Pointer<From, space>& pointer) {
  static_assert(std::is_const_v<To> || !std::is_const_v<From>, "this would drop a const");
  return {pointer.range(), pointer.address()};
}

/// One of the tensors that the launch may reach by addresses.
template <class T>
Global<T> global_memory(int64 address) {
  static_assert(std::is_const_v<T>, "what is reached by an address is only read");
  const auto place = static_cast<std::uintptr_t>(address);
  return {simt::Grid::current().reached(place), place};
}

inline int32 thread_index() {
  return simt::Grid::current().thread();
}
inline int32 threads_a_block() {
  return simt::Grid::current().threads();
}
inline int64 block_index() {
  return simt::Grid::current().block();
}
inline int64 block_count() {
  return simt::Grid::current().blocks();
}

template <class T>
Shared<T> shared_memory(int32 offset, int32 count) {
  const simt::Range range =
      simt::Grid::current().shared_memory(offset, int64_t{count} * int64_t{sizeof(T)});
  return {range, range.first};
}

// Each meeting point knows where the kernel calls it.
inline void synchronize_block(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  simt::Grid::current().meet_block({file, line});
}
inline void synchronize_warp(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  simt::Grid::current().meet_warp(
      "synchronize_warp", {file, line}, nullptr, [](void* const*) {}, /*orders_memory=*/true);
}

namespace in_warp {

/// A lane's part of a shuffle.
template <class T>
struct Shuffle {
  T value;
  int32 lane;
  T result;
};

/// Shuffles order no accesses to memory (CUDA C++ Programming Guide, warp shuffle functions).
template <class T>
T shuffle_from(const char* name, T value, int32 lane, const char* file, int line) {
  static_assert(std::is_arithmetic_v<T> && (sizeof(T) == 4 || sizeof(T) == 8));
  if (lane < 0 || lane >= simt::lanes_a_warp) {
    simt::Grid::current().fail(std::string(name) + " from lane " + std::to_string(lane));
  }
  Shuffle<T> shuffle{value, lane, value};
  simt::Grid::current().meet_warp(
      name, {file, line}, &shuffle,
      [](void* const* operands) {
        for (int32 i = 0; i < simt::lanes_a_warp; ++i) {
          auto& own = *static_cast<Shuffle<T>*>(operands[i]);
          own.result = static_cast<const Shuffle<T>*>(operands[own.lane])->value;
        }
      },
      /*orders_memory=*/false);
  return shuffle.result;
}

inline int32 own_lane() {
  return thread_index() % simt::lanes_a_warp;
}

}  // namespace in_warp

template <class T>
T shuffle(T value, int32 lane, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  return in_warp::shuffle_from("shuffle", value, lane, file, line);
}
template <class T>
T shuffle_xor(T value, int32 mask, const char* file = __builtin_FILE(),
              int line = __builtin_LINE()) {
  return in_warp::shuffle_from("shuffle_xor", value, in_warp::own_lane() ^ mask, file, line);
}
template <class T>
T shuffle_up(T value, int32 distance, const char* file = __builtin_FILE(),
             int line = __builtin_LINE()) {
  const int32 lane = in_warp::own_lane();
  return in_warp::shuffle_from("shuffle_up", value, lane < distance ? lane : lane - distance, file,
                               line);
}
inline uint32 ballot(bool condition, const char* file = __builtin_FILE(),
                     int line = __builtin_LINE()) {
  struct Vote {
    bool condition;
    uint32 result;
  };
  Vote vote{condition, 0};
  simt::Grid::current().meet_warp(
      "ballot", {file, line}, &vote,
      [](void* const* operands) {
        uint32 result = 0;
        for (int32 i = 0; i < simt::lanes_a_warp; ++i) {
          if (static_cast<const Vote*>(operands[i])->condition) result |= uint32{1} << i;
        }
        for (int32 i = 0; i < simt::lanes_a_warp; ++i) {
          static_cast<Vote*>(operands[i])->result = result;
        }
      },
      /*orders_memory=*/false);
  return vote.result;
}

inline int32 count_bits(uint32 word) {
  return static_cast<int32>(std::bitset<32>(word).count());
}
inline uint32 multiply_high(uint32 a, uint32 b) {
  return static_cast<uint32>(static_cast<uint64>(a) * b >> 32);
}

// Compiled with -ffp-contract=off: these round as they say.
inline float multiply(float a, float b) {
  return a * b;
}
inline double multiply(double a, double b) {
  return a * b;
}
inline float add(float a, float b) {
  return a + b;
}
inline float multiply_add(float a, float b, float c) {
  return std::fma(a, b, c);
}
inline float divide(float a, float b) {
  return a / b;
}
inline float square_root(float a) {
  return std::sqrt(a);
}
inline double square_root(double a) {
  return std::sqrt(a);
}
inline float absolute(float a) {
  return std::fabs(a);
}
inline double absolute(double a) {
  return std::fabs(a);
}
inline float larger(float a, float b) {
  return std::fmax(a, b);
}
inline uint32 float_bits(float a) {
  return c10::detail::fp32_to_bits(a);
}
inline float float_of_bits(uint32 bits) {
  return c10::detail::fp32_from_bits(bits);
}

struct float16 {
  uint16 bits;
};
struct bfloat16 {
  uint16 bits;
};
inline float to_float(float value) {
  return value;
}
inline float to_float(uint8 value) {
  return static_cast<float>(value);
}
inline float to_float(float16 value) {
  return c10::detail::fp16_ieee_to_fp32_value(value.bits);
}
inline float to_float(bfloat16 value) {
  return c10::detail::f32_from_bits(value.bits);
}
template <class T>
T round_to(float value);
template <>
inline float round_to<float>(float value) {
  return value;
}
template <>
inline float16 round_to<float16>(float value) {
  return {c10::detail::fp16_ieee_from_fp32_value(value)};
}
template <>
inline bfloat16 round_to<bfloat16>(float value) {
  return {c10::detail::round_to_nearest_even(value)};
}
inline uint32 pack(float16 low, float16 high) {
  return static_cast<uint32>(low.bits) | static_cast<uint32>(high.bits) << 16;
}

struct alignas(16) Vector16 {
  uint32 words[4];
};

inline void multiply_accumulate(float (&c)[4], const uint32 (&a)[4], const uint32 (&b)[2],
                                const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  simt::MatrixProduct product{{a[0], a[1], a[2], a[3]}, {b[0], b[1]}, {c[0], c[1], c[2], c[3]}};
  simt::Grid::current().meet_warp("multiply_accumulate", {file, line}, &product,
                                  simt::multiply_accumulate, /*orders_memory=*/false);
  for (std::size_t i = 0; i < 4; ++i) c[i] = product.c[i];
}

namespace in_warp {

inline void load_matrices_by(const char* name, simt::WarpOperation operation, uint32 (&matrices)[4],
                             const Shared<const float16>& row, const char* file, int line) {
  struct alignas(16) Row {
    std::array<uint16_t, 8> numbers;
  };
  simt::MatrixLoad load{(*reinterpret<const Row>(row)).numbers, {}};
  simt::Grid::current().meet_warp(name, {file, line}, &load, operation, /*orders_memory=*/false);
  for (std::size_t i = 0; i < 4; ++i) matrices[i] = load.matrices[i];
}

}  // namespace in_warp

inline void load_matrices(uint32 (&matrices)[4], Shared<const float16> row,
                          const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  in_warp::load_matrices_by("load_matrices", simt::load_matrices, matrices, row, file, line);
}
inline void load_matrices_transposed(uint32 (&matrices)[4], Shared<const float16> row,
                                     const char* file = __builtin_FILE(),
                                     int line = __builtin_LINE()) {
  in_warp::load_matrices_by("load_matrices_transposed", simt::load_matrices_transposed, matrices,
                            row, file, line);
}

}  // namespace kernels
}  // namespace pixmim
