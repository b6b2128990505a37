// SPDX-License-Identifier: Apache-2.0
// Kernels that do nothing wrong are not accused, whatever the order, and their results do not depend on it.
#include <ATen/ATen.h>
#include <pixmim/detail/cuda/kernels/dialect.cuh>

#include "simt/launch.hpp"
#include "support/catch.hpp"

namespace pixmim {
namespace kernels {
namespace {

/// The sum of each row, by a tree in shared memory, then by shuffles.
PIXMIM_KERNEL(256) sum_rows(Global<const int32> from, int32 width, Global<int32> to) {
  const Shared<int32> sums = shared_memory<int32>(0, threads_a_block());
  int32 sum = 0;
  for (int32 i = thread_index(); i < width; i += threads_a_block()) {
    sum += from[block_index() * width + i];
  }
  sums[thread_index()] = sum;
  synchronize_block();
  for (int32 half = threads_a_block() / 2; half >= 32; half /= 2) {
    if (thread_index() < half) sums[thread_index()] += sums[thread_index() + half];
    synchronize_block();
  }
  if (thread_index() >= 32) return;
  int32 total = sums[thread_index()];
  for (int32 mask = 16; mask > 0; mask /= 2) total += shuffle_xor(total, mask);
  if (thread_index() == 0) to[block_index()] = total;
}

/// Each warp reverses its numbers in its part of shared memory, again and again.
PIXMIM_KERNEL(128) reverse_in_warps(Global<int32> numbers, int32 times) {
  const Shared<int32> all = shared_memory<int32>(0, threads_a_block());
  const int32 lane = thread_index() % 32;
  const Shared<int32> own = all + (thread_index() - lane);
  own[lane] = numbers[thread_index()];
  for (int32 i = 0; i < times; ++i) {
    synchronize_warp();
    const int32 taken = own[31 - lane];
    synchronize_warp();
    own[lane] = taken;
  }
  numbers[thread_index()] = own[lane];
}

/// Bytes side by side, written by all threads and read by all after the barrier; then written by one.
PIXMIM_KERNEL(64) share_bytes(Global<unsigned char> to) {
  const Shared<unsigned char> bytes = shared_memory<unsigned char>(0, 64);
  bytes[thread_index()] = static_cast<unsigned char>(thread_index());
  synchronize_block();
  int32 sum = 0;
  for (int32 i = 0; i < 64; ++i) sum += bytes[i];
  synchronize_block();
  if (thread_index() == 63) bytes[0] = static_cast<unsigned char>(sum);
  synchronize_block();
  to[block_index() * 64 + thread_index()] = bytes[0];
}

PIXMIM_KERNEL(64) order_of_threads(Global<int32> order) {
  // A race that the test wants: who comes last?
  order[0] = thread_index();
}

PIXMIM_KERNEL(64) meetings(Global<int32> to) {
  const int32 lane = thread_index() % 32;
  const int32 above = shuffle_up(thread_index(), 3);
  const double mirrored = shuffle(static_cast<double>(lane), 31 - lane);
  const uint32 odd = ballot(lane % 2 == 1);
  to[thread_index() * 3] = above;
  to[thread_index() * 3 + 1] = static_cast<int32>(mirrored);
  to[thread_index() * 3 + 2] = static_cast<int32>(odd);
}

}  // namespace
}  // namespace kernels
}  // namespace pixmim

using simt_test::Argument;
using simt_test::run;

TEST_CASE("clean kernels are not accused under any seed", "[simt]") {
  simt::Executor executor;
  PIXMIM_ADD_KERNEL(executor, sum_rows);
  PIXMIM_ADD_KERNEL(executor, reverse_in_warps);
  PIXMIM_ADD_KERNEL(executor, share_bytes);
  const auto numbers = at::randint(1000, {5, 300}, at::kInt);
  const auto sums = at::empty({5}, at::kInt);
  const auto row = at::arange(128, at::kInt);
  const auto reversed = row.view({4, 32}).flip(1).flatten();
  const auto bytes = at::empty({3 * 64}, at::kByte);
  for (uint64_t seed = 0; seed < 50; ++seed) {
    executor.use_seed(seed);
    run(executor, {"sum_rows", 5, 256, 1024},
        {Argument::reads(numbers), Argument::value(int32_t{300}), Argument::writes(sums)});
    CHECK(at::equal(sums, numbers.sum(1).to(at::kInt)));
    for (const int32_t times : {2, 3}) {
      const auto moved = row.clone();
      run(executor, {"reverse_in_warps", 1, 128, 512},
          {Argument::updates(moved), Argument::value(times)});
      CHECK(at::equal(moved, times % 2 == 0 ? row : reversed));
    }
    run(executor, {"share_bytes", 3, 64, 64}, {Argument::writes(bytes)});
    CHECK(bytes.eq(63 * 64 / 2 % 256).all().item<bool>());
  }
}

TEST_CASE("lanes give each other what the hardware gives", "[simt]") {
  simt::Executor executor;
  PIXMIM_ADD_KERNEL(executor, meetings);
  const auto result = at::empty({64, 3}, at::kInt);
  run(executor, {"meetings", 1, 64}, {Argument::writes(result)});
  for (int64_t thread = 0; thread < 64; ++thread) {
    const int64_t lane = thread % 32;
    CHECK(result[thread][0].item<int64_t>() == (lane < 3 ? thread : thread - 3));
    CHECK(result[thread][1].item<int64_t>() == 31 - lane);
    CHECK(static_cast<uint32_t>(result[thread][2].item<int32_t>()) == 0xaaaaaaaaU);
  }
}

TEST_CASE("each seed has an order of its own, and each launch", "[simt]") {
  // The thread that is accused of a race is one of the first two that ran.
  const auto first_fault = [](simt::Executor& executor) {
    return simt_test::fault_of(executor, {"order_of_threads", 1, 64},
                               {Argument::writes(at::empty({1}, at::kInt))});
  };
  std::vector<std::string> faults;
  for (uint64_t seed = 0; seed < 10; ++seed) {
    simt::Executor executor(seed);
    PIXMIM_ADD_KERNEL(executor, order_of_threads);
    faults.push_back(first_fault(executor));
    simt::Executor again(seed);
    PIXMIM_ADD_KERNEL(again, order_of_threads);
    CHECK(first_fault(again) == faults.back());
    CHECK(first_fault(again) != faults.back());
  }
  std::sort(faults.begin(), faults.end());
  CHECK(std::unique(faults.begin(), faults.end()) == faults.end());
}
