// SPDX-License-Identifier: Apache-2.0
// The other ways through a TokenMask: masked tokens, mask tokens in their place, another device.
#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>
#include <pixmim/masking.hpp>

#include <cstddef>
#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/threads.hpp"

using pixmim::TokenMask;
using support::error_of;
namespace engine = pixmim::detail;

namespace {

using Function = std::function<at::Tensor(const std::vector<at::Tensor>&)>;

/// Gradients of sum(weight * function^3), then of the sum of their squares: of whole numbers, without a
/// rounding, as long as they are small.
std::vector<at::Tensor> two_orders(const Function& function, const std::vector<at::Tensor>& at) {
  std::vector<at::Tensor> inputs;
  for (const auto& x : at) inputs.push_back(x.clone().requires_grad_());
  const at::Tensor y = function(inputs);
  const at::Tensor weight = at::arange(y.numel(), y.options()).remainder(5).view(y.sizes());
  auto result = torch::autograd::grad({y.pow(3).mul(weight).sum()}, inputs, {}, true, true);
  at::Tensor squares = at::zeros({}, y.options());
  for (const auto& gradient : result) squares = squares + gradient.pow(2).sum();
  for (const auto& second : torch::autograd::grad({squares}, inputs)) result.push_back(second);
  return result;
}

void expect_same_gradients(const Function& ours, const Function& theirs,
                           const std::vector<at::Tensor>& inputs) {
  const auto expected = two_orders(theirs, inputs);
  const auto results = two_orders(ours, inputs);
  REQUIRE(results.size() == expected.size());
  for (std::size_t i = 0; i < results.size(); ++i) CHECK(at::equal(results[i], expected[i]));
}

/// Small whole numbers.
at::Tensor whole(at::IntArrayRef shape, at::ScalarType dtype = at::kDouble) {
  return at::randint(-3, 4, shape).to(dtype);
}

const std::vector<at::ScalarType>& dtypes() {
  static const std::vector<at::ScalarType> all = {
      at::kHalf, at::kBFloat16, at::kFloat,        at::kDouble,       at::kLong,
      at::kByte, at::kBool,     at::kComplexFloat, at::kComplexDouble};
  return all;
}

/// A mask whose samples hide different numbers of tokens.
TokenMask uneven(int64_t batch, int64_t tokens) {
  return {at::rand({batch, tokens}).lt(0.6).to(at::kFloat), at::Tensor(), at::Tensor()};
}

}  // namespace

TEST_CASE("masked tokens are those that visible leaves, in order of the ids", "[masking]") {
  for (const double ratio : {0.0, 0.7, 1.0}) {
    const TokenMask mask = pixmim::random_mask(3, 20, ratio);
    const int64_t kept = mask.ids_keep.size(1);
    const at::Tensor ids = mask.ids_masked();
    CHECK(ids.scalar_type() == at::kLong);
    CHECK(ids.is_contiguous());
    CHECK(at::equal(at::cat({mask.ids_keep, ids}, 1), mask.ids_restore.argsort(int64_t{1})));
    for (const auto dtype : dtypes()) {
      for (const std::vector<int64_t>& shape :
           std::vector<std::vector<int64_t>>{{3, 20}, {3, 20, 0}, {3, 20, 67}, {3, 20, 2, 3, 5}}) {
        const at::Tensor tokens = at::randn(shape).mul(100).to(dtype);
        const at::Tensor masked = mask.masked(tokens);
        CHECK(masked.size(1) == 20 - kept);
        CHECK(masked.scalar_type() == dtype);
        CHECK(at::equal(masked, engine::pick_rows(tokens, ids)));
      }
    }
    const at::Tensor turned = at::randn({3, 5, 20}).transpose(1, 2);
    CHECK(at::equal(mask.masked(turned), engine::pick_rows(turned, ids)));
    expect_same_gradients(
        [&](const std::vector<at::Tensor>& x) { return mask.masked(x[0]); },
        [&](const std::vector<at::Tensor>& x) { return engine::pick_rows(x[0], ids); },
        {whole({3, 20, 4})});
  }
  const TokenMask none = pixmim::random_mask(0, 20, 0.7);
  CHECK(none.masked(at::zeros({0, 20, 4})).sizes() == at::IntArrayRef({0, 14, 4}));
  const TokenMask empty = pixmim::random_mask(2, 0, 0.7);
  CHECK(empty.masked(at::zeros({2, 0, 4})).sizes() == at::IntArrayRef({2, 0, 4}));
  CHECK(empty.ids_masked().sizes() == at::IntArrayRef({2, 0}));
}

TEST_CASE("mask tokens stand in the place of masked tokens", "[masking]") {
  for (const TokenMask& mask : {pixmim::random_mask(3, 20, 0.7), pixmim::random_mask(3, 20, 0),
                                pixmim::random_mask(3, 20, 1), uneven(3, 20)}) {
    const at::Tensor hidden = mask.mask.ne(0);
    for (const auto dtype : dtypes()) {
      const at::Tensor tokens = at::randn({3, 20, 7}).mul(100).to(dtype);
      const at::Tensor token = at::randn({7}).mul(100).to(dtype);
      const at::Tensor filled = mask.masked_fill(tokens, token);
      CHECK(filled.scalar_type() == dtype);
      CHECK(at::equal(filled, engine::fill_by_operators(tokens, token, hidden)));
      CHECK(at::equal(mask.masked_fill(tokens, token.view({1, 1, 7})), filled));
      const at::Tensor turned = tokens.permute({2, 0, 1}).contiguous().permute({1, 2, 0});
      const at::Tensor spread = at::stack({token, token}, 1).select(1, 0);
      CHECK(at::equal(mask.masked_fill(turned, spread), filled));
    }
    const auto ours = [&](const std::vector<at::Tensor>& x) {
      return mask.masked_fill(x[0], x[1]);
    };
    const auto theirs = [&](const std::vector<at::Tensor>& x) {
      return engine::fill_by_operators(x[0], x[1], hidden);
    };
    const at::Tensor tokens = whole({3, 20, 4});
    const at::Tensor token = whole({1, 1, 4});
    expect_same_gradients(ours, theirs, {tokens, token});
    expect_same_gradients(
        [&](const std::vector<at::Tensor>& x) { return mask.masked_fill(x[0], token); },
        [&](const std::vector<at::Tensor>& x) {
          return engine::fill_by_operators(x[0], token, hidden);
        },
        {tokens});
    expect_same_gradients(
        [&](const std::vector<at::Tensor>& x) { return mask.masked_fill(tokens, x[0]); },
        [&](const std::vector<at::Tensor>& x) {
          return engine::fill_by_operators(tokens, x[0], hidden);
        },
        {token});
  }
  for (const auto& [batch, tokens] : std::vector<std::pair<int64_t, int64_t>>{{0, 6}, {2, 0}}) {
    const auto mask = pixmim::random_mask(batch, tokens, 0.5);
    const auto token = at::zeros({4}).requires_grad_();
    const auto filled = mask.masked_fill(at::zeros({batch, tokens, 4}), token);
    CHECK(filled.sizes() == at::IntArrayRef({batch, tokens, 4}));
    filled.sum().backward();
    CHECK(at::equal(token.grad(), at::zeros({4})));
  }
}

TEST_CASE("filled tokens have the wider dtype, gradients the dtype of each", "[masking]") {
  const auto mask = pixmim::random_mask(2, 12, 0.75);
  const auto tokens = whole({2, 12, 4}, at::kBFloat16).requires_grad_();
  const auto token = whole({1, 1, 4}, at::kFloat).requires_grad_();
  const auto weight = whole({2, 12, 4}, at::kFloat);
  const auto filled = mask.masked_fill(tokens, token);
  REQUIRE(filled.scalar_type() == at::kFloat);
  filled.backward(weight);
  const at::Tensor hidden = mask.mask.unsqueeze(2);
  CHECK(at::equal(tokens.grad(), weight.mul(1 - hidden).to(at::kBFloat16)));
  CHECK(at::equal(token.grad(), weight.mul(hidden).sum(at::IntArrayRef({0, 1}), true)));
  // What was masked may be anything: it does not reach the result, nor a gradient.
  const auto strange = at::full({2, 12, 4}, std::numeric_limits<float>::quiet_NaN());
  CHECK(mask.masked_fill(strange, token).isnan().eq(hidden.eq(0)).all().item<bool>());
}

TEST_CASE("masked and filled tokens are alike with any number of threads", "[masking]") {
  const auto mask = pixmim::random_mask(32, 196, 0.75);
  const at::Tensor tokens = at::randn({32, 196, 129});
  const at::Tensor token = at::randn({129});
  const auto all = [&] {
    const auto x = tokens.clone().requires_grad_();
    const auto t = token.clone().requires_grad_();
    const at::Tensor masked = mask.masked(x);
    const at::Tensor filled = mask.masked_fill(x, t);
    masked.pow(2).sum().backward();
    filled.backward(tokens);
    return std::vector<at::Tensor>{masked.detach(), filled.detach(), x.grad(), t.grad()};
  };
  const auto one = support::with_threads(1, all);
  const auto two = support::with_threads(2, all);
  for (std::size_t i = 0; i < one.size(); ++i) CHECK(at::equal(one[i], two[i]));
}

TEST_CASE("a mask moves to another device, and nothing else of it changes", "[masking]") {
  const auto mask = pixmim::random_mask(3, 20, 0.7);
  // A device without memory: where there is one, [cuda] tests move values.
  const TokenMask there = mask.to(at::kMeta, /*non_blocking=*/true);
  for (const auto& [ours, given] :
       std::vector<std::pair<at::Tensor, at::Tensor>>{{there.mask, mask.mask},
                                                      {there.ids_keep, mask.ids_keep},
                                                      {there.ids_restore, mask.ids_restore}}) {
    CHECK(ours.is_meta());
    CHECK(ours.sizes() == given.sizes());
    CHECK(ours.scalar_type() == given.scalar_type());
  }
  // Only the device of the options is read; without one, or where it is there, tensors are shared.
  for (const auto& options : {at::TensorOptions(at::kHalf), at::TensorOptions(at::kCPU),
                              at::TensorOptions(at::kCPU).dtype(at::kInt)}) {
    const TokenMask here = mask.to(options);
    CHECK(here.mask.is_same(mask.mask));
    CHECK(here.ids_keep.is_same(mask.ids_keep));
    CHECK(here.ids_restore.is_same(mask.ids_restore));
  }
  CHECK(there.to(at::kHalf).mask.is_meta());
  const TokenMask counts = uneven(3, 20).to(at::kMeta);
  CHECK(counts.mask.is_meta());
  CHECK_FALSE(counts.ids_keep.defined());
}

TEST_CASE("tokens that do not fit masked and masked_fill are named", "[masking]") {
  TokenMask mask = pixmim::random_mask(2, 16, 0.75);
  const auto masked = [&](const at::Tensor& tokens) {
    return error_of([&] { mask.masked(tokens); });
  };
  const at::Tensor meta = at::empty({2, 16, 3}, at::device(at::kMeta));
  CHECK(masked({}) == "TokenMask::masked: expected `tokens` to be a tensor, got an undefined one");
  CHECK(masked(at::zeros({2, 15, 3})) ==
        "TokenMask::masked: expected tokens of shape [2,16,D], got [2, 15, 3]");
  CHECK(masked(meta) ==
        "TokenMask::masked: expected tokens on the device of the mask, cpu, got meta");

  const auto fill = [&](const at::Tensor& tokens, const at::Tensor& token) {
    return error_of([&] { mask.masked_fill(tokens, token); });
  };
  const std::string caller = "TokenMask::masked_fill: ";
  const at::Tensor tokens = at::zeros({2, 16, 3});
  const at::Tensor token = at::zeros({3});
  CHECK(fill({}, token) == caller + "expected `tokens` to be a tensor, got an undefined one");
  CHECK(fill(tokens, {}) == caller + "expected `mask_token` to be a tensor, got an undefined one");
  CHECK(fill(meta, token) == caller + "expected tokens on the device of the mask, cpu, got meta");
  CHECK(fill(tokens, meta) ==
        caller + "expected mask_token on the device of the mask, cpu, got meta");
  CHECK(fill(at::zeros({2, 16}), token) ==
        caller + "expected tokens of shape [N,L,D], got [2, 16]");
  CHECK(fill(at::zeros({2, 15, 3}), token) ==
        caller + "expected mask of shape [2,15], got [2, 16]");
  CHECK(fill(tokens, at::zeros({4})) ==
        caller + "expected mask_token of shape [3] or [1,1,3], got [4]");

  mask.ids_restore = mask.ids_restore.clone();
  mask.ids_restore[1][0] = 99;
  CHECK(masked(tokens) == "TokenMask: expected ids_restore in [0, 16), got 99");
  CHECK(error_of([&] { mask.ids_masked(); }) ==
        "TokenMask: expected ids_restore in [0, 16), got 99");
  mask.ids_keep = at::Tensor();
  CHECK_THAT(masked(tokens),
             ContainsSubstring("TokenMask::masked: expected a mask that keeps one"));
  CHECK_THAT(error_of([&] { mask.ids_masked(); }),
             ContainsSubstring("TokenMask::ids_masked: expected a mask that keeps one number"));
  mask.mask = at::Tensor();
  CHECK(fill(tokens, token) == caller + "expected `mask` to be a tensor, got an undefined one");
}
