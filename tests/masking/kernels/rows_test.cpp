// SPDX-License-Identifier: Apache-2.0
// The CUDA engine of token rows, its kernels run by the executor, against the CPU's.
#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>
#include <pixmim/detail/masking/cuda_rows.hpp>
#include <pixmim/masking.hpp>

#include <limits>

#include "masking/kernels/kernels.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/golden.hpp"

namespace cuda = pixmim::detail::cuda;
using pixmim::detail::TokenOrder;

namespace {

simt::Executor executor_of(uint64_t seed) {
  simt::Executor executor(seed);
  add_row_kernels(executor);
  return executor;
}

TokenOrder order_of(const pixmim::TokenMask& mask) {
  return {mask.ids_keep.contiguous(), mask.ids_restore.contiguous()};
}

/// The kernels that served, by their first names.
bool launched(const simt::Executor& executor, const std::string& name) {
  for (const auto& launch : executor.launches()) {
    if (launch.kernel.rfind(name, 0) == 0) return true;
  }
  return false;
}

/// Moving rows is the same as on the CPU, to the bit.
void expect_moves(simt::Executor& executor, const at::Tensor& tokens, const TokenOrder& order) {
  const auto kept = cuda::keep_rows(executor, tokens, order);
  CHECK(at::equal(kept, pixmim::detail::keep_rows(tokens, order)));
  const auto hidden = at::randn(tokens.sizes().slice(2)).to(tokens.scalar_type());
  const auto restored = cuda::restore_rows(executor, kept, hidden, order);
  CHECK(at::equal(restored, pixmim::detail::restore_rows(kept, hidden, order)));
  // The gradient of keeping rows.
  const auto zeros = at::zeros_like(hidden);
  CHECK(at::equal(cuda::restore_rows(executor, kept, at::Tensor(), order),
                  pixmim::detail::restore_rows(kept, zeros, order)));
}

/// Of the sums of 64 rows, those of a GPU are the CPU's; they are added in another order, in double.
void expect_sums(simt::Executor& executor, const at::Tensor& full, const TokenOrder& order) {
  const auto ours = cuda::sum_of_masked_rows(executor, full, order);
  const auto theirs = pixmim::detail::sum_of_masked_rows(full, order);
  REQUIRE(ours.scalar_type() == theirs.scalar_type());
  REQUIRE(ours.sizes() == theirs.sizes());
  if (ours.numel() == 0) return;
  const double step = full.scalar_type() == at::kHalf       ? 0x1p-10
                      : full.scalar_type() == at::kBFloat16 ? 0x1p-7
                      : full.scalar_type() == at::kFloat    ? 0x1p-23
                                                            : 0x1p-52;
  const auto size = full.to(at::kDouble).abs().sum(at::IntArrayRef{0, 1});
  // A unit of the result, and in double one for each of the sums.
  const auto allowed = ours.to(at::kDouble).abs() * step + size * 0x1p-45;
  CHECK((ours.to(at::kDouble) - theirs.to(at::kDouble)).abs().le(allowed).all().item<bool>());
}

}  // namespace

TEST_CASE("each kernel that the engine may launch is tested here", "[masking][kernels]") {
  auto executor = executor_of(0);
  for (const auto& kernel : cuda::token_row_kernels()) executor.prepare(kernel);
  CHECK(executor.prepared().size() == 22);
}

TEST_CASE("rows move as on the CPU, for every shape", "[masking][kernels]") {
  uint64_t seed = 0;
  for (const int64_t width : {1, 3, 4, 40, 263, 768}) {
    for (const auto dtype : {at::kFloat, at::kHalf, at::kBFloat16, at::kDouble, at::kByte}) {
      if (width > 40 && dtype == at::kDouble) continue;
      for (const int64_t batch : {0, 1, 3}) {
        for (const double ratio : {0.0, 0.6, 0.99}) {
          auto executor = executor_of(++seed);
          const auto order = order_of(pixmim::random_mask(batch, 13, ratio));
          expect_moves(executor, at::randn({batch, 13, width}).to(dtype), order);
          CHECK((batch == 0 || launched(executor, "restore_rows<")));
        }
      }
    }
  }
}

TEST_CASE("rows move as on the CPU, by the masks of the official code", "[masking][kernels]") {
  int files = 0;
  for (const auto& path : support::golden_files("masking_mae_")) {
    const support::Golden golden(path);
    auto executor = executor_of(static_cast<uint64_t>(++files));
    const TokenOrder order{golden["ids_keep"], golden["ids_restore"]};
    const auto tokens = at::randn({order.samples(), order.tokens(), 6});
    expect_moves(executor, tokens, order);
    expect_sums(executor, tokens, order);
    // A mask's own row of numbers: [N,L], without more dimensions.
    expect_moves(executor, golden["mask"], order);
  }
  CHECK(files >= 6);
}

TEST_CASE("rows are moved by the widest words that fit", "[masking][kernels]") {
  const auto order = order_of(pixmim::random_mask(2, 9, 0.5));
  const auto kernel_of = [&](const at::Tensor& tokens) {
    auto executor = executor_of(1);
    expect_moves(executor, tokens, order);
    return executor.launches()[0].kernel;
  };
  CHECK(kernel_of(at::randn({2, 9, 4})) == "keep_rows<Vector16>");
  CHECK(kernel_of(at::randn({2, 9, 6})) == "keep_rows<uint64>");
  CHECK(kernel_of(at::randn({2, 9, 7})) == "keep_rows<uint32>");
  CHECK(kernel_of(at::randn({2, 9, 7}).to(at::kHalf)) == "keep_rows<uint16>");
  CHECK(kernel_of(at::randn({2, 9, 7}).to(at::kByte)) == "keep_rows<uint8>");
  // Rows in a larger tensor, steps that are wider than rows, memory that begins anywhere.
  const auto wide = at::randn({2, 10, 11});
  CHECK(kernel_of(wide.narrow(1, 1, 9).narrow(2, 0, 8)) == "keep_rows<uint32>");
  CHECK(kernel_of(at::randn({2, 10, 16}).narrow(1, 1, 9).narrow(2, 8, 8)) == "keep_rows<Vector16>");
  CHECK(kernel_of(at::randn({2, 10, 16}).narrow(1, 1, 9).narrow(2, 2, 8)) == "keep_rows<uint64>");
  CHECK(kernel_of(at::randn({9, 2, 8}).transpose(0, 1)) == "keep_rows<Vector16>");
  CHECK(kernel_of(at::randn({2, 8, 9}).transpose(1, 2)) == "keep_rows<Vector16>");
  CHECK(kernel_of(at::randn({9, 8}).expand({2, 9, 8})) == "keep_rows<Vector16>");
  CHECK(kernel_of(at::randn({2, 9, 2, 2})) == "keep_rows<Vector16>");
  // A mask token that begins elsewhere.
  auto executor = executor_of(2);
  const auto hidden = at::randn({5}).narrow(0, 1, 4);
  const auto kept = at::randn({2, order.kept(), 4});
  CHECK(at::equal(cuda::restore_rows(executor, kept, hidden, order),
                  pixmim::detail::restore_rows(kept, hidden, order)));
  CHECK(executor.launches()[0].kernel == "restore_rows<uint32>");
}

TEST_CASE("complex and negated views move, too", "[masking][kernels]") {
  const auto order = order_of(pixmim::random_mask(2, 9, 0.5));
  auto executor = executor_of(3);
  const auto tokens = at::randn({2, 9, 5}, at::kComplexFloat);
  const auto kept = cuda::keep_rows(executor, tokens.conj(), order);
  CHECK(at::equal(kept, pixmim::detail::keep_rows(tokens.conj(), order)));
  const auto sums = cuda::sum_of_masked_rows(executor, tokens.conj(), order);
  CHECK(at::allclose(sums, pixmim::detail::sum_of_masked_rows(tokens.conj(), order)));
}

TEST_CASE("sums of masked rows are those of the CPU", "[masking][kernels]") {
  uint64_t seed = 0;
  for (const auto dtype : {at::kFloat, at::kHalf, at::kBFloat16, at::kDouble}) {
    for (const int64_t width : {1, 3, 40, 96}) {
      for (const int64_t tokens : {1, 64, 65, 130}) {
        auto executor = executor_of(++seed);
        const auto order = order_of(pixmim::random_mask(3, tokens, 0.75));
        expect_sums(executor, at::randn({3, tokens, width}).to(dtype), order);
        expect_sums(executor,
                    at::randn({3, tokens + 1, width + 1})
                        .to(dtype)
                        .narrow(1, 1, tokens)
                        .narrow(2, 1, width),
                    order);
      }
    }
    // Without tokens, or samples, the sum is zero.
    auto executor = executor_of(0);
    for (const int64_t samples : {0, 2}) {
      const auto order = order_of(pixmim::random_mask(samples, 5, samples == 0 ? 0.6 : 0.0));
      const auto sum =
          cuda::sum_of_masked_rows(executor, at::ones({samples, 5, 3}).to(dtype), order);
      CHECK(at::equal(sum, at::zeros({3}).to(dtype)));
    }
  }
  auto executor = executor_of(0);
  const auto order = order_of(pixmim::random_mask(2, 9, 0.5));
  CHECK(support::error_of([&] {
          cuda::sum_of_masked_rows(executor, at::ones({2, 9, 3}, at::kInt), order);
        }) ==
        "TokenMask::restore: expected a gradient of float16, bfloat16, float32, float64, complex64 "
        "or complex128, got Int");
}

TEST_CASE("the order of blocks and threads changes no bit", "[masking][kernels]") {
  const auto order = order_of(pixmim::random_mask(4, 100, 0.75));
  const auto full = at::randn({4, 100, 24});
  auto executor = executor_of(0);
  const auto sums = cuda::sum_of_masked_rows(executor, full, order);
  for (uint64_t seed = 1; seed < 30; ++seed) {
    executor.use_seed(seed);
    CHECK(at::equal(cuda::sum_of_masked_rows(executor, full, order), sums));
    expect_moves(executor, full, order);
  }
}

TEST_CASE("gradients of any order are those of the CPU", "[masking][kernels]") {
  auto executor = executor_of(4);
  const TokenOrder on_cpu = order_of(pixmim::random_mask(3, 20, 0.6));
  TokenOrder by_kernels = on_cpu;
  by_kernels.launcher = &executor;
  const auto tokens = at::randn({3, 20, 5}, at::kDouble);
  const auto mask_token = at::randn({5}, at::kDouble);
  const auto weight = at::randn({3, 20, 5}, at::kDouble);

  // restore(square(visible(x)), token), squared: first and second derivatives go through all kernels.
  const auto derivatives_of = [&](const TokenOrder& order) {
    const auto x = tokens.clone().requires_grad_(true);
    const auto token = mask_token.clone().requires_grad_(true);
    const auto visible =
        pixmim::detail::differentiable_split(x, order, pixmim::detail::SplitWish::Visible).visible;
    const auto full = pixmim::detail::differentiable_restore(visible.square(), token, order);
    auto first = torch::autograd::grad({full.square().mul(weight).sum()}, {x, token}, {},
                                       /*retain_graph=*/true, /*create_graph=*/true);
    auto second =
        torch::autograd::grad({first[0].square().sum() + first[1].square().sum()}, {x, token});
    first.insert(first.end(), second.begin(), second.end());
    first.push_back(full.detach());
    return first;
  };
  const auto ours = derivatives_of(by_kernels);
  const auto theirs = derivatives_of(on_cpu);
  for (std::size_t i = 0; i < ours.size(); ++i) {
    // In float64; only the sums over rows are added in another order.
    CHECK(at::allclose(ours[i], theirs[i], 1e-12, 1e-12));
  }
  for (const auto* name : {"keep_rows<", "restore_rows<", "sum_masked_rows<", "add_sums<"}) {
    CHECK(launched(executor, name));
  }
}

TEST_CASE("ids that do not fit give rows of NaN, and read no other memory", "[masking][kernels]") {
  auto executor = executor_of(0);
  const auto mask = pixmim::random_mask(2, 9, 0.5);
  const auto tokens = at::randn({2, 9, 4});
  const auto hidden = at::randn({4});
  constexpr int64_t most = std::numeric_limits<int64_t>::max();
  for (const int64_t bad : {int64_t{-1}, int64_t{9}, most, -most, int64_t{1} << 32}) {
    TokenOrder order{mask.ids_keep.clone(), mask.ids_restore.clone()};
    order.ids_keep[1][2] = bad;
    const auto kept = cuda::keep_rows(executor, tokens, order);
    CHECK(kept[1][2].isnan().all().item<bool>());
    CHECK(kept.isnan().sum().item<int64_t>() == 4);

    order = {mask.ids_keep.clone(), mask.ids_restore.clone()};
    order.ids_restore[0][3] = bad;
    const auto restored =
        cuda::restore_rows(executor, cuda::keep_rows(executor, tokens, order), hidden, order);
    CHECK(restored[0][3].isnan().all().item<bool>());
    CHECK(restored.isnan().sum().item<int64_t>() == 4);
  }
  // All bits are ones in every format.
  for (const auto dtype : {at::kByte, at::kShort, at::kInt, at::kLong}) {
    for (const int64_t width : {1, 16}) {
      TokenOrder order{mask.ids_keep.clone(), mask.ids_restore.clone()};
      order.ids_keep[0][1] = 9;
      const auto kept = cuda::keep_rows(executor, at::ones({2, 9, width}).to(dtype), order);
      CHECK(kept[0][1].bitwise_not().eq(0).all().item<bool>());
    }
  }
  // A place among the kept ones that belongs to another token.
  TokenOrder order{mask.ids_keep.clone(), mask.ids_restore.clone()};
  const int64_t token = (order.ids_keep[0][0].item<int64_t>() + 1) % 9;
  order.ids_restore[0][token] = 0;
  const auto kept = cuda::keep_rows(executor, tokens, order);
  const auto restored = cuda::restore_rows(executor, kept, hidden, order);
  CHECK(restored[0][token].isnan().all().item<bool>());
  CHECK(restored.isnan().sum().item<int64_t>() == 4);
}
