// SPDX-License-Identifier: Apache-2.0
// Masks on a GPU are those of the CPU for the same noise.
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <pixmim/masking.hpp>

#include <cstddef>
#include <vector>

#include "support/catch.hpp"
#include "support/cuda/gpu.hpp"
#include "support/errors.hpp"

using support::no_gpu;

namespace {

void expect_same(const pixmim::TokenMask& on_gpu, const pixmim::TokenMask& on_cpu) {
  CHECK(on_gpu.mask.is_cuda());
  CHECK(on_gpu.ids_keep.is_cuda());
  CHECK(on_gpu.ids_restore.is_cuda());
  CHECK(at::equal(on_gpu.mask.cpu(), on_cpu.mask));
  CHECK(at::equal(on_gpu.ids_keep.cpu(), on_cpu.ids_keep));
  CHECK(at::equal(on_gpu.ids_restore.cpu(), on_cpu.ids_restore));
}

}  // namespace

TEST_CASE("noise on a GPU makes the mask of the CPU, ties included", "[masking][cuda]") {
  if (no_gpu()) return;
  for (const int64_t levels : {4, 1 << 20}) {  // 4: nearly all values are equal
    const auto noise = at::randint(levels, {8, 196}).to(at::kFloat).div(levels);
    const auto there = noise.to(at::kCUDA);
    expect_same(pixmim::mask_from_noise(there, 0.75), pixmim::mask_from_noise(noise, 0.75));
    expect_same(pixmim::joint_mask_from_noise(there, 27, 28, 0.75, 2),
                pixmim::joint_mask_from_noise(noise, 27, 28, 0.75, 2));
    expect_same(pixmim::patch_aligned_mask_from_noise(there, 448, 32, 16, 0.6),
                pixmim::patch_aligned_mask_from_noise(noise, 448, 32, 16, 0.6));
  }
}

TEST_CASE("masks are made on the device asked for", "[masking][cuda]") {
  if (no_gpu()) return;
  for (int round = 0; round < 2; ++round) {
    const auto random = pixmim::random_mask(4, 196, 0.75, at::kCUDA);
    CHECK(random.mask.is_cuda());
    CHECK(random.mask.sum(1).eq(147).all().item<bool>());
    CHECK(pixmim::joint_mask(4, 14, 14, 0.75, 2, at::kCUDA).ids_keep.is_cuda());
    CHECK(pixmim::patch_aligned_mask(4, 192, 32, 4, 0.6, at::kCUDA).ids_keep.is_cuda());
  }
  at::manual_seed(5);
  const auto first = pixmim::random_mask(4, 196, 0.75, at::kCUDA);
  at::manual_seed(5);
  CHECK(at::equal(pixmim::random_mask(4, 196, 0.75, at::kCUDA).mask, first.mask));
}

TEST_CASE("a block mask is drawn on the host whatever its device", "[masking][cuda]") {
  if (no_gpu()) return;
  const auto options = pixmim::BlockMaskOptions(75).exact(true);
  const auto seeded = [] { return at::make_generator<at::CPUGeneratorImpl>(3); };
  expect_same(pixmim::block_mask(4, 14, 14, options, at::kCUDA, seeded()),
              pixmim::block_mask(4, 14, 14, options, at::kCPU, seeded()));
  const auto on_gpu = at::globalContext().defaultGenerator(at::Device(at::kCUDA, 0));
  CHECK_THAT(support::error_of([&] { pixmim::block_mask(4, 14, 14, options, at::kCUDA, on_gpu); }),
             ContainsSubstring("block_mask: expected a generator on the CPU"));
}

TEST_CASE("visible and restored tokens on a GPU are those of the CPU", "[masking][cuda]") {
  if (no_gpu()) return;
  const auto noise = at::rand({4, 196});
  const auto on_cpu = pixmim::mask_from_noise(noise, 0.75);
  const auto on_gpu = pixmim::mask_from_noise(noise.to(at::kCUDA), 0.75);
  const auto tokens = at::randn({4, 196, 32});
  const auto token = at::randn({1, 1, 32});
  for (const auto dtype : {at::kHalf, at::kBFloat16, at::kFloat, at::kDouble}) {
    const auto here = tokens.to(dtype);
    const auto there = here.to(at::kCUDA);
    CHECK(at::equal(on_gpu.visible(there).cpu(), on_cpu.visible(here)));
    const auto restored =
        on_gpu.restore(on_gpu.visible(there), token.to(at::kCUDA).to(dtype)).cpu();
    CHECK(at::equal(restored, on_cpu.restore(on_cpu.visible(here), token.to(dtype))));
  }
  CHECK(at::equal(pixmim::upsample_mask(on_gpu.mask, 14, 4).cpu(),
                  pixmim::upsample_mask(on_cpu.mask, 14, 4)));
  CHECK_THAT(support::error_of([&] { on_gpu.visible(tokens); }),
             ContainsSubstring("expected tokens on the device of the mask, cuda:0, got cpu"));
}

TEST_CASE("masks that are given on a GPU are those of the CPU", "[masking][cuda]") {
  if (no_gpu()) return;
  const auto drawn = pixmim::random_mask(4, 196, 0.75);
  const auto moved = drawn.to(at::kCUDA);
  expect_same(moved, drawn);
  expect_same(pixmim::token_mask(moved.mask.ne(0)), pixmim::token_mask(drawn.mask));
  expect_same(pixmim::mask_from_ids(moved.ids_keep, 196),
              pixmim::mask_from_ids(drawn.ids_keep, 196));
  const auto numbers = at::arange(4, at::kLong);
  const auto options = pixmim::BlockMaskOptions(75).exact(true);
  expect_same(pixmim::block_mask(numbers, numbers, 14, 14, options, 3, at::kCUDA),
              pixmim::block_mask(numbers, numbers, 14, 14, options, 3));
  auto uneven = moved.mask.clone();
  uneven[2].fill_(1);
  CHECK_THAT(support::error_of([&] { pixmim::token_mask(uneven); }),
             ContainsSubstring("got 196 in sample 2"));
}

TEST_CASE("masked and filled tokens on a GPU are those of the CPU", "[masking][cuda]") {
  if (no_gpu()) return;
  const auto here = pixmim::random_mask(4, 196, 0.75);
  const auto there = here.to(at::kCUDA);
  CHECK(at::equal(there.ids_masked().cpu(), here.ids_masked()));
  // Whole numbers: their sums do not depend on the order of the additions.
  const auto tokens = at::randint(-3, 4, {4, 196, 32}).to(at::kFloat);
  const auto token = at::randint(-3, 4, {1, 1, 32}).to(at::kFloat);
  const auto results = [&](const pixmim::TokenMask& mask, const at::Device& device) {
    const auto x = tokens.to(device).requires_grad_();
    const auto t = token.to(device).requires_grad_();
    const auto masked = mask.masked(x);
    const auto filled = mask.masked_fill(x, t);
    (masked.pow(2).sum() + filled.pow(2).sum()).backward();
    return std::vector<at::Tensor>{masked.detach().cpu(), filled.detach().cpu(), x.grad().cpu(),
                                   t.grad().cpu()};
  };
  const auto on_gpu = results(there, at::kCUDA);
  const auto on_cpu = results(here, at::kCPU);
  for (std::size_t i = 0; i < on_cpu.size(); ++i) CHECK(at::equal(on_gpu[i], on_cpu[i]));
}

TEST_CASE("a generator of another GPU than the mask's is named", "[masking][cuda]") {
  if (no_gpu()) return;
  const auto first = at::globalContext().defaultGenerator(at::Device(at::kCUDA, 0));
  CHECK(pixmim::random_mask(2, 16, 0.5, at::Device(at::kCUDA, 0), first).mask.is_cuda());
  // The current device.
  CHECK(pixmim::random_mask(2, 16, 0.5, at::kCUDA, first).mask.is_cuda());
  CHECK_THAT(
      support::error_of([&] { pixmim::random_mask(2, 16, 0.5, at::Device(at::kCUDA, 1), first); }),
      ContainsSubstring("on the device of the mask, cuda:1, got one on cuda:0"));
}

#ifdef PIXMIM_HAS_CUDA
TEST_CASE("a CUDA graph captures masks and rows", "[masking][cuda]") {
  if (no_gpu()) return;
  const auto tokens = at::randn({8, 196, 64}, at::kCUDA);
  const auto draw_and_keep = [&] {
    return pixmim::random_mask(8, 196, 0.75, at::kCUDA).visible(tokens);
  };
  draw_and_keep();
  support::CapturedCall captured(draw_and_keep);
  const auto first = captured.replay().clone();
  // Rows of the tokens, others each time.
  CHECK(first.sizes() == at::IntArrayRef({8, 49, 64}));
  for (int64_t sample = 0; sample < 8; ++sample) {
    CHECK(at::cdist(first[sample], tokens[sample]).amin(1).max().item<double>() < 1);
  }
  CHECK(!at::equal(captured.replay(), first));
}
#endif
