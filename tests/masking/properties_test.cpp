// SPDX-License-Identifier: Apache-2.0
// What holds for every mask: a partition, its inverse, seeds, ratios, ties.
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <pixmim/masking.hpp>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "support/catch.hpp"

using pixmim::BlockMaskOptions;
using pixmim::TokenMask;

namespace {

using MaybeGenerator = std::optional<at::Generator>;

at::Generator seeded(uint64_t seed) {
  return at::make_generator<at::CPUGeneratorImpl>(seed);
}

struct Maker {
  std::string name;
  int64_t tokens;
  int64_t kept;
  std::function<TokenMask(int64_t, MaybeGenerator)> make;
};

std::vector<Maker> makers() {
  return {
      {"random", 49, 12,
       [](int64_t n, MaybeGenerator g) { return pixmim::random_mask(n, 49, 0.75, {}, g); }},
      {"joint, cut at the border", 35, 14,
       [](int64_t n, MaybeGenerator g) { return pixmim::joint_mask(n, 5, 7, 0.6, 3, {}, g); }},
      {"grid", 96, 32,
       [](int64_t n, MaybeGenerator g) { return pixmim::grid_mask(n, 8, 12, 0.6, 4, {}, g); }},
      {"block", 70, 40,
       [](int64_t n, MaybeGenerator g) {
         return pixmim::block_mask(n, 7, 10, BlockMaskOptions(30).exact(true), {}, g);
       }},
      {"patch-aligned", 96, 44,
       [](int64_t n, MaybeGenerator g) {
         return pixmim::patch_aligned_mask(n, {32, 48}, 8, 4, 0.54, {}, g);
       }},
  };
}

/// Every token is either kept or masked, in one place of the order: checked one by one.
void expect_partition(const TokenMask& mask, int64_t kept) {
  REQUIRE(mask.mask.scalar_type() == at::kFloat);
  REQUIRE(mask.ids_keep.scalar_type() == at::kLong);
  REQUIRE(mask.ids_restore.scalar_type() == at::kLong);
  REQUIRE(mask.ids_keep.sizes() == at::IntArrayRef({mask.mask.size(0), kept}));
  REQUIRE(mask.ids_restore.sizes() == mask.mask.sizes());
  const auto masked = mask.mask.accessor<float, 2>();
  const auto keep = mask.ids_keep.accessor<int64_t, 2>();
  const auto restore = mask.ids_restore.accessor<int64_t, 2>();
  const int64_t tokens = mask.mask.size(1);
  bool right = true;
  for (int64_t n = 0; n < mask.mask.size(0); ++n) {
    std::vector<int> seen(static_cast<std::size_t>(tokens), 0);
    for (int64_t token = 0; token < tokens; ++token) {
      const int64_t place = restore[n][token];
      right = right && place >= 0 && place < tokens;
      if (!right) break;
      ++seen[static_cast<std::size_t>(place)];
      right = right && masked[n][token] == (place < kept ? 0.0F : 1.0F);
      right = right && (place >= kept || keep[n][place] == token);
    }
    for (const int count : seen) right = right && count == 1;
  }
  CHECK(right);
}

}  // namespace

TEST_CASE("a mask parts the tokens into kept and masked ones", "[masking]") {
  for (const auto& maker : makers()) {
    INFO(maker.name);
    const auto mask = maker.make(16, std::nullopt);
    CHECK(mask.mask.sizes() == at::IntArrayRef({16, maker.tokens}));
    expect_partition(mask, maker.kept);
  }
}

TEST_CASE("the same seed gives the same mask, another seed another one", "[masking]") {
  for (const auto& maker : makers()) {
    INFO(maker.name);
    const auto mask = maker.make(4, seeded(9));
    const auto again = maker.make(4, seeded(9));
    CHECK(at::equal(mask.mask, again.mask));
    CHECK(at::equal(mask.ids_keep, again.ids_keep));
    CHECK(at::equal(mask.ids_restore, again.ids_restore));
    CHECK_FALSE(at::equal(mask.mask, maker.make(4, seeded(10)).mask));
    CHECK_FALSE(at::equal(mask.mask[0], mask.mask[1]));

    auto generator = seeded(9);
    maker.make(4, generator);
    CHECK_FALSE(at::equal(mask.mask, maker.make(4, generator).mask));

    at::manual_seed(3);
    const auto from_default = maker.make(4, std::nullopt).mask;
    at::manual_seed(3);
    CHECK(at::equal(maker.make(4, std::nullopt).mask, from_default));
  }
}

TEST_CASE("an empty batch has masks of the right width", "[masking]") {
  for (const auto& maker : makers()) {
    INFO(maker.name);
    const auto mask = maker.make(0, std::nullopt);
    expect_partition(mask, maker.kept);
    CHECK(mask.mask.size(1) == maker.tokens);
    const auto visible = mask.visible(at::empty({0, maker.tokens, 3}));
    CHECK(visible.sizes() == at::IntArrayRef({0, maker.kept, 3}));
    CHECK(mask.restore(visible, at::zeros({3})).sizes() == at::IntArrayRef({0, maker.tokens, 3}));
  }
}

TEST_CASE("ratio 0 keeps every token and ratio 1 none", "[masking]") {
  const auto tokens = at::randn({2, 24, 3});
  for (const double ratio : {0.0, 1.0}) {
    const int64_t kept = ratio == 0 ? 24 : 0;
    const auto masks = {pixmim::random_mask(2, 24, ratio), pixmim::joint_mask(2, 4, 6, ratio, 3),
                        pixmim::grid_mask(2, 4, 6, ratio, 2),
                        pixmim::block_mask(2, 4, 6, BlockMaskOptions(24 - kept).exact(true)),
                        pixmim::patch_aligned_mask(2, {16, 24}, 8, 4, ratio)};
    for (const auto& mask : masks) {
      expect_partition(mask, kept);
      const auto token = at::full({1, 1, 3}, 7.0);
      const auto full = mask.restore(mask.visible(tokens), token);
      CHECK(at::equal(full, ratio == 0 ? tokens : token.expand_as(tokens)));
    }
  }
}

TEST_CASE("equal noise is ordered by index", "[masking]") {
  // Long rows: a sort that is not stable leaves short ones in order.
  const auto ties = at::zeros({2, 400});
  const auto order = at::arange(400).expand({2, 400});
  CHECK(at::equal(pixmim::mask_from_noise(ties, 0.5).ids_restore, order));
  CHECK(at::equal(pixmim::joint_mask_from_noise(ties, 20, 20, 0.5, 1).ids_restore, order));
  // SimMIM masks the first.
  const auto aligned = pixmim::patch_aligned_mask_from_noise(ties, 80, 4, 4, 0.25);
  CHECK(at::equal(aligned.mask, order.lt(100).to(at::kFloat)));

  const auto two_values = at::arange(400).remainder(2).to(at::kFloat).unsqueeze(0);
  const auto even_then_odd = at::cat({at::arange(0, 400, 2), at::arange(1, 400, 2)}).unsqueeze(0);
  CHECK(at::equal(pixmim::mask_from_noise(two_values, 0).ids_keep, even_then_odd));
}

TEST_CASE("a grid mask keeps whole blocks, each row by row", "[masking]") {
  // Blocks in order of their noise: 3, 0, 1, then 5, 4, 2. Of 6 at 0.5 three are kept.
  const auto noise = at::tensor({0.2, 0.3, 0.9, 0.1, 0.8, 0.7}).unsqueeze(0);
  const auto mask = pixmim::grid_mask_from_noise(noise, 4, 6, 0.5, 2);
  CHECK(
      at::equal(mask.ids_keep[0], at::tensor({12, 13, 18, 19, 0, 1, 6, 7, 2, 3, 8, 9}, at::kLong)));
  expect_partition(mask, 12);
  // Hiera and Pixio truncate the number of blocks: 6 * (1 - 0.6) = 2.4.
  CHECK(pixmim::grid_mask_from_noise(noise, 4, 6, 0.6, 2).ids_keep.size(1) == 8);
  CHECK(pixmim::grid_mask(1, 16, 16, 0.75, 4).ids_keep.size(1) == 4 * 16);
  CHECK(pixmim::grid_mask(1, 56, 56, 0.6, 8).ids_keep.size(1) == 19 * 64);
}

TEST_CASE("a block has the area and the shape asked for", "[masking]") {
  // One block of 8 tokens, twice as high as wide.
  const auto options = BlockMaskOptions(8).min_num_patches(8).min_aspect(2).max_aspect(2);
  const auto mask = pixmim::block_mask(50, 9, 7, options).mask.view({50, 9, 7});
  CHECK(mask.sum({1, 2}).eq(8).all().item<bool>());
  CHECK(mask.amax(2).sum(1).eq(4).all().item<bool>());
  CHECK(mask.amax(1).sum(1).eq(2).all().item<bool>());
}

TEST_CASE("block masks of different counts have no ids_keep but an order", "[masking]") {
  const auto options = BlockMaskOptions(75).min_num_patches(16);
  const auto mask = pixmim::block_mask(64, 14, 14, options, {}, seeded(1));
  const at::Tensor kept = mask.mask.eq(0).sum(1, /*keepdim=*/true);
  REQUIRE(kept.min().item<int64_t>() < kept.max().item<int64_t>());
  CHECK_FALSE(mask.ids_keep.defined());
  CHECK(at::equal(mask.ids_restore.ge(kept), mask.mask.eq(1)));
  CHECK(at::equal(std::get<0>(mask.ids_restore.sort(1)), at::arange(196).expand({64, 196})));
}

TEST_CASE("exact block masks end where no block fits", "[masking]") {
  // No block is smaller than a grid of one row, and the last hole is smaller than any block.
  for (const int64_t count : {1, 11, 12}) {
    const auto mask = pixmim::block_mask(3, 1, 12, BlockMaskOptions(count).exact(true));
    expect_partition(mask, 12 - count);
  }
}
