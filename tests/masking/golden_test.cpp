// SPDX-License-Identifier: Apache-2.0
// The masks, to the bit, against those of the official implementations.
#include <ATen/ATen.h>
#include <pixmim/masking.hpp>

#include <string>

#include "support/catch.hpp"
#include "support/golden.hpp"

using pixmim::TokenMask;
using support::Golden;

namespace {

/// The ratio as it was given to the reference: a float32 one keeps other numbers of tokens.
double ratio_of(const Golden& golden) {
  return static_cast<double>(golden.integer("ratio_percent")) / 100.0;
}

void expect_same(const std::string& what, const at::Tensor& ours, const at::Tensor& expected) {
  INFO(what);
  CHECK(ours.scalar_type() == expected.scalar_type());
  const double difference = support::largest_difference(ours, expected);
  support::report(what, difference, 0);
  CHECK(difference == 0);
}

void expect_same(const TokenMask& mask, const Golden& golden) {
  expect_same(golden.name() + " mask", mask.mask, golden["mask"]);
  expect_same(golden.name() + " ids_restore", mask.ids_restore, golden["ids_restore"]);
  if (golden.has("ids_keep")) {
    expect_same(golden.name() + " ids_keep", mask.ids_keep, golden["ids_keep"]);
  }
  if (golden.has("x")) {
    expect_same(golden.name() + " visible", mask.visible(golden["x"]), golden["x_masked"]);
  }
}

}  // namespace

TEST_CASE("a random mask equals MAE's for the same noise", "[masking]") {
  for (const auto& path : support::golden_files("masking_mae_")) {
    const Golden golden(path);
    expect_same(pixmim::mask_from_noise(golden["noise"], ratio_of(golden)), golden);
  }
}

TEST_CASE("a mask and its finer stages equal ConvMAE's", "[masking]") {
  for (const auto& path : support::golden_files("masking_convmae_")) {
    const Golden golden(path);
    const auto mask = pixmim::mask_from_noise(golden["noise"], ratio_of(golden));
    expect_same(mask, golden);
    const int64_t grid_h = golden.integer("grid", 0);
    const int64_t grid_w = golden.integer("grid", 1);
    for (const int64_t scale : {2, 4}) {
      const std::string key = "mask_x" + std::to_string(scale);
      expect_same(golden.name() + " " + key,
                  pixmim::upsample_mask(mask.mask, {grid_h, grid_w}, scale), golden[key]);
    }
  }
}

TEST_CASE("a joint mask equals LSMAE's for the same noise", "[masking]") {
  for (const auto& path : support::golden_files("masking_lsmae_")) {
    const Golden golden(path);
    expect_same(pixmim::joint_mask_from_noise(golden["noise"], golden.integer("grid", 0),
                                              golden.integer("grid", 1), ratio_of(golden),
                                              golden.integer("block")),
                golden);
  }
}

TEST_CASE("a patch-aligned mask equals SimMIM's for the same noise", "[masking]") {
  for (const auto& path : support::golden_files("masking_simmim_")) {
    const Golden golden(path);
    const auto mask = pixmim::patch_aligned_mask_from_noise(
        golden["noise"], golden.integer("input_size"), golden.integer("mask_patch"),
        golden.integer("model_patch"), ratio_of(golden));
    const at::Tensor expected = golden["mask"].flatten(1).to(at::kFloat);
    expect_same(golden.name() + " mask", mask.mask, expected);
    for (int64_t n = 0; n < expected.size(0); ++n) {
      CHECK(at::equal(mask.ids_keep[n], expected[n].eq(0).nonzero().flatten()));
    }
    const int64_t scale = golden.integer("mask_patch") / golden.integer("model_patch");
    CHECK(mask.mask[0].sum().item<int64_t>() == golden.integer("mask_count") * scale * scale);
  }
}

TEST_CASE("as many tokens are kept as MAE keeps", "[masking]") {
  for (const auto& path : support::golden_files("len_keep")) {
    const Golden golden(path);
    for (int64_t i = 0; i < golden["length"].size(0); ++i) {
      const int64_t tokens = golden.integer("length", i);
      const int64_t percent = golden.integer("ratio_percent", i);
      const double ratio = static_cast<double>(percent) / 100.0;
      INFO(tokens << " tokens, " << percent << " % masked");
      const auto mask = pixmim::mask_from_noise(at::rand({1, tokens}), ratio);
      CHECK(mask.ids_keep.size(1) == golden.integer("len_keep", i));
      CHECK(pixmim::joint_mask(1, 1, tokens, ratio, 1).ids_keep.size(1) ==
            golden.integer("len_keep", i));
    }
  }
}

TEST_CASE("restored tokens and their gradients equal MAE's", "[masking]") {
  for (const auto& path : support::golden_files("restore_")) {
    const Golden golden(path);
    const auto mask = pixmim::mask_from_noise(golden["noise"], ratio_of(golden));
    expect_same(mask, golden);
    const auto visible = golden["visible"].clone().requires_grad_(true);
    const auto mask_token = golden["mask_token"].clone().requires_grad_(true);
    const auto full = mask.restore(visible, mask_token);
    expect_same(golden.name() + " restored", full.detach(), golden["expected"]);

    full.backward(golden["cotangent"]);
    expect_same(golden.name() + " grad_visible", visible.grad(), golden["grad_visible"]);
    // A sum over the masked tokens of both samples: the order of the additions is not promised.
    const auto& expected = golden["grad_mask_token"];
    const double allowed = 1e-6 * expected.abs().max().item<double>();
    const double difference = support::largest_difference(mask_token.grad(), expected);
    support::report(golden.name() + " grad_mask_token", difference, allowed);
    CHECK(difference <= allowed);
  }
}
