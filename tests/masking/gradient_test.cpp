// SPDX-License-Identifier: Apache-2.0
// Gradients through `visible` and `restore`, against the official gather and finite differences.
#include <ATen/ATen.h>
#include <pixmim/masking.hpp>

#include <functional>

#include "support/catch.hpp"
#include "support/golden.hpp"

using support::largest_difference;

namespace {

/// x[n][l] -> x[n][ids[n][k]], as models_mae.py writes it.
at::Tensor gather_rows(const at::Tensor& x, const at::Tensor& ids) {
  return at::gather(x, 1, ids.unsqueeze(-1).expand({ids.size(0), ids.size(1), x.size(2)}));
}

/// The gradient of sum(weight * function(x)) by differences of both sides, in double.
at::Tensor by_differences(const at::Tensor& x, const at::Tensor& weight,
                          const std::function<at::Tensor(const at::Tensor&)>& function) {
  constexpr double step = 1e-3;
  const at::Tensor result = at::zeros_like(x);
  for (int64_t i = 0; i < x.numel(); ++i) {
    const auto value_at = [&](double shift) {
      const at::Tensor moved = x.clone();
      moved.view(-1)[i] += shift;
      return function(moved).mul(weight).sum().item<double>();
    };
    result.view(-1)[i] = (value_at(step) - value_at(-step)) / (2 * step);
  }
  return result;
}

// The functions are linear: only the cancellation in value_at is left, 1e-15 * 1e2 / 1e-3.
constexpr double differences_tolerance = 1e-9;

}  // namespace

TEST_CASE("the gradient of the visible tokens is that of the official gather", "[masking]") {
  const auto mask = pixmim::random_mask(3, 20, 0.6);
  for (const auto dtype : {at::kFloat, at::kDouble, at::kBFloat16}) {
    const auto ours = at::randn({3, 20, 5}).to(dtype).requires_grad_(true);
    const auto theirs = ours.detach().clone().requires_grad_(true);
    const auto weight = at::randn({3, 8, 5}).to(dtype);
    mask.visible(ours).backward(weight);
    gather_rows(theirs, mask.ids_keep).backward(weight);
    CHECK(ours.grad().scalar_type() == dtype);
    CHECK(at::equal(ours.grad(), theirs.grad()));
    // Hidden tokens get none, kept ones do.
    CHECK(at::equal(ours.grad().abs().sum(2).eq(0), mask.mask.eq(1)));
  }
}

TEST_CASE("the gradients of restored tokens are those of the official decoder", "[masking]") {
  const auto mask = pixmim::random_mask(2, 12, 0.75);
  const auto visible = at::randn({2, 3, 4}, at::kDouble);
  const auto token = at::randn({1, 1, 4}, at::kDouble);
  const auto weight = at::randn({2, 12, 4}, at::kDouble);

  const auto our_visible = visible.clone().requires_grad_(true);
  const auto our_token = token.clone().requires_grad_(true);
  mask.restore(our_visible, our_token).backward(weight);

  const auto their_visible = visible.clone().requires_grad_(true);
  const auto their_token = token.clone().requires_grad_(true);
  gather_rows(at::cat({their_visible, their_token.repeat({2, 9, 1})}, 1), mask.ids_restore)
      .backward(weight);
  CHECK(at::equal(our_visible.grad(), their_visible.grad()));
  CHECK(largest_difference(our_token.grad(), their_token.grad()) < 1e-13);
  CHECK(our_token.grad().sizes() == token.sizes());
}

TEST_CASE("gradients equal finite differences", "[masking]") {
  const auto mask = pixmim::joint_mask(2, 3, 4, 0.5, 2);
  const auto tokens = at::randn({2, 12, 3}, at::kDouble);
  const auto visible = at::randn({2, 6, 3}, at::kDouble);
  const auto token = at::randn({3}, at::kDouble);
  const auto weight = at::randn({2, 12, 3}, at::kDouble);

  const auto x = tokens.clone().requires_grad_(true);
  mask.visible(x).backward(weight.narrow(1, 0, 6));
  CHECK(largest_difference(
            x.grad(), by_differences(tokens, weight.narrow(1, 0, 6), [&](const at::Tensor& moved) {
              return mask.visible(moved);
            })) < differences_tolerance);

  const auto v = visible.clone().requires_grad_(true);
  const auto t = token.clone().requires_grad_(true);
  mask.restore(v, t).backward(weight);
  CHECK(largest_difference(v.grad(), by_differences(visible, weight, [&](const at::Tensor& moved) {
                             return mask.restore(moved, token);
                           })) < differences_tolerance);
  CHECK(largest_difference(t.grad(), by_differences(token, weight, [&](const at::Tensor& moved) {
                             return mask.restore(visible, moved);
                           })) < differences_tolerance);
}

TEST_CASE("a mask that keeps nothing still gives the mask token its gradient", "[masking]") {
  const auto mask = pixmim::random_mask(2, 6, 1);
  const auto token = at::zeros({4}).requires_grad_(true);
  mask.restore(at::empty({2, 0, 4}), token).sum().backward();
  CHECK(at::equal(token.grad(), at::full({4}, 12.0)));
}

TEST_CASE("masks carry no graph, and the grad mode stays as it was", "[masking]") {
  const auto noise = at::rand({2, 4}).requires_grad_(true);
  CHECK_FALSE(pixmim::mask_from_noise(noise, 0.5).mask.requires_grad());
  CHECK_FALSE(pixmim::joint_mask_from_noise(noise, 4, 4, 0.5, 2).mask.requires_grad());
  CHECK_FALSE(pixmim::patch_aligned_mask_from_noise(noise, 64, 32, 4, 0.5).mask.requires_grad());
  pixmim::block_mask(1, 4, 4, 6);
  CHECK(at::GradMode::is_enabled());
}
