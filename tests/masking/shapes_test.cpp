// SPDX-License-Identifier: Apache-2.0
// Dtypes, ranks and strides that the masks promise to take.
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <pixmim/masking.hpp>

#include <vector>

#include "support/catch.hpp"

namespace {

/// The kept tokens one by one.
at::Tensor picked(const pixmim::TokenMask& mask, const at::Tensor& tokens) {
  std::vector<at::Tensor> samples;
  for (int64_t n = 0; n < tokens.size(0); ++n) {
    std::vector<at::Tensor> rows;
    for (int64_t k = 0; k < mask.ids_keep.size(1); ++k) {
      rows.push_back(tokens[n][mask.ids_keep[n][k].item<int64_t>()]);
    }
    samples.push_back(at::stack(rows));
  }
  return at::stack(samples);
}

}  // namespace

TEST_CASE("visible tokens and restored ones keep dtype and values", "[masking]") {
  const auto mask = pixmim::random_mask(3, 20, 0.7);
  for (const auto dtype :
       {at::kHalf, at::kBFloat16, at::kFloat, at::kDouble, at::kLong, at::kByte, at::kBool}) {
    INFO(c10::toString(dtype));
    const auto tokens = at::randint(200, {3, 20, 4}).to(dtype);
    const auto visible = mask.visible(tokens);
    CHECK(visible.scalar_type() == dtype);
    CHECK(at::equal(visible, picked(mask, tokens)));

    const auto token = at::arange(4).to(dtype);
    for (const auto& given : {token, token.view({1, 1, 4})}) {
      const auto full = mask.restore(visible, given);
      CHECK(full.scalar_type() == dtype);
      const auto masked = mask.mask.eq(1).unsqueeze(2);
      CHECK(at::equal(full, at::where(masked, token, tokens)));
    }
  }
}

TEST_CASE("restored tokens have the wider dtype of the two", "[masking]") {
  const auto mask = pixmim::random_mask(2, 8, 0.5);
  const auto visible = at::ones({2, 4, 3}, at::kBFloat16);
  CHECK(mask.restore(visible, at::zeros({3})).scalar_type() == at::kFloat);
  const auto wide = mask.restore(visible.to(at::kFloat), at::full({3}, 0.1, at::kDouble));
  CHECK(wide.scalar_type() == at::kDouble);
  CHECK(wide.sum().item<double>() == Approx(2 * 4 * 3 * 1.1).epsilon(1e-12));
}

TEST_CASE("visible takes tokens of any rank from two on", "[masking]") {
  const auto mask = pixmim::random_mask(3, 20, 0.7);
  for (const std::vector<int64_t>& shape : std::vector<std::vector<int64_t>>{
           {3, 20}, {3, 20, 1}, {3, 20, 0}, {3, 20, 2, 5}, {3, 20, 2, 1, 3}}) {
    const auto tokens = at::randn(shape);
    const auto visible = mask.visible(tokens);
    CHECK(visible.size(1) == 6);
    CHECK(at::equal(visible, picked(mask, tokens)));
  }
}

TEST_CASE("strides of tokens, noise and masks do not matter", "[masking]") {
  const auto noise = at::rand({20, 3}).t();
  const auto mask = pixmim::mask_from_noise(noise, 0.7);
  CHECK(at::equal(mask.ids_restore, pixmim::mask_from_noise(noise.contiguous(), 0.7).ids_restore));
  CHECK(mask.ids_keep.is_contiguous());

  const auto tokens = at::randn({3, 4, 20}).transpose(1, 2);
  CHECK_FALSE(tokens.is_contiguous());
  CHECK(at::equal(mask.visible(tokens), picked(mask, tokens)));
  const auto one_sample = at::randn({1, 20, 4}).expand({3, 20, 4});
  CHECK(at::equal(mask.visible(one_sample), picked(mask, one_sample)));
  const auto without_class_token = at::randn({3, 21, 4}).narrow(1, 1, 20);
  CHECK(at::equal(mask.visible(without_class_token), picked(mask, without_class_token)));

  const auto visible = at::randn({3, 4, 6}).transpose(1, 2);
  const auto token = at::randn({8}).slice(0, 0, 8, 2);
  CHECK(at::equal(mask.restore(visible, token),
                  mask.restore(visible.contiguous(), token.contiguous())));
}

TEST_CASE("noise of any floating dtype is ordered by its values", "[masking]") {
  const auto noise = at::randperm(64).view({1, 64});
  const auto expected = pixmim::mask_from_noise(noise.to(at::kFloat), 0.75);
  for (const auto dtype : {at::kHalf, at::kBFloat16, at::kDouble}) {
    const auto mask = pixmim::mask_from_noise(noise.to(dtype), 0.75);
    CHECK(at::equal(mask.ids_restore, expected.ids_restore));
    CHECK(mask.mask.scalar_type() == at::kFloat);
  }
}

TEST_CASE("only the device of the options is read", "[masking]") {
  const auto options = at::TensorOptions(at::kDouble).requires_grad(true);
  const auto block = pixmim::BlockMaskOptions(4).exact(true);
  for (const auto& mask :
       {pixmim::random_mask(2, 16, 0.5, options), pixmim::joint_mask(2, 4, 4, 0.5, 2, options),
        pixmim::block_mask(2, 4, 4, block, options),
        pixmim::patch_aligned_mask(2, 16, 8, 4, 0.5, options)}) {
    CHECK(mask.mask.scalar_type() == at::kFloat);
    CHECK(mask.ids_keep.scalar_type() == at::kLong);
    CHECK_FALSE(mask.mask.requires_grad());
  }
  // Nor is the noise drawn in a narrower dtype, which would make many values equal.
  const auto noise_seed = [] { return at::make_generator<at::CPUGeneratorImpl>(4); };
  const auto narrow = pixmim::random_mask(1, 4096, 0.5, at::kHalf, noise_seed());
  CHECK(at::equal(narrow.mask, pixmim::random_mask(1, 4096, 0.5, {}, noise_seed()).mask));
}

TEST_CASE("a finer mask repeats each cell, on grids of any shape and dtype", "[masking]") {
  for (const auto dtype : {at::kBool, at::kLong, at::kHalf, at::kFloat}) {
    const auto mask = at::randint(2, {2, 15}).to(dtype);
    const auto fine = pixmim::upsample_mask(mask, {3, 5}, 4);
    REQUIRE(fine.sizes() == at::IntArrayRef({2, 1, 12, 20}));
    CHECK(fine.scalar_type() == dtype);
    bool right = true;
    for (int64_t y = 0; y < 12; ++y) {
      for (int64_t x = 0; x < 20; ++x) {
        const auto cell = fine.select(1, 0).select(1, y).select(1, x);
        right = right && at::equal(cell, mask.select(1, y / 4 * 5 + x / 4));
      }
    }
    CHECK(right);
  }
  const auto turned = at::rand({12, 2}).t();
  CHECK(at::equal(pixmim::upsample_mask(turned, {3, 4}, 2),
                  pixmim::upsample_mask(turned.contiguous(), {3, 4}, 2)));
  CHECK(pixmim::upsample_mask(at::empty({0, 6}), {2, 3}, 2).sizes() ==
        at::IntArrayRef({0, 1, 4, 6}));
}

TEST_CASE("blocks of extreme aspects end and stay in the grid", "[masking]") {
  for (const double aspect : {1e-30, 1e-300, 1e30}) {
    const auto options = pixmim::BlockMaskOptions(9)
                             .min_aspect(std::min(aspect, 1.0))
                             .max_aspect(std::max(aspect, 1.0));
    CHECK(pixmim::block_mask(3, 6, 6, options).mask.sum().item<double>() <= 27);
    auto exact = options;
    CHECK(pixmim::block_mask(3, 6, 6, exact.exact(true)).mask.sum().item<double>() == 27);
  }
}
