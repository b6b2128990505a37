// SPDX-License-Identifier: Apache-2.0
// Noise that belongs to a sample, whatever batch it is in.
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
}
