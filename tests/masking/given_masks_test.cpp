// SPDX-License-Identifier: Apache-2.0
// A TokenMask of what a trainer has already: a mask, or ids.
#include <ATen/ATen.h>
#include <pixmim/masking.hpp>

#include <limits>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/threads.hpp"

using pixmim::TokenMask;
using support::error_of;
namespace engine = pixmim::detail;

namespace {

void expect_same(const TokenMask& ours, const TokenMask& expected) {
  CHECK(ours.mask.scalar_type() == at::kFloat);
  CHECK(at::equal(ours.mask, expected.mask));
  CHECK(at::equal(ours.ids_keep, expected.ids_keep));
  CHECK(at::equal(ours.ids_restore, expected.ids_restore));
}

/// Both kinds of tokens by position: the order of a mask alone, which is stable.
TokenMask by_position(const at::Tensor& mask, int64_t kept) {
  const at::Tensor order = at::argsort(mask.to(at::kFloat), /*stable=*/true, /*dim=*/1);
  return {mask.to(at::kFloat), order.narrow(1, 0, kept).clone(), order.argsort(int64_t{1})};
}

}  // namespace

TEST_CASE("a mask of any dtype and strides gives its TokenMask", "[masking]") {
  for (const double ratio : {0.0, 0.6, 1.0}) {
    const at::Tensor mask = pixmim::random_mask(5, 20, ratio).mask;
    const int64_t kept = 20 - mask[0].sum().item<int64_t>();
    const TokenMask expected = by_position(mask, kept);
    for (const auto dtype :
         {at::kBool, at::kByte, at::kInt, at::kLong, at::kHalf, at::kBFloat16, at::kDouble}) {
      expect_same(pixmim::token_mask(mask.to(dtype)), expected);
      expect_same(pixmim::token_mask(mask.to(dtype).t().contiguous().t()), expected);
    }
    expect_same(engine::mask_of_hidden_by_operators(mask.ne(0), kept), expected);
  }
  // Of no samples all tokens are kept; samples may have none.
  CHECK(pixmim::token_mask(at::zeros({0, 7})).ids_keep.sizes() == at::IntArrayRef({0, 7}));
  CHECK(pixmim::token_mask(at::zeros({3, 0})).ids_restore.sizes() == at::IntArrayRef({3, 0}));
  // The result is the trainer's to write into: it is no view of what was given.
  const at::Tensor given = at::tensor({1.0F, 0.0F}).view({1, 2});
  pixmim::token_mask(given).mask.fill_(5);
  CHECK(given.sum().item<float>() == 1);
  CHECK_FALSE(pixmim::token_mask(given.clone().requires_grad_()).mask.requires_grad());
}

TEST_CASE("ids of kept tokens give their TokenMask, in the order that they have", "[masking]") {
  for (const double ratio : {0.0, 0.6, 1.0}) {
    const TokenMask drawn = pixmim::random_mask(5, 20, ratio);
    const TokenMask mask = pixmim::mask_from_ids(drawn.ids_keep, 20);
    CHECK(at::equal(mask.mask, drawn.mask));
    CHECK(at::equal(mask.ids_keep, drawn.ids_keep));
    const int64_t kept = drawn.ids_keep.size(1);
    CHECK(at::equal(mask.ids_restore.masked_select(drawn.mask.eq(0)),
                    drawn.ids_restore.masked_select(drawn.mask.eq(0))));
    CHECK(at::equal(mask.ids_restore.masked_select(drawn.mask.eq(1)),
                    at::arange(kept, 20).repeat({5})));
    expect_same(engine::mask_of_kept_by_operators(drawn.ids_keep, 20), mask);
    // As MAE has them: the first of a permutation, which is a view.
    const at::Tensor ids_shuffle = drawn.ids_restore.argsort(int64_t{1});
    expect_same(pixmim::mask_from_ids(ids_shuffle.slice(1, 0, kept), 20), mask);

    const auto tokens = at::randn({5, 20, 3});
    CHECK(at::equal(mask.visible(tokens), drawn.visible(tokens)));
    CHECK(at::equal(mask.restore(mask.visible(tokens), at::zeros({3})),
                    tokens.masked_fill(drawn.mask.ne(0).unsqueeze(2), 0)));
  }
  CHECK(pixmim::mask_from_ids(at::empty({0, 3}, at::kLong), 7).mask.sizes() ==
        at::IntArrayRef({0, 7}));
  CHECK(pixmim::mask_from_ids(at::empty({2, 0}, at::kLong), 0).ids_restore.sizes() ==
        at::IntArrayRef({2, 0}));
}

TEST_CASE("masks of given ones do not depend on the number of threads", "[masking]") {
  const TokenMask drawn = pixmim::random_mask(300, 196, 0.75);
  const auto of_mask = [&] { return pixmim::token_mask(drawn.mask); };
  const auto of_ids = [&] { return pixmim::mask_from_ids(drawn.ids_keep, 196); };
  expect_same(support::with_threads(2, of_mask), support::with_threads(1, of_mask));
  expect_same(support::with_threads(2, of_ids), support::with_threads(1, of_ids));
}

TEST_CASE("masks that are none are named", "[masking]") {
  const auto error = [](const at::Tensor& mask) {
    return error_of([&] { pixmim::token_mask(mask); });
  };
  const std::string caller = "token_mask: ";
  CHECK(error({}) == caller + "expected `masked` to be a tensor, got an undefined one");
  CHECK(error(at::zeros({4})) == caller + "expected a mask of shape [N,L], got [4]");
  CHECK(error(at::zeros({2, 2}, at::kComplexFloat)) ==
        caller + "expected a mask of a real dtype, got ComplexFloat");
  CHECK(error(at::zeros({1}, at::kBool).expand({1, (1 << 24) + 1})) ==
        caller + "expected at most 16777216 tokens a sample, got 16777217");
  at::Tensor uneven = at::zeros({4, 6});
  uneven.narrow(1, 0, 3).fill_(1);
  uneven[2][1] = 0;
  CHECK(error(uneven) ==
        caller + "expected every sample to mask as many tokens as sample 0, 3, got 2 in sample 2");
  for (const double value : {0.5, 2.0, -1.0, std::numeric_limits<double>::infinity()}) {
    uneven[1][1] = value;
    CHECK_THAT(error(uneven),
               ContainsSubstring("expected a mask of 0 (kept) and 1 (masked), got "));
  }
  uneven[1][1] = std::numeric_limits<double>::quiet_NaN();
  CHECK(error(uneven) == caller + "expected a mask of 0 (kept) and 1 (masked), got nan");
}

TEST_CASE("ids that are none are named", "[masking]") {
  const auto error = [](const at::Tensor& ids, int64_t tokens = 8) {
    return error_of([&] { pixmim::mask_from_ids(ids, tokens); });
  };
  const auto ids = [](std::vector<int64_t> values) {
    return at::tensor(values, at::kLong).view({2, -1});
  };
  const std::string caller = "mask_from_ids: ";
  CHECK(error({}) == caller + "expected `ids_keep` to be a tensor, got an undefined one");
  CHECK(error(ids({0, 1}).to(at::kInt)) == caller + "expected ids_keep of dtype int64, got Int");
  CHECK(error(ids({0, 1}).flatten()) ==
        caller + "expected ids_keep of shape [N,K] with K <= 8 tokens, got [2]");
  CHECK(error(ids({0, 1, 0, 1}), 1) ==
        caller + "expected ids_keep of shape [N,K] with K <= 1 tokens, got [2, 2]");
  CHECK(error(ids({0, 1}), -1) == caller + "expected tokens >= 0, got -1");
  CHECK(error(ids({0, 1}), (1 << 24) + 1) ==
        caller + "expected at most 16777216 tokens a sample, got 16777217");
  CHECK(error(ids({0, 1, 2, 8})) == caller + "expected ids_keep in [0, 8), got 8 in sample 1");
  CHECK(error(ids({-1, 1, 2, 3})) == caller + "expected ids_keep in [0, 8), got -1 in sample 0");
  CHECK(error(ids({0, 1, 5, 5})) ==
        caller + "expected different ids_keep, got 5 twice in sample 1");
}
