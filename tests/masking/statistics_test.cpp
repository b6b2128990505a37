// SPDX-License-Identifier: Apache-2.0
// How often each token is hidden: against counts of the official BEiT, and against uniformity.
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <pixmim/masking.hpp>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

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

/// How far the distributions of two samples are apart at the most, in units of sqrt(1/n + 1/m).
/// Kolmogorov and Smirnov: more than 1.95 for 1 of 1,000 pairs of samples of one distribution.
double kolmogorov_distance(const at::Tensor& a, const at::Tensor& b) {
  const auto smallest = std::min(a.min().item<int64_t>(), b.min().item<int64_t>());
  const auto size = std::max(a.max().item<int64_t>(), b.max().item<int64_t>()) - smallest + 1;
  const auto distribution = [&](const at::Tensor& values) {
    return at::bincount(values - smallest, {}, size).to(at::kDouble).cumsum(0) / values.numel();
  };
  const double n = static_cast<double>(a.numel());
  const double m = static_cast<double>(b.numel());
  return (distribution(a) - distribution(b)).abs().max().item<double>() / std::sqrt(1 / n + 1 / m);
}

/// Pearson's sum for how often each of the units, alike likely and a fixed number of them a sample, is
/// masked in `mask` [draws,units], in standard deviations from what it is expected to be.
double chi_square(const at::Tensor& mask) {
  const auto units = static_cast<double>(mask.size(1));
  const auto samples = static_cast<double>(mask.size(0));
  const double share = mask[0].mean().item<double>();
  const double variance = samples * share * (1 - share) * units / (units - 1);
  const double sum =
      mask.to(at::kDouble).sum(0).sub(samples * share).square().sum().item<double>() / variance;
  return std::abs(sum - (units - 1)) / std::sqrt(2 * (units - 1));
}

/// A grid that writes down the blocks that are hidden.
struct Diary {
  pixmim::detail::CellGrid cells;
  std::vector<int64_t> heights, widths;

  int64_t height() const { return cells.height(); }
  int64_t width() const { return cells.width(); }
  bool is_hidden(int64_t y, int64_t x) const { return cells.is_hidden(y, x); }
  int64_t count_visible(int64_t top, int64_t left, int64_t rows, int64_t columns) const {
    return cells.count_visible(top, left, rows, columns);
  }
  void hide(int64_t top, int64_t left, int64_t rows, int64_t columns) {
    heights.push_back(rows);
    widths.push_back(columns);
    cells.hide(top, left, rows, columns);
  }
};

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

TEST_CASE("blocks have the sizes and the aspects of those of BEiT", "[masking]") {
  const Golden golden = support::golden("beit_original_14x14_n75");
  const auto options = options_of(golden);
  pixmim::detail::PaintPlan plan = {};
  plan.grid_h = plan.grid_w = 14;
  plan.count = options.num_masking_patches();
  plan.min_area = options.min_num_patches();
  plan.max_area = *options.max_num_patches();
  plan.min_aspect = options.min_aspect();
  plan.max_aspect = 1 / options.min_aspect();
  std::vector<int64_t> heights, widths, blocks, counts;
  for (uint64_t n = 0; n < draws; ++n) {
    pixmim::detail::PhiloxBits bits(pixmim::detail::mask_stream(11, n, 0));
    Diary diary{pixmim::detail::CellGrid(14, 14), {}, {}};
    counts.push_back(pixmim::detail::paint_blocks(plan, bits, diary));
    blocks.push_back(static_cast<int64_t>(diary.heights.size()));
    heights.insert(heights.end(), diary.heights.begin(), diary.heights.end());
    widths.insert(widths.end(), diary.widths.begin(), diary.widths.end());
  }
  const auto expect_close = [](const std::string& what, const at::Tensor& ours,
                               const at::Tensor& theirs) {
    const double distance = kolmogorov_distance(ours, theirs);
    support::report("beit_original " + what + " (Kolmogorov's distance)", distance, 1.95);
    CHECK(distance <= 1.95);
  };
  const at::Tensor height = at::tensor(heights, at::kLong);
  const at::Tensor width = at::tensor(widths, at::kLong);
  const at::Tensor& their_height = golden["block_heights"];
  const at::Tensor& their_width = golden["block_widths"];
  expect_close("heights of blocks", height, their_height);
  expect_close("widths of blocks", width, their_width);
  expect_close("areas of blocks", height * width, their_height * their_width);
  // In 1/840, which all sides up to 8 divide.
  const auto aspect = [](const at::Tensor& h, const at::Tensor& w) {
    return h.mul(840).div(w, "floor");
  };
  expect_close("aspects of blocks", aspect(height, width), aspect(their_height, their_width));
  expect_close("blocks of a mask", at::tensor(blocks, at::kLong), golden["blocks"]);
  expect_close("counts", at::tensor(counts, at::kLong), golden["counts"]);
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

TEST_CASE("every maker of uniform masks hides every unit alike", "[masking]") {
  constexpr int64_t many = 4000;
  const auto check = [](const std::string& what, const at::Tensor& units) {
    expect_within(what + ", Pearson's sum", chi_square(units), 4);
  };
  check("random_mask", pixmim::random_mask(many, 196, 0.75, {}, seeded(21)).mask);
  check("mask_from_noise", pixmim::mask_from_noise(at::rand({many, 196}, seeded(22)), 0.75).mask);
  // A token stands for its unit.
  const auto corners = [](const at::Tensor& mask, int64_t height, int64_t width, int64_t step) {
    return mask.view({many, height, width})
        .slice(1, 0, height, step)
        .slice(2, 0, width, step)
        .flatten(1);
  };
  check("joint_mask",
        corners(pixmim::joint_mask(many, 8, 12, 0.75, 2, {}, seeded(23)).mask, 8, 12, 2));
  check("grid_mask",
        corners(pixmim::grid_mask(many, 16, 16, 0.75, 4, {}, seeded(24)).mask, 16, 16, 4));
  check("patch_aligned_mask",
        corners(pixmim::patch_aligned_mask(many, 192, 32, 4, 0.5, {}, seeded(25)).mask, 48, 48, 8));
}

TEST_CASE("every order of the tokens is alike likely", "[masking]") {
  constexpr int64_t many = 24000;
  const auto order = pixmim::random_mask(many, 4, 0, {}, seeded(31)).ids_keep;
  const auto code = order.mul(at::tensor({64, 16, 4, 1}, at::kLong)).sum(1);
  const auto counts = at::bincount(code, {}, 256).to(at::kDouble);
  const auto seen = counts.index_select(0, counts.nonzero().flatten());
  REQUIRE(seen.numel() == 24);
  const double expected = static_cast<double>(many) / 24;
  const double sum = seen.sub(expected).square().sum().item<double>() / expected;
  expect_within("random_mask, orders of four, Pearson's sum", std::abs(sum - 23) / std::sqrt(46.0),
                4);
}
