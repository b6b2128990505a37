// SPDX-License-Identifier: Apache-2.0
// Noise and blocks that belong to a sample, whatever batch it is in.
#include <ATen/ATen.h>
#include <pixmim/masking.hpp>

#include <cmath>

#include "support/catch.hpp"
#include "support/errors.hpp"

using support::error_of;

TEST_CASE("a sample has its noise in every batch", "[masking]") {
  const auto index = at::arange(12, at::kLong);
  const auto epoch = index.remainder(3);
  const auto all = pixmim::keyed_noise(index, epoch, 49, 7);
  CHECK(all.sizes() == at::IntArrayRef({12, 49}));
  CHECK(all.scalar_type() == at::kFloat);
  const auto order = at::tensor({5, 2, 11}, at::kLong);
  CHECK(at::equal(pixmim::keyed_noise(order, epoch.index_select(0, order), 49, 7),
                  all.index_select(0, order)));
  // Fewer tokens are the first ones; one epoch may stand for all.
  const auto second = pixmim::keyed_noise(index, at::scalar_tensor(1, at::kLong), 9, 7);
  CHECK(at::equal(second[4], all[4].slice(0, 0, 9)));
  // Strides do not matter.
  const auto strided = at::stack({index, epoch}, 1);
  CHECK(at::equal(pixmim::keyed_noise(strided.select(1, 0), strided.select(1, 1), 49, 7), all));
  CHECK(pixmim::keyed_noise(at::empty({0}, at::kLong), epoch[0], 49, 7).sizes() ==
        at::IntArrayRef({0, 49}));
}

TEST_CASE("seed, index and epoch each change the noise", "[masking]") {
  const auto noise = [](int64_t index, int64_t epoch, uint64_t seed) {
    return pixmim::keyed_noise(at::full({1}, index, at::kLong), at::scalar_tensor(epoch, at::kLong),
                               196, seed);
  };
  const auto one = noise(1, 2, 3);
  for (const auto& other : {noise(2, 2, 3), noise(1, 3, 3), noise(1, 2, 4), noise(2, 1, 3)}) {
    CHECK(one.eq(other).sum().item<int64_t>() < 3);
  }
}

TEST_CASE("the noise is uniform, and its masks hide each token alike", "[masking]") {
  constexpr int64_t samples = 20000;
  constexpr int64_t tokens = 16;
  const auto noise = pixmim::keyed_noise(at::arange(samples, at::kLong),
                                         at::scalar_tensor(0, at::kLong), tokens, 1);
  CHECK(noise.min().item<double>() >= 0);
  CHECK(noise.max().item<double>() < 1);
  const double error = std::sqrt(1.0 / 12 / (samples * tokens));
  CHECK(std::abs(noise.mean(at::kDouble).item<double>() - 0.5) < 5 * error);
  const auto share = pixmim::mask_from_noise(noise, 0.75).mask.mean(0);
  CHECK(share.sub(0.75).abs().max().item<double>() < 5 * std::sqrt(0.75 * 0.25 / samples));
}

TEST_CASE("a sample has its blocks in every batch, and others in each epoch", "[masking]") {
  const auto index = at::arange(12, at::kLong).add(int64_t{1} << 40);
  const auto epoch = at::arange(12, at::kLong).remainder(3);
  const auto options = pixmim::BlockMaskOptions(75).exact(true);
  const auto all = pixmim::block_mask(index, epoch, 14, 14, options, 7);
  CHECK(all.mask.sum(1).eq(75).all().item<bool>());
  const auto order = at::tensor({5, 2, 11}, at::kLong);
  const auto some = pixmim::block_mask(index.index_select(0, order), epoch.index_select(0, order),
                                       14, 14, options, 7);
  CHECK(at::equal(some.mask, all.mask.index_select(0, order)));
  CHECK(at::equal(some.ids_keep, all.ids_keep.index_select(0, order)));
  CHECK(at::equal(some.ids_restore, all.ids_restore.index_select(0, order)));
  const auto one = [&](int64_t number, int64_t of_epoch, uint64_t seed) {
    return pixmim::block_mask(at::full({1}, number, at::kLong),
                              at::scalar_tensor(of_epoch, at::kLong), 14, 14, options, seed)
        .mask;
  };
  CHECK(at::equal(one(1, 2, 3), one(1, 2, 3)));
  for (const auto& other : {one(2, 2, 3), one(1, 3, 3), one(1, 2, 4)}) {
    CHECK_FALSE(at::equal(one(1, 2, 3), other));
  }
  // The device is that of the options; the samples may hide different numbers.
  CHECK(pixmim::block_mask(index, epoch, 14, 14, options, 7, at::kMeta).ids_keep.is_meta());
  CHECK(pixmim::block_mask(index, epoch, 14, 14, 75, 7).mask.sum(1).le(75).all().item<bool>());
  CHECK(pixmim::block_mask(index.slice(0, 0, 0), epoch[0], 14, 14, 75, 7).mask.sizes() ==
        at::IntArrayRef({0, 196}));
}

TEST_CASE("keyed blocks have the law of drawn ones", "[masking]") {
  // The frequency of every cell, of two sets of samples that are independent of each other.
  constexpr int64_t samples = 4000;
  const auto keyed = pixmim::block_mask(at::arange(samples, at::kLong),
                                        at::scalar_tensor(0, at::kLong), 10, 10, 30, 5)
                         .mask.mean(0);
  const auto drawn = pixmim::block_mask(samples, 10, 10, 30).mask.mean(0);
  CHECK(keyed.sub(drawn).abs().max().item<double>() < 5 * std::sqrt(2 * 0.25 / samples));
}

TEST_CASE("bad sample numbers are named", "[masking]") {
  const auto good = at::arange(4, at::kLong);
  const auto error = [&](const at::Tensor& index, const at::Tensor& epoch, int64_t tokens = 9) {
    return error_of([&] { pixmim::keyed_noise(index, epoch, tokens, 0); });
  };
  CHECK_THAT(error(at::Tensor(), good), ContainsSubstring("keyed_noise: expected `index`"));
  CHECK_THAT(error(good.to(at::kInt), good),
             ContainsSubstring("expected index of dtype int64, got Int"));
  CHECK_THAT(error(good.sub(1), good), ContainsSubstring("expected index >= 0, got -1"));
  CHECK_THAT(error(good.view({2, 2}), good), ContainsSubstring("shape [N], got [2, 2]"));
  CHECK_THAT(error(good, at::arange(3, at::kLong)),
             ContainsSubstring("expected epoch of the shape of index, [4], or [], got [3]"));
  CHECK_THAT(error(good, good.sub(1)), ContainsSubstring("expected epoch >= 0, got -1"));
  CHECK_THAT(error(good, good.add(int64_t{1} << 32)),
             ContainsSubstring("expected an epoch below 2^32"));
  CHECK_THAT(error(good, good, -1), ContainsSubstring("expected tokens >= 0, got -1"));
  CHECK_THAT(error(good, good, (1 << 24) + 1),
             ContainsSubstring("expected at most 16777216 tokens a sample, got 16777217"));
  const auto of_blocks = [&](const at::Tensor& index, const at::Tensor& epoch, int64_t masked) {
    return error_of([&] { pixmim::block_mask(index, epoch, 4, 4, masked, 0); });
  };
  CHECK(of_blocks(good.sub(1), good, 4) == "block_mask: expected index >= 0, got -1");
  CHECK(of_blocks(good, good.add(int64_t{1} << 32), 4) ==
        "block_mask: expected an epoch below 2^32, got 4294967299");
  CHECK(of_blocks(good, good, 17) == "block_mask: expected num_masking_patches in [0, 16], got 17");
}
