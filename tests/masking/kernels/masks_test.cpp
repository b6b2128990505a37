// SPDX-License-Identifier: Apache-2.0
// The CUDA engine of masks, its kernels run by the executor, against the CPU's.
#include <ATen/ATen.h>
#include <pixmim/detail/masking/cuda_masks.hpp>
#ifdef PIXMIM_HAS_CUDA
#include <pixmim/detail/masking/cuda_generator.hpp>
#endif
#include <pixmim/masking.hpp>

#include <limits>

#include "masking/kernels/kernels.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/golden.hpp"

namespace cuda = pixmim::detail::cuda;
using pixmim::TokenMask;
using pixmim::detail::BlockPlan;
using pixmim::detail::BlockWalk;
using pixmim::detail::SquarePlan;
using pixmim::detail::TokenPlan;

namespace {

simt::Executor executor_of(uint64_t seed) {
  simt::Executor executor(seed);
  add_mask_kernels(executor);
  return executor;
}

void expect_same(const TokenMask& ours, const TokenMask& theirs) {
  CHECK(ours.mask.scalar_type() == at::kFloat);
  CHECK(ours.ids_keep.scalar_type() == at::kLong);
  CHECK(at::equal(ours.mask, theirs.mask));
  CHECK(at::equal(ours.ids_keep, theirs.ids_keep));
  CHECK(at::equal(ours.ids_restore, theirs.ids_restore));
}

template <typename Plan>
void expect_masks(simt::Executor& executor, const at::Tensor& noise, const Plan& plan) {
  expect_same(cuda::masks_from_noise(executor, noise, plan),
              pixmim::detail::masks_from_noise_on_cpu(noise, plan));
}

/// What Philox gives sample n, as the CPU counts it: [N,units], exact in float64.
at::Tensor drawn_noise(uint64_t seed, uint32_t epoch, int64_t samples, int64_t units) {
  at::Tensor noise = at::empty({samples, units}, at::kDouble);
  auto words = pixmim::detail::room_for_words(units);
  for (int64_t n = 0; n < samples; ++n) {
    const auto stream = pixmim::detail::mask_stream(seed, static_cast<uint64_t>(n), epoch);
    pixmim::detail::philox_words(stream, units, words.data());
    for (int64_t i = 0; i < units; ++i) {
      noise[n][i] = static_cast<double>(words[static_cast<std::size_t>(i)]);
    }
  }
  return noise;
}

/// Where a generator stands that would give `mask_stream` of an epoch.
cuda::PhiloxState state_of(uint64_t seed, uint32_t epoch) {
  const auto stream = pixmim::detail::mask_stream(seed, 0, epoch);
  cuda::PhiloxState state;
  state.seed = seed;
  state.offset = 4 * (static_cast<uint64_t>(epoch) << 32 | stream.first_block);
  return state;
}

int64_t percent(const support::Golden& golden, int64_t count) {
  const double ratio = static_cast<double>(golden.integer("ratio_percent")) / 100.0;
  return static_cast<int64_t>(static_cast<double>(count) * (1 - ratio));
}

}  // namespace

TEST_CASE("each mask kernel that the engine may launch is tested here", "[masking][kernels]") {
  auto executor = executor_of(0);
  for (const auto& kernel : cuda::token_mask_kernels()) executor.prepare(kernel);
  CHECK(executor.prepared().size() == 12);
}

TEST_CASE("noise gives the masks of the official code", "[masking][kernels]") {
  auto executor = executor_of(1);
  for (const auto& path : support::golden_files("masking_mae_")) {
    const support::Golden golden(path);
    const auto& noise = golden["noise"];
    const auto mask = cuda::masks_from_noise(
        executor, noise, TokenPlan{noise.size(1), percent(golden, noise.size(1))});
    expect_same(mask, {golden["mask"], golden["ids_keep"], golden["ids_restore"]});
  }
  for (const auto& path : support::golden_files("masking_lsmae_")) {
    const support::Golden golden(path);
    const int64_t grid_h = golden.integer("grid", 0);
    const int64_t grid_w = golden.integer("grid", 1);
    const BlockPlan plan{grid_h, grid_w, golden.integer("block"), BlockWalk::ColumnByColumn,
                         percent(golden, grid_h * grid_w)};
    const auto mask = cuda::masks_from_noise(executor, golden["noise"], plan);
    CHECK(at::equal(mask.mask, golden["mask"]));
    CHECK(at::equal(mask.ids_restore, golden["ids_restore"]));
  }
}

TEST_CASE("noise gives the masks of the CPU, for every count", "[masking][kernels]") {
  uint64_t seed = 0;
  for (const int64_t tokens : {1, 2, 31, 49, 64, 65, 196, 256, 257, 784}) {
    auto executor = executor_of(++seed);
    for (const int64_t kept : {int64_t{0}, tokens / 4, tokens}) {
      expect_masks(executor, at::rand({3, tokens}), TokenPlan{tokens, kept});
    }
    CHECK(executor.launches()[0].shape.threads >= 32);
  }
  auto executor = executor_of(0);
  expect_masks(executor, at::rand({0, 9}), TokenPlan{9, 4});
  CHECK(executor.launches().empty());
}

TEST_CASE("equal, infinite and missing values are ordered as on the CPU", "[masking][kernels]") {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  uint64_t seed = 100;
  for (const auto dtype : {at::kFloat, at::kHalf, at::kBFloat16}) {
    auto executor = executor_of(++seed);
    auto noise = at::randint(-3, 4, {4, 100}).to(at::kFloat);  // most are equal
    noise[1] = 0;
    noise[1].slice(0, 0, 100, 3) = -0.0F;
    noise[2].slice(0, 0, 100, 4) = nan;
    noise[2].slice(0, 1, 100, 4) = -nan;
    noise[2].slice(0, 2, 100, 8) = infinity;
    noise[2].slice(0, 6, 100, 8) = -infinity;
    noise[3].copy_(at::randn({100}));
    expect_masks(executor, noise.to(dtype), TokenPlan{100, 40});
    expect_masks(executor, at::randn({2, 100}).mul(1e-7).to(dtype), TokenPlan{100, 40});
  }
  // Any strides.
  auto executor = executor_of(seed);
  expect_masks(executor, at::rand({50, 6}).t().slice(1, 0, 50, 2), TokenPlan{25, 9});
  expect_masks(executor, at::rand({1, 33}).expand({4, 33}), TokenPlan{33, 9});
}

TEST_CASE("blocks and squares are masked as on the CPU", "[masking][kernels]") {
  uint64_t seed = 200;
  for (const auto dtype : {at::kFloat, at::kHalf, at::kBFloat16}) {
    for (const auto walk : {BlockWalk::RowByRow, BlockWalk::ColumnByColumn}) {
      // Grids that blocks cut at the border, too.
      for (const BlockPlan& plan : {BlockPlan{14, 14, 2, walk, 49}, BlockPlan{7, 13, 3, walk, 40},
                                    BlockPlan{1, 9, 4, walk, 5}, BlockPlan{9, 1, 20, walk, 5},
                                    BlockPlan{28, 27, 5, walk, 189}}) {
        auto executor = executor_of(++seed);
        expect_masks(executor, at::rand({3, plan.units()}).to(dtype), plan);
      }
    }
    for (const SquarePlan& plan :
         {SquarePlan{6, 6, 2, 22}, SquarePlan{3, 5, 3, 0}, SquarePlan{3, 5, 3, 15},
          SquarePlan{1, 1, 7, 1}, SquarePlan{14, 14, 1, 100}}) {
      auto executor = executor_of(++seed);
      expect_masks(executor, at::rand({3, plan.units()}).to(dtype), plan);
    }
  }
}

TEST_CASE("drawn masks are those of Philox's numbers", "[masking][kernels]") {
  const auto expect_drawn = [](uint64_t seed, uint32_t epoch, int64_t samples, const auto& plan) {
    auto executor = executor_of(seed + epoch);
    expect_same(cuda::drawn_masks(executor, state_of(seed, epoch), samples, plan, at::kCPU),
                pixmim::detail::masks_from_noise_on_cpu(
                    drawn_noise(seed, epoch, samples, plan.units()), plan));
  };
  constexpr uint64_t seeds[] = {0, 0x123456789abcdef0, ~uint64_t{0}};
  for (const uint64_t seed : seeds) {
    for (const uint32_t epoch : {0U, 7U}) {
      expect_drawn(seed, epoch, 5, TokenPlan{197, 49});
      expect_drawn(seed, epoch, 3, BlockPlan{7, 7, 2, BlockWalk::RowByRow, 12});
      expect_drawn(seed, epoch, 3, SquarePlan{6, 6, 2, 22});
    }
  }
  // More than the threads of a block draw at once.
  expect_drawn(1, 2, 1, TokenPlan{4101, 1000});
  CHECK(cuda::philox_increment(1) == 4);
  CHECK(cuda::philox_increment(196) == 196);
  CHECK(cuda::philox_increment(197) == 200);
}

TEST_CASE("a captured graph reads its generator's state when it runs", "[masking][kernels]") {
  auto executor = executor_of(5);
  const TokenPlan plan{49, 12};
  cuda::PhiloxState expected;
  expected.seed = 99;
  expected.offset = 1000 + 48;
  cuda::PhiloxState captured;
  captured.seed = 1;
  captured.offset = 48;
  captured.seed_memory = at::full({1}, 99, at::kLong);
  captured.offset_memory = at::full({1}, 1000, at::kLong);
  const auto mask = cuda::drawn_masks(executor, captured, 4, plan, at::kCPU);
  expect_same(mask, cuda::drawn_masks(executor, expected, 4, plan, at::kCPU));
  captured.offset_memory.fill_(1052);
  CHECK_FALSE(at::equal(cuda::drawn_masks(executor, captured, 4, plan, at::kCPU).mask, mask.mask));
}

#ifdef PIXMIM_HAS_CUDA
TEST_CASE("a generator's state is read as LibTorch's kernels read it", "[masking][kernels]") {
  const auto plain = cuda::philox_state(at::PhiloxCudaState(7, 40), at::kCPU);
  CHECK(plain.seed == 7);
  CHECK(plain.offset == 40);
  CHECK_FALSE(plain.seed_memory.defined());
  int64_t seed = 7;
  int64_t offset = 32;
  const auto captured = cuda::philox_state(at::PhiloxCudaState(&seed, &offset, 8), at::kCPU);
  auto executor = executor_of(6);
  const TokenPlan plan{20, 5};
  expect_same(cuda::drawn_masks(executor, captured, 3, plan, at::kCPU),
              cuda::drawn_masks(executor, plain, 3, plan, at::kCPU));
}
#endif

TEST_CASE("masks depend on no order of threads", "[masking][kernels]") {
  auto executor = executor_of(0);
  const auto noise = at::rand({2, 300});
  const auto mask = cuda::masks_from_noise(executor, noise, TokenPlan{300, 75});
  for (uint64_t seed = 1; seed < 20; ++seed) {
    executor.use_seed(seed);
    expect_same(cuda::masks_from_noise(executor, noise, TokenPlan{300, 75}), mask);
  }
}

TEST_CASE("as many tokens are sorted as shared memory holds", "[masking][kernels]") {
  auto executor = executor_of(0);
  executor.allow_shared_bytes(163 * 1024);
  CHECK(cuda::masks_fit(executor, TokenPlan{16384, 1}));
  CHECK_FALSE(cuda::masks_fit(executor, TokenPlan{16385, 1}));
  expect_masks(executor, at::rand({1, 16384}), TokenPlan{16384, 4096});
  CHECK(executor.launches()[0].shape.threads == 1024);
  executor.allow_shared_bytes(99 * 1024);
  CHECK(cuda::masks_fit(executor, TokenPlan{8192, 1}));
  CHECK_FALSE(cuda::masks_fit(executor, TokenPlan{8193, 1}));
  expect_masks(executor, at::rand({1, 8192}), TokenPlan{8192, 2048});
  CHECK(cuda::noise_fits(at::kHalf));
  CHECK_FALSE(cuda::noise_fits(at::kDouble));
}
