// SPDX-License-Identifier: Apache-2.0
// Faults that were planted are found, and named.
#include <ATen/ATen.h>
#include <pixmim/detail/cuda/kernels/dialect.cuh>

#include "simt/launch.hpp"
#include "support/catch.hpp"

namespace pixmim {
namespace kernels {
namespace {

/// Every thread reads or writes one number.
PIXMIM_KERNEL(64) read_number(Global<const float> from, int64 i, Global<float> to) {
  if (block_index() == 0 && thread_index() == 0) to[0] = from[i];
}
PIXMIM_KERNEL(64) write_number(Global<float> to, int64 i) {
  if (block_index() == 0 && thread_index() == 5) to[i] = 1;
}
PIXMIM_KERNEL(64) read_shared_number(int32 i, Global<float> to) {
  const Shared<float> numbers = shared_memory<float>(0, 4);
  const Shared<float> others = shared_memory<float>(16, 4);
  if (thread_index() == 0) {
    for (int32 k = 0; k < 4; ++k) {
      numbers[k] = 1;
      others[k] = 2;
    }
    to[0] = numbers[i];
  }
}
PIXMIM_KERNEL(64) write_shared_number(int32 i) {
  if (thread_index() == 0) shared_memory<float>(16, 4)[i] = 1;
}
PIXMIM_KERNEL(64) take_shared_memory(int32 offset, int32 count) {
  shared_memory<float>(offset, count);
}
PIXMIM_KERNEL(64) read_vector(Global<const unsigned char> from, int64 i, Global<Vector16> to) {
  if (thread_index() == 0) to[0] = *reinterpret<const Vector16>(from + i);
}

/// Thread 0 writes shared memory, another reads it.
template <int32 reader, bool block_barrier, bool warp_barrier>
PIXMIM_KERNEL(64)
pass_number(Global<int32> to) {
  const Shared<int32> number = shared_memory<int32>(0, 1);
  if (thread_index() == 0) number[0] = 7;
  if (block_barrier) synchronize_block();
  if (warp_barrier) synchronize_warp();
  if (thread_index() == reader) to[0] = number[0];
}
/// Thread 0 reads shared memory that another overwrites.
template <int32 writer, bool block_barrier, bool warp_barrier>
PIXMIM_KERNEL(64)
overwrite_number(Global<int32> to) {
  const Shared<int32> number = shared_memory<int32>(0, 1);
  if (thread_index() == 0) number[0] = 7;
  synchronize_block();
  if (thread_index() == 0) to[0] = number[0];
  if (block_barrier) synchronize_block();
  if (warp_barrier) synchronize_warp();
  if (thread_index() == writer) number[0] = 8;
}
/// All warps read, then one of them writes: that it read too does not hide the others.
PIXMIM_KERNEL(64) overwrite_what_all_read(Global<int32> to) {
  const Shared<int32> number = shared_memory<int32>(0, 1);
  if (thread_index() == 0) number[0] = 7;
  synchronize_block();
  to[thread_index()] = number[0];
  synchronize_warp();
  if (thread_index() == 40) number[0] = 8;
}
/// A shuffle makes lanes meet, but orders no memory.
PIXMIM_KERNEL(32) pass_number_by_shuffle(Global<int32> to) {
  const Shared<int32> number = shared_memory<int32>(0, 1);
  if (thread_index() == 0) number[0] = 7;
  shuffle(thread_index(), 0);
  if (thread_index() == 1) to[0] = number[0];
}
PIXMIM_KERNEL(64) read_unwritten_shared(Global<int32> to) {
  const Shared<int32> numbers = shared_memory<int32>(0, 2);
  if (thread_index() == 0) {
    numbers[0] = 1;
    to[0] = numbers[1];
  }
}
/// What the previous block wrote is not there any more.
PIXMIM_KERNEL(64) read_shared_of_other_block(Global<int32> to) {
  const Shared<int32> number = shared_memory<int32>(0, 1);
  if (thread_index() != 0) return;
  if (block_index() == 0) number[0] = 1;
  if (block_index() == 1) to[0] = number[0];
}
PIXMIM_KERNEL(64) read_unwritten_output(Global<int32> to) {
  if (thread_index() == 0) to[0] = to[1] + 1;
}
/// Bytes of neighbours are no race; the same byte is.
template <int32 step>
PIXMIM_KERNEL(64)
write_bytes(Global<unsigned char> to) {
  to[(thread_index() + block_index() * threads_a_block()) / step] = 1;
}
template <bool write>
PIXMIM_KERNEL(64)
touch_across_blocks(Global<int32> numbers, Global<int32> to) {
  if (thread_index() != 0) return;
  if (block_index() == 0) numbers[0] = 1;
  if (block_index() == 1) {
    if (write) {
      numbers[0] = 2;
    } else {
      to[0] = numbers[0];
    }
  }
}

PIXMIM_KERNEL(64) end_before_barrier() {
  if (thread_index() == 3) return;
  synchronize_block();
}
PIXMIM_KERNEL(64) wait_at_two_barriers() {
  if (thread_index() < 32) {
    synchronize_block();
  } else {
    synchronize_block();
  }
}
PIXMIM_KERNEL(64) wait_in_circle() {
  if (thread_index() == 0) {
    synchronize_block();
  } else {
    synchronize_warp();
  }
}
PIXMIM_KERNEL(32) end_before_shuffle() {
  if (thread_index() == 9) return;
  shuffle(1, 0);
}
PIXMIM_KERNEL(32) meet_at_different_points() {
  if (thread_index() % 2 == 0) {
    shuffle(1, 0);
  } else {
    ballot(true);
  }
}
PIXMIM_KERNEL(48) vote() {
  ballot(true);
}
PIXMIM_KERNEL(32) shuffle_too_far() {
  shuffle(thread_index(), thread_index() + 1);
}
PIXMIM_KERNEL(32) half_a_product() {
  if (thread_index() >= 16) return;
  float c[4] = {};
  const uint32 a[4] = {};
  const uint32 b[2] = {};
  multiply_accumulate(c, a, b);
}
PIXMIM_KERNEL(32) load_matrices_at(int32 step, bool all_lanes) {
  const Shared<float16> rows = shared_memory<float16>(0, 1024);
  for (int32 i = thread_index(); i < 1024; i += 32) rows[i] = float16{0};
  synchronize_warp();
  if (!all_lanes && thread_index() == 31) return;
  uint32 matrices[4];
  load_matrices(matrices, rows + thread_index() * step);
}

PIXMIM_KERNEL(32) index_local_array(int32 i, Global<int32> to) {
  int32 numbers[4] = {1, 2, 3, 4};
  numbers[i] = 5;
  if (thread_index() == 0) to[0] = numbers[0] + numbers[3];
}
PIXMIM_KERNEL(32) multiply_integers(int32 a, int32 b, Global<int32> to) {
  if (thread_index() == 0) to[0] = a * b;
}
PIXMIM_KERNEL(32) shift_integer(int32 bits, Global<uint32> to) {
  if (thread_index() == 0) to[0] = 1u << bits;
}

}  // namespace
}  // namespace kernels
}  // namespace pixmim

using simt_test::Argument;
using simt_test::fault_of;
using simt_test::Launch;

TEST_CASE("accesses out of bounds are found in each space and direction", "[simt]") {
  simt::Executor executor;
  PIXMIM_ADD_KERNEL(executor, read_number);
  PIXMIM_ADD_KERNEL(executor, write_number);
  PIXMIM_ADD_KERNEL(executor, read_shared_number);
  PIXMIM_ADD_KERNEL(executor, write_shared_number);
  PIXMIM_ADD_KERNEL(executor, take_shared_memory);
  // The middle of a larger memory: what lies around belongs to the same allocation.
  const auto numbers = at::ones({12}).narrow(0, 4, 4);
  const auto result = at::zeros({1});
  const auto read = [&](int64_t i) {
    return fault_of(executor, {"read_number", 2, 64},
                    {Argument::reads(numbers), Argument::value(i), Argument::writes(result)});
  };
  CHECK(read(3) == "(no error)");
  CHECK(read(4) ==
        "read_number, block 0, thread 0: reads 4 bytes at byte 16 of argument 0, beyond its bytes "
        "0 .. 16");
  CHECK_THAT(read(-1), ContainsSubstring("reads 4 bytes at byte -4 of argument 0"));
  CHECK_THAT(read(int64_t{1} << 60), ContainsSubstring("beyond its bytes"));

  const auto write = [&](int64_t i) {
    return fault_of(executor, {"write_number", 2, 64},
                    {Argument::writes(numbers), Argument::value(i)});
  };
  CHECK(write(0) == "(no error)");
  CHECK(write(-1) ==
        "write_number, block 0, thread 5: writes 4 bytes at byte -4 of argument 0, beyond its "
        "bytes 0 .. 16");
  CHECK_THAT(write(4), ContainsSubstring("writes 4 bytes at byte 16 of argument 0"));

  const auto read_shared = [&](int32_t i) {
    return fault_of(executor, {"read_shared_number", 1, 64, 32},
                    {Argument::value(i), Argument::writes(result)});
  };
  CHECK(read_shared(3) == "(no error)");
  // It would be the first number of the next array.
  CHECK_THAT(read_shared(4), ContainsSubstring("reads 4 bytes at byte 16 of shared memory, beyond "
                                               "its bytes 0 .. 16"));
  CHECK_THAT(read_shared(-1), ContainsSubstring("reads 4 bytes at byte -4 of shared memory"));
  const auto write_shared = [&](int32_t i) {
    return fault_of(executor, {"write_shared_number", 1, 64, 48}, {Argument::value(i)});
  };
  CHECK(write_shared(0) == "(no error)");
  CHECK_THAT(write_shared(4), ContainsSubstring("writes 4 bytes at byte 32 of shared memory"));
  CHECK_THAT(write_shared(-1), ContainsSubstring("writes 4 bytes at byte 12 of shared memory"));

  const auto take = [&](int32_t offset, int32_t count) {
    return fault_of(executor, {"take_shared_memory", 1, 64, 64},
                    {Argument::value(offset), Argument::value(count)});
  };
  CHECK(take(0, 16) == "(no error)");
  CHECK_THAT(take(16, 13), ContainsSubstring("takes bytes 16 .. 68 of shared memory, and the "
                                             "launch gave 64"));
  CHECK_THAT(take(8, 1), ContainsSubstring("no multiple of 16"));
}

TEST_CASE("accesses that are not aligned, or go through null, are found", "[simt]") {
  simt::Executor executor;
  PIXMIM_ADD_KERNEL(executor, read_vector);
  PIXMIM_ADD_KERNEL(executor, read_number);
  const auto bytes = at::zeros({64}, at::kByte);
  const auto result = at::zeros({4});
  const auto read = [&](int64_t i) {
    return fault_of(executor, {"read_vector"},
                    {Argument::reads(bytes), Argument::value(i), Argument::writes(result)});
  };
  CHECK(read(48) == "(no error)");
  CHECK_THAT(read(8),
             ContainsSubstring("reads 16 bytes at byte 8 of argument 0, not aligned to 16"));
  CHECK_THAT(fault_of(executor, {"read_number"},
                      {Argument::reads(at::Tensor()), Argument::value(int64_t{0}),
                       Argument::writes(result)}),
             ContainsSubstring("reads through a null pointer"));
}

TEST_CASE("what nobody wrote is not read", "[simt]") {
  simt::Executor executor;
  PIXMIM_ADD_KERNEL(executor, read_unwritten_shared);
  PIXMIM_ADD_KERNEL(executor, read_shared_of_other_block);
  PIXMIM_ADD_KERNEL(executor, read_unwritten_output);
  const auto result = at::zeros({2}, at::kInt);
  CHECK_THAT(fault_of(executor, {"read_unwritten_shared", 1, 64, 8}, {Argument::writes(result)}),
             ContainsSubstring("reads byte 4 of shared memory, which nobody wrote"));
  for (uint64_t seed = 0; seed < 10; ++seed) {
    executor.use_seed(seed);
    CHECK_THAT(
        fault_of(executor, {"read_shared_of_other_block", 2, 64, 4}, {Argument::writes(result)}),
        ContainsSubstring("block 1, thread 0: reads byte 0 of shared memory, which nobody wrote"));
  }
  CHECK_THAT(fault_of(executor, {"read_unwritten_output"}, {Argument::writes(result)}),
             ContainsSubstring("reads byte 4 of argument 0, which nobody wrote"));
  CHECK(fault_of(executor, {"read_unwritten_output"}, {Argument::updates(result)}) == "(no error)");
}

TEST_CASE("races are found in any order of the threads", "[simt]") {
  simt::Executor executor;
  PIXMIM_ADD_KERNEL(executor, pass_number<1, false, false>);
  PIXMIM_ADD_KERNEL(executor, pass_number<40, false, true>);
  PIXMIM_ADD_KERNEL(executor, overwrite_number<1, false, false>);
  PIXMIM_ADD_KERNEL(executor, overwrite_number<40, false, true>);
  PIXMIM_ADD_KERNEL(executor, overwrite_what_all_read);
  PIXMIM_ADD_KERNEL(executor, pass_number_by_shuffle);
  PIXMIM_ADD_KERNEL(executor, write_bytes<2>);
  PIXMIM_ADD_KERNEL(executor, touch_across_blocks<true>);
  PIXMIM_ADD_KERNEL(executor, touch_across_blocks<false>);
  const auto result = at::zeros({64}, at::kInt);
  const auto other = at::zeros({64}, at::kInt);
  for (uint64_t seed = 0; seed < 20; ++seed) {
    executor.use_seed(seed);
    // If the reader comes first, it is accused of reading what nobody wrote.
    for (const auto* name : {"pass_number<1, false, false>", "pass_number<40, false, true>"}) {
      CHECK_THAT(fault_of(executor, {name, 1, 64, 4}, {Argument::writes(result)}),
                 ContainsSubstring("which thread 0 wrote, with no barrier between") ||
                     ContainsSubstring("which nobody wrote"));
    }
    for (const auto* name :
         {"overwrite_number<1, false, false>", "overwrite_number<40, false, true>"}) {
      CHECK_THAT(fault_of(executor, {name, 1, 64, 4}, {Argument::writes(result)}),
                 ContainsSubstring("race: "));
    }
    CHECK_THAT(
        fault_of(executor, {"overwrite_what_all_read", 1, 64, 4}, {Argument::writes(result)}),
        ContainsSubstring("race: "));
    CHECK_THAT(fault_of(executor, {"pass_number_by_shuffle", 1, 32, 4}, {Argument::writes(result)}),
               ContainsSubstring("race: reads byte 0 of shared memory, which thread 0 wrote"));
    CHECK_THAT(fault_of(executor, {"write_bytes<2>", 1, 64}, {Argument::writes(result)}),
               ContainsSubstring("race: writes byte"));
    for (const auto* name : {"touch_across_blocks<true>", "touch_across_blocks<false>"}) {
      CHECK_THAT(
          fault_of(executor, {name, 2, 64}, {Argument::updates(other), Argument::writes(result)}),
          ContainsSubstring("race: ") && ContainsSubstring("of argument 0, which block "));
    }
  }
}

TEST_CASE("threads that do not meet are found", "[simt]") {
  simt::Executor executor;
  PIXMIM_ADD_KERNEL(executor, end_before_barrier);
  PIXMIM_ADD_KERNEL(executor, wait_at_two_barriers);
  PIXMIM_ADD_KERNEL(executor, wait_in_circle);
  PIXMIM_ADD_KERNEL(executor, end_before_shuffle);
  PIXMIM_ADD_KERNEL(executor, meet_at_different_points);
  PIXMIM_ADD_KERNEL(executor, vote);
  PIXMIM_ADD_KERNEL(executor, shuffle_too_far);
  PIXMIM_ADD_KERNEL(executor, half_a_product);
  PIXMIM_ADD_KERNEL(executor, load_matrices_at);
  for (uint64_t seed = 0; seed < 20; ++seed) {
    executor.use_seed(seed);
    CHECK_THAT(fault_of(executor, {"end_before_barrier", 1, 64}, {}),
               ContainsSubstring("which has ended, does not reach") ||
                   ContainsSubstring("thread 3: ends, and other threads wait for it"));
    CHECK_THAT(fault_of(executor, {"wait_at_two_barriers", 1, 64}, {}),
               ContainsSubstring("waits at the barrier of the block in faults_test.cpp:"));
    CHECK_THAT(
        fault_of(executor, {"wait_in_circle", 1, 32}, {}),
        ContainsSubstring("deadlock: thread 0 waits at synchronize_block (faults_test.cpp:") &&
            ContainsSubstring("threads 1 to 31 wait at synchronize_warp"));
    CHECK_THAT(fault_of(executor, {"end_before_shuffle", 1, 32}, {}),
               ContainsSubstring("which has ended, does not reach") ||
                   ContainsSubstring("thread 9: ends, and other lanes of its warp wait for it"));
    CHECK_THAT(fault_of(executor, {"meet_at_different_points", 1, 32}, {}),
               ContainsSubstring("of its warp at "));
    CHECK_THAT(fault_of(executor, {"half_a_product", 1, 32}, {}),
               ContainsSubstring("multiply_accumulate (faults_test.cpp:"));
    CHECK_THAT(fault_of(executor, {"load_matrices_at", 1, 32, 2048},
                        {Argument::value(int32_t{8}), Argument::value(false)}),
               ContainsSubstring("load_matrices (faults_test.cpp:"));
  }
  CHECK_THAT(fault_of(executor, {"vote", 1, 16}, {}),
             ContainsSubstring("ballot (faults_test.cpp:") &&
                 ContainsSubstring("in a warp of 16 threads"));
  CHECK_THAT(fault_of(executor, {"shuffle_too_far", 1, 32}, {}),
             ContainsSubstring("thread 31: shuffle from lane 32"));
  const auto load = [&](int32_t step) {
    return fault_of(executor, {"load_matrices_at", 1, 32, 2048},
                    {Argument::value(step), Argument::value(true)});
  };
  CHECK(load(24) == "(no error)");
  CHECK_THAT(load(4), ContainsSubstring("of shared memory, not aligned to 16"));
  CHECK_THAT(load(33 * 8), ContainsSubstring("reads 16 bytes"));
}

#if defined(__GNUC__) && !defined(__clang__)
TEST_CASE("undefined arithmetic of a kernel is found", "[simt]") {
  simt::Executor executor;
  PIXMIM_ADD_KERNEL(executor, index_local_array);
  PIXMIM_ADD_KERNEL(executor, multiply_integers);
  PIXMIM_ADD_KERNEL(executor, shift_integer);
  const auto result = at::zeros({1}, at::kInt);
  const auto index = [&](int32_t i) {
    return fault_of(executor, {"index_local_array"},
                    {Argument::value(i), Argument::writes(result)});
  };
  CHECK(index(3) == "(no error)");
  CHECK_THAT(index(4), ContainsSubstring("index out of the bounds of an array (faults_test.cpp:"));
  CHECK_THAT(index(-1), ContainsSubstring("index out of the bounds of an array"));
  const auto multiply = [&](int32_t a, int32_t b) {
    return fault_of(executor, {"multiply_integers"},
                    {Argument::value(a), Argument::value(b), Argument::writes(result)});
  };
  CHECK(multiply(46340, 46340) == "(no error)");
  CHECK_THAT(multiply(46341, 46341), ContainsSubstring("a product of signed integers overflows"));
  CHECK_THAT(fault_of(executor, {"shift_integer"},
                      {Argument::value(int32_t{32}), Argument::writes(result)}),
             ContainsSubstring("a shift by more bits"));
}
#endif
