// SPDX-License-Identifier: Apache-2.0
// What the executor asks of a launch.
#include <ATen/ATen.h>
#include <pixmim/detail/cuda/kernels/dialect.cuh>

#include "simt/launch.hpp"
#include "support/catch.hpp"

namespace pixmim {
namespace kernels {
namespace {

template <class T, int32 factor>
PIXMIM_KERNEL(32)
scale(Global<const T> from, int32 count, Global<T> to) {
  const int64 i = block_index() * threads_a_block() + thread_index();
  if (i < count) to[i] = static_cast<T>(from[i] * factor);
}
PIXMIM_KERNEL(32) write_every_second(Global<float> to) {
  if (thread_index() % 2 == 0) to[thread_index()] = 1;
}
PIXMIM_KERNEL(32) write_argument(Global<const float> /*from*/, Global<float> to) {
  to[thread_index()] = 1;
}
PIXMIM_KERNEL(32) nothing() {}
PIXMIM_KERNEL(32) copy_first(Global<const float> from, Global<float> to) {
  if (thread_index() == 0) to[0] = from[0];
}
/// to[i] = the number that `table` has the address of, or one after it.
PIXMIM_KERNEL(32) read_by_addresses(Global<const int64> table, int32 after, Global<float> to) {
  to[thread_index()] = global_memory<const float>(table[thread_index()])[after];
}

}  // namespace
}  // namespace kernels
}  // namespace pixmim

using simt_test::Argument;
using simt_test::fault_of;
using simt_test::run;

TEST_CASE("kernels are found by the name that an engine gives them", "[simt]") {
  simt::Executor executor;
  PIXMIM_ADD_KERNEL(executor, scale<float, 3>);
  PIXMIM_ADD_KERNEL(executor, scale<double, 2>);
  const auto from = at::arange(40, at::kFloat);
  const auto to = at::empty({40});
  executor.prepare({"", "scale<float,3>"});
  run(executor, {"scale<float,3>", 2, 32},
      {Argument::reads(from), Argument::value(int32_t{40}), Argument::writes(to)});
  CHECK(at::equal(to, from * 3));
  CHECK(executor.prepared() == std::vector<std::string>{"scale<float,3>"});
  REQUIRE(executor.launches().size() == 1);
  CHECK(executor.launches()[0].kernel == "scale<float,3>");
  CHECK(executor.launches()[0].shape.blocks == 2);
  CHECK(executor.launches()[0].shape.threads == 32);

  const std::string unknown =
      "kernel scale<float, 4> was not added to the executor, which knows scale<double,2>, "
      "scale<float,3>";
  CHECK(fault_of(executor, {"scale<float, 4>"}, {}) == unknown);
  CHECK(support::error_of([&] { executor.prepare({"", "scale<float, 4>"}); }) == unknown);

  // What NVRTC would say.
  CHECK(support::error_of([&] {
          executor.prepare({"no_file.cuh", "scale<float, 3>"});
        }) == "scale<float, 3>: there is no file no_file.cuh");
  CHECK(support::error_of([&] {
          executor.prepare({"dialect.cuh", "scale<float, 3>"});
        }) == "scale<float, 3>: dialect.cuh declares no PIXMIM_KERNEL(threads) scale");
}

TEST_CASE("arguments must be those of the kernel", "[simt]") {
  simt::Executor executor;
  PIXMIM_ADD_KERNEL(executor, scale<float, 3>);
  const auto from = at::arange(32, at::kFloat);
  const auto to = at::empty({32});
  const auto launch = [&](const std::vector<Argument>& arguments) {
    return fault_of(executor, {"scale<float, 3>"}, arguments);
  };
  CHECK(launch({Argument::reads(from), Argument::value(int32_t{32}), Argument::writes(to)}) ==
        "(no error)");
  CHECK(launch({Argument::reads(from), Argument::value(int32_t{32})}) ==
        "scale<float, 3>: launched with 2 arguments, takes 3");
  CHECK(launch({Argument::reads(from), Argument::value(int64_t{32}), Argument::writes(to)}) ==
        "argument 1: the kernel takes a value of 4 bytes");
  CHECK(launch({Argument::value(1), Argument::value(int32_t{32}), Argument::writes(to)}) ==
        "argument 0: the kernel takes memory");
  CHECK(launch({Argument::reads(from), Argument::value(int32_t{32}), Argument::reads(to)}) ==
        "argument 2: the kernel takes memory that may be written");
}

TEST_CASE("what a kernel leaves out is not a number", "[simt]") {
  simt::Executor executor;
  PIXMIM_ADD_KERNEL(executor, write_every_second);
  const auto result = at::zeros({32});
  run(executor, {"write_every_second"}, {Argument::writes(result)});
  CHECK(result.isnan().sum().item<int64_t>() == 16);
  const auto updated = at::zeros({32});
  run(executor, {"write_every_second"}, {Argument::updates(updated)});
  CHECK(updated.sum().item<float>() == 16);
}

TEST_CASE("memory that is written under two names is one memory", "[simt]") {
  simt::Executor executor;
  PIXMIM_ADD_KERNEL(executor, write_argument);
  PIXMIM_ADD_KERNEL(executor, copy_first);
  const auto memory = at::zeros({64});
  CHECK(fault_of(executor, {"write_argument"},
                 {Argument::reads(memory.narrow(0, 0, 32)),
                  Argument::updates(memory.narrow(0, 32, 32))}) == "(no error)");
  CHECK_THAT(fault_of(executor, {"write_argument"},
                      {Argument::reads(memory.narrow(0, 16, 32)),
                       Argument::updates(memory.narrow(0, 32, 32))}),
             ContainsSubstring("lies partly in one that is written"));
  // Two blocks: each would have to read before the other writes.
  CHECK_THAT(
      fault_of(executor, {"copy_first", 2}, {Argument::reads(memory), Argument::updates(memory)}),
      ContainsSubstring("race: "));
}

TEST_CASE("addresses lead to the tensors that a launch names, and not beyond", "[simt]") {
  simt::Executor executor;
  PIXMIM_ADD_KERNEL(executor, read_by_addresses);
  const auto to = at::zeros({32});
  std::vector<at::Tensor> tensors;
  const auto table = at::empty({32}, at::kLong);
  for (int64_t i = 0; i < 32; ++i) {
    tensors.push_back(at::arange(10 * i, 10 * i + 3, at::kFloat));
    table[i] = static_cast<int64_t>(
        reinterpret_cast<std::intptr_t>(tensors.back().const_data_ptr<float>() + 1));
  }
  const auto launch = [&](int32_t after, c10::ArrayRef<at::Tensor> reached,
                          const at::Tensor& result) {
    return fault_of(
        executor, {"read_by_addresses"},
        {Argument::reads(table, reached), Argument::value(after), Argument::writes(result)});
  };
  CHECK(launch(1, tensors, to) == "(no error)");
  CHECK(at::equal(to, at::arange(32) * 10 + 2));
  CHECK_THAT(launch(2, tensors, to), ContainsSubstring("reads 4 bytes at byte 12 of tensor "));
  CHECK_THAT(launch(0, {}, to), ContainsSubstring("an address that lies in no tensor"));
  tensors[0] = to;
  CHECK(launch(0, tensors, to) ==
        "argument 0 of a launch has the address of a tensor that is written");
}

TEST_CASE("a launch must fit a GPU", "[simt]") {
  simt::Executor executor;
  PIXMIM_ADD_KERNEL(executor, nothing);
  CHECK(fault_of(executor, {"nothing", 0}, {}) == "nothing: launched with 0 blocks");
  CHECK(fault_of(executor, {"nothing", int64_t{1} << 31}, {}) ==
        "nothing: launched with 2147483648 blocks");
  CHECK(fault_of(executor, {"nothing", 1, 1025}, {}) ==
        "nothing: launched with 1025 threads a block");
  executor.allow_shared_bytes(99 * 1024);
  CHECK(fault_of(executor, {"nothing", 1, 32, 100000}, {}) == "(no error)");
  CHECK(fault_of(executor, {"nothing", 1, 32, 101377}, {}) ==
        "nothing: launched with 101377 bytes of shared memory a block, of 101376");
}
