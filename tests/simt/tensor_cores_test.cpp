// SPDX-License-Identifier: Apache-2.0
// Fragments of matrices lie as the hardware lays them, and numbers round as it rounds them.
#include <ATen/ATen.h>
#include <pixmim/detail/cuda/kernels/dialect.cuh>

#include <cmath>
#include <cstring>
#include <limits>

#include "simt/launch.hpp"
#include "support/catch.hpp"

namespace pixmim {
namespace kernels {
namespace {

/// c [16,8] = a [16,16] b [16,8] + c, with fragments from load_matrices. `b_transposed`: b is [8,16].
template <bool b_transposed>
PIXMIM_KERNEL(32)
multiply_matrices(Global<const float16> a, Global<const float16> b, Global<float> c) {
  const int32 lane = thread_index();
  const Shared<float16> shared_a = shared_memory<float16>(0, 16 * 16);
  const Shared<float16> shared_b = shared_memory<float16>(512, 2 * 16 * 8);
  for (int32 i = lane; i < 256; i += 32) shared_a[i] = a[i];
  // Twice: load_matrices takes four matrices, b has two.
  for (int32 i = lane; i < 256; i += 32) shared_b[i] = b[i % 128];
  synchronize_warp();
  uint32 a_parts[4];
  load_matrices(a_parts, shared_a + lane % 16 * 16 + lane / 16 * 8);
  uint32 b_parts[4];
  if (b_transposed) {
    load_matrices(b_parts, shared_b + lane % 8 * 16 + lane / 8 % 2 * 8);
  } else {
    load_matrices_transposed(b_parts, shared_b + lane * 8);
  }
  const uint32 b_registers[2] = {b_parts[0], b_parts[1]};
  float sums[4];
  for (int32 i = 0; i < 4; ++i) sums[i] = c[(lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2];
  multiply_accumulate(sums, a_parts, b_registers);
  for (int32 i = 0; i < 4; ++i) c[(lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2] = sums[i];
}

}  // namespace
}  // namespace kernels
}  // namespace pixmim

using pixmim::kernels::bfloat16;
using pixmim::kernels::float16;
using simt_test::Argument;
using simt_test::run;

namespace {

double nearest(double value, int bits, int smallest_exponent) {
  const int exponent = std::max(std::ilogb(value), smallest_exponent) - bits + 1;
  return std::ldexp(std::nearbyint(std::ldexp(value, -exponent)), exponent);
}

float bits_as_float(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

}  // namespace

TEST_CASE("products of matrices are those of the matrices", "[simt]") {
  simt::Executor executor;
  PIXMIM_ADD_KERNEL(executor, multiply_matrices<false>);
  PIXMIM_ADD_KERNEL(executor, multiply_matrices<true>);
  // Small integers: no sum rounds, so each product counts where it must.
  const auto a = at::randint(-50, 50, {16, 16}).to(at::kHalf);
  const auto b = at::randint(-50, 50, {16, 8}).to(at::kHalf);
  const auto before = at::randint(-500, 500, {16, 8}).to(at::kFloat);
  const auto expected = before + at::matmul(a.to(at::kFloat), b.to(at::kFloat));
  auto c = before.clone();
  run(executor, {"multiply_matrices<false>", 1, 32, 1024},
      {Argument::reads(a), Argument::reads(b), Argument::updates(c)});
  CHECK(at::equal(c, expected));
  c = before.clone();
  run(executor, {"multiply_matrices<true>", 1, 32, 1024},
      {Argument::reads(a), Argument::reads(b.t().contiguous()), Argument::updates(c)});
  CHECK(at::equal(c, expected));
}

TEST_CASE("tensor cores cut sums toward zero", "[simt]") {
  const float small = 0x1p-12F;
  const auto sum = [](float c, std::vector<float> a, std::vector<float> b) {
    a.resize(16);
    b.resize(16);
    return simt::tensor_core_sum(c, a.data(), b.data(), 16);
  };
  CHECK(sum(1, {2}, {3}) == 7);
  // Rounding to nearest would go up.
  CHECK(sum(1, {small}, {small * 1.5F}) == 1);
  CHECK(sum(-1, {-small}, {small * 1.5F}) == -1);
  CHECK(sum(1, {small}, {small * 2}) == 1 + 0x1p-23F);
  // Bits below the accumulator's are added before they are cut, if they are not too far below.
  CHECK(sum(1, {small, small}, {small, small}) == 1 + 0x1p-23F);
  CHECK(sum(1, std::vector<float>(8, small * 0.25F), std::vector<float>(8, small * 0.25F)) == 1);
  // A product larger than the sum sets the place where all are cut.
  CHECK(sum(0, {1024, -1024, small}, {1024, 1024, small}) == 0);
  // Products of a step do not know those of the next.
  std::vector<float> late(16, 0.0F);
  late[0] = 1024;
  late[1] = -1024;
  late[8] = small;
  std::vector<float> others(16, 0.0F);
  others[0] = others[1] = 1024;
  others[8] = small;
  CHECK(sum(0, late, others) == small * small);
  CHECK(std::isnan(sum(0, {std::numeric_limits<float>::infinity()}, {0})));
  CHECK(sum(std::numeric_limits<float>::infinity(), {1}, {1}) ==
        std::numeric_limits<float>::infinity());
}

TEST_CASE("16-bit numbers convert to the nearest, ties to even", "[simt]") {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float16 half{static_cast<unsigned short>(bits)};
    const float value = pixmim::kernels::to_float(half);
    if (std::isnan(value)) continue;
    REQUIRE(pixmim::kernels::round_to<float16>(value).bits == half.bits);
    const bfloat16 brain{half.bits};
    const float brain_value = pixmim::kernels::to_float(brain);
    REQUIRE(brain_value == bits_as_float(bits << 16));
    REQUIRE(pixmim::kernels::round_to<bfloat16>(brain_value).bits == brain.bits);
  }
  // Every exponent that counts, subnormal halves included, and patterns on both sides of ties.
  for (uint32_t exponent = 80; exponent < 145; ++exponent) {
    for (uint32_t i = 0; i < 4096; ++i) {
      const uint32_t mantissa = (i * 2053 + (i % 5 == 0 ? 0x1000 : i % 3)) & 0x7fffff;
      const float value = bits_as_float(exponent << 23 | mantissa);
      const auto half = pixmim::kernels::round_to<float16>(value);
      const double expected = nearest(static_cast<double>(value), 11, -14);
      if (expected < 65536) {
        REQUIRE(static_cast<double>(pixmim::kernels::to_float(half)) == expected);
      } else {
        REQUIRE(std::isinf(pixmim::kernels::to_float(half)));
      }
      const auto brain = pixmim::kernels::round_to<bfloat16>(value);
      REQUIRE(static_cast<double>(pixmim::kernels::to_float(brain)) ==
              nearest(static_cast<double>(value), 8, -126));
    }
  }
  CHECK(pixmim::kernels::pack(float16{0x1234}, float16{0xabcd}) == 0xabcd1234U);
}
