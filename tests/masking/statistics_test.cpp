// SPDX-License-Identifier: Apache-2.0
// How often each token is hidden: against counts of the official BEiT, and against uniformity.
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <pixmim/masking.hpp>

#include <cmath>
#include <string>

#include "support/catch.hpp"
#include "support/golden.hpp"

using support::Golden;

namespace {

constexpr int64_t draws = 1000;

at::Generator seeded(uint64_t seed) {
  return at::make_generator<at::CPUGeneratorImpl>(seed);
}

/// The largest distance of two frequencies in standard errors of the distance. `b` was counted over
/// `draws_b` draws, or is exact if that is infinite.
double distance(const at::Tensor& a, const at::Tensor& b, double draws_b) {
  const at::Tensor x = a.to(at::kDouble);
  const at::Tensor y = b.to(at::kDouble);
  // A frequency of 0 has an error too: that of one draw.
  const auto variance = [](const at::Tensor& p, double n) {
    return at::clamp_min(p * (1 - p), 1 / static_cast<double>(draws)) / n;
  };
  const at::Tensor error = (variance(x, static_cast<double>(draws)) + variance(y, draws_b)).sqrt();
  return ((x - y).abs() / error).max().item<double>();
}

void expect_within(const std::string& what, double distance, double allowed) {
  support::report(what + " (standard errors)", distance, allowed);
  CHECK(distance <= allowed);
}

pixmim::BlockMaskOptions options_of(const Golden& golden) {
  return pixmim::BlockMaskOptions(golden.integer("num_masking_patches"))
      .min_num_patches(golden.integer("min_num_patches"))
      .max_num_patches(golden.integer("max_num_patches"))
      .min_aspect(golden.number("min_aspect"));
}

}  // namespace

TEST_CASE("block masks are distributed as those of BEiT", "[masking]") {
  const Golden golden = support::golden("beit_original_14x14_n75");
  const auto mask = pixmim::block_mask(draws, 14, 14, options_of(golden), {}, seeded(75)).mask;
  const at::Tensor counts = mask.sum(1).to(at::kLong);
  CHECK(counts.max().item<int64_t>() == golden.integer("count_max"));

  const auto golden_draws = static_cast<double>(golden.integer("draws"));
  expect_within("beit_original share of full masks",
                distance(counts.eq(75).to(at::kDouble).mean(), golden["share_full"], golden_draws),
                5);
  expect_within("beit_original frequency of a cell",
                distance(mask.mean(0), golden["frequency"].flatten(), golden_draws), 5);

  // Shares of every count, not the least one: that of 1,000 draws is a matter of luck (official:
  // 68).
  const auto shares = [](const at::Tensor& values) {
    return at::bincount(values, {}, 76).to(at::kDouble) / values.size(0);
  };
  expect_within("beit_original share of a count",
                distance(shares(counts), shares(golden["counts"]), golden_draws), 5);
  CHECK(counts.min().item<int64_t>() >= 60);  // the least of 200,000 draws: 63
}

TEST_CASE("exact block masks are distributed as those of mmpretrain with BEiT's ends",
          "[masking]") {
  const Golden golden = support::golden("masking_beit_inclusive_14x14_n75");
  const auto block =
      pixmim::block_mask(draws, 14, 14, options_of(golden).exact(true), {}, seeded(7));
  CHECK(block.mask.sum(1).eq(75).all().item<bool>());
  CHECK(block.ids_keep.sizes() == at::IntArrayRef({draws, 196 - 75}));

  const at::Tensor frequency = block.mask.mean(0).view({14, 14});
  CHECK(frequency.select(0, 13).gt(0).all().item<bool>());
  CHECK(frequency.select(1, 13).gt(0).all().item<bool>());
  expect_within(
      "beit_inclusive frequency of a cell",
      distance(frequency, golden["frequency"], static_cast<double>(golden.integer("draws"))), 6);
}

TEST_CASE("single tokens as blocks hide every token alike, the corners too", "[masking]") {
  const auto options =
      pixmim::BlockMaskOptions(49).min_num_patches(1).max_num_patches(1).min_aspect(1);
  const auto mask = pixmim::block_mask(draws, 14, 14, options, {}, seeded(1)).mask;
  expect_within("single blocks, frequency of a cell",
                distance(mask.mean(0), at::full({196}, 0.25), INFINITY), 5);
}

TEST_CASE("a random mask hides every token alike", "[masking]") {
  const auto mask = pixmim::random_mask(draws, 64, 0.75, {}, seeded(2));
  expect_within("random_mask, frequency of a token",
                distance(mask.mask.mean(0), at::full({64}, 0.75), INFINITY), 5);
  // Two neighbours are hidden together as often as two of 64 drawn without putting back.
  const auto both = mask.mask * mask.mask.roll({1}, {1});
  expect_within("random_mask, frequency of a pair",
                distance(both.mean(0), at::full({64}, 0.75 * 47 / 63), INFINITY), 5);
  // The first kept token is any one.
  const auto first = at::one_hot(mask.ids_keep.select(1, 0), 64).to(at::kDouble);
  expect_within("random_mask, first kept token",
                distance(first.mean(0), at::full({64}, 1.0 / 64), INFINITY), 5);
}

TEST_CASE("joint and patch-aligned masks hide every block alike, whole", "[masking]") {
  const auto joint = pixmim::joint_mask(draws, 8, 12, 0.75, 2, {}, seeded(3)).mask;
  expect_within("joint_mask, frequency of a token",
                distance(joint.mean(0), at::full({96}, 0.75), INFINITY), 5);
  const auto blocks = joint.view({draws, 4, 2, 6, 2});
  CHECK(at::equal(blocks.amin({2, 4}), blocks.amax({2, 4})));

  const auto aligned = pixmim::patch_aligned_mask(draws, {64, 96}, 16, 8, 0.5, {}, seeded(4)).mask;
  expect_within("patch_aligned_mask, frequency of a token",
                distance(aligned.mean(0), at::full({96}, 0.5), INFINITY), 5);
  const auto squares = aligned.view({draws, 4, 2, 6, 2});
  CHECK(at::equal(squares.amin({2, 4}), squares.amax({2, 4})));
}
