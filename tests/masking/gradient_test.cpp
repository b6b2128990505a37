// SPDX-License-Identifier: Apache-2.0
// Gradients through `visible` and `restore`, against the official gather and finite differences.
#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>
#include <pixmim/masking.hpp>

#include <algorithm>
#include <cstddef>
#include <functional>
#include <limits>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/golden.hpp"

using support::largest_difference;

namespace {

/// The largest difference, as a share of the largest number of `expected`.
double relative_difference(const at::Tensor& ours, const at::Tensor& expected) {
  const auto scale = expected.abs().max().item<double>();
  return largest_difference(ours, expected) / std::max(scale, std::numeric_limits<double>::min());
}

/// Uniform in [-1, 1): what is bounded has an absolute tolerance.
at::Tensor bounded(at::IntArrayRef shape) {
  return at::rand(shape, at::kDouble).mul(2).sub(1);
}

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

// The functions are linear and their numbers at most 1: only the cancellation in value_at is left, of
// a sum of 72 of them, 1e-16 * 1e2 / 1e-3.
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
  CHECK(relative_difference(our_token.grad(), their_token.grad()) < 1e-13);
  CHECK(our_token.grad().sizes() == token.sizes());
}

TEST_CASE("gradients equal finite differences", "[masking]") {
  const auto mask = pixmim::joint_mask(2, 3, 4, 0.5, 2);
  const auto tokens = bounded({2, 12, 3});
  const auto visible = bounded({2, 6, 3});
  const auto token = bounded({3});
  const auto weight = bounded({2, 12, 3});

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

TEST_CASE("second derivatives are those of the official functions", "[masking]") {
  const auto mask = pixmim::random_mask(2, 12, 0.75);
  const auto gradients = [](const at::Tensor& y, const std::vector<at::Tensor>& x,
                            const at::Tensor& cotangent, bool graph) {
    return torch::autograd::grad({y}, x, {cotangent}, graph, graph);
  };
  const auto tokens = at::randn({2, 12, 4}, at::kDouble);
  const auto latent = at::randn({2, 3, 4}, at::kDouble);
  const auto token = at::randn({4}, at::kDouble);
  // Powers make functions whose second derivatives are not zero.
  const auto of_visible = [&](bool ours) {
    const auto x = tokens.clone().requires_grad_();
    const auto y = (ours ? mask.visible(x) : gather_rows(x, mask.ids_keep)).pow(3).sum();
    const auto first = gradients(y, {x}, at::ones_like(y), true)[0];
    return gradients(first, {x}, tokens.pow(2), false)[0];
  };
  CHECK(relative_difference(of_visible(true), of_visible(false)) < 1e-13);

  const auto of_restore = [&](bool ours, bool with_visible, bool with_token) {
    const auto v = latent.clone().requires_grad_(with_visible);
    const auto t = token.clone().requires_grad_(with_token);
    std::vector<at::Tensor> inputs;
    if (with_visible) inputs.push_back(v);
    if (with_token) inputs.push_back(t);
    const auto full =
        ours ? mask.restore(v, t)
             : gather_rows(at::cat({v, t.view({1, 1, 4}).repeat({2, 9, 1})}, 1), mask.ids_restore);
    const auto y = full.pow(3).mul(tokens).sum();
    const auto first = gradients(y, inputs, at::ones_like(y), true);
    at::Tensor sum = at::zeros({}, at::kDouble);
    for (const auto& gradient : first) sum = sum + gradient.pow(2).sum();
    return gradients(sum, inputs, at::ones_like(sum), false);
  };
  for (const auto& [with_visible, with_token] :
       std::vector<std::pair<bool, bool>>{{true, true}, {true, false}, {false, true}}) {
    const auto ours = of_restore(true, with_visible, with_token);
    const auto theirs = of_restore(false, with_visible, with_token);
    REQUIRE(ours.size() == theirs.size());
    for (std::size_t i = 0; i < ours.size(); ++i) {
      CHECK(relative_difference(ours[i], theirs[i]) < 1e-12);
    }
  }
  // A gradient is a linear function of its cotangent: the derivative by that one.
  const auto v = latent.clone().requires_grad_();
  const auto cotangent = tokens.clone().requires_grad_();
  const auto pulled = gradients(mask.restore(v, token), {v}, cotangent, true)[0];
  CHECK(at::equal(gradients(pulled, {cotangent}, latent, false)[0],
                  mask.restore(latent, at::zeros({4}, at::kDouble))));
}

TEST_CASE("gradients of restored tokens have the dtype of each", "[masking]") {
  const auto mask = pixmim::random_mask(2, 12, 0.75);
  const auto latent = at::randn({2, 3, 4}).to(at::kBFloat16).requires_grad_();
  const auto token = at::randn({1, 1, 4}).requires_grad_();
  const auto weight = at::randn({2, 12, 4});
  const auto full = mask.restore(latent, token);
  REQUIRE(full.scalar_type() == at::kFloat);
  full.backward(weight);
  CHECK(at::equal(latent.grad(), mask.visible(weight).to(at::kBFloat16)));
  CHECK(relative_difference(token.grad().flatten(),
                            weight.mul(mask.mask.unsqueeze(2)).sum(at::IntArrayRef({0, 1}))) <
        1e-5);
  // Complex tokens have gradients too.
  const auto complex = at::complex(at::randn({2, 3, 4}), at::randn({2, 3, 4})).requires_grad_();
  const auto complex_token = at::complex(at::randn({4}), at::randn({4})).requires_grad_();
  const auto complex_weight = at::complex(weight, weight.sin());
  mask.restore(complex, complex_token).backward(complex_weight);
  CHECK(at::equal(complex.grad(), mask.visible(complex_weight)));
  const auto complex_sum = complex_weight.mul(mask.mask.unsqueeze(2)).sum(at::IntArrayRef({0, 1}));
  CHECK(relative_difference(at::view_as_real(complex_token.grad()), at::view_as_real(complex_sum)) <
        1e-5);
}

TEST_CASE("what needs no gradient gets no graph, and whoever gets a gradient may write into it",
          "[masking]") {
  const auto mask = pixmim::random_mask(2, 12, 0.75);
  const auto leaf = at::randn({2, 12, 4}).requires_grad_();
  CHECK_FALSE(mask.visible(leaf.detach()).requires_grad());
  {
    const at::NoGradGuard no_grad;
    CHECK_FALSE(mask.visible(leaf).requires_grad());
  }
  const auto kept = mask.visible(leaf);
  const auto weight = at::randn_like(kept);
  const auto first = torch::autograd::grad({kept}, {leaf}, {weight}, /*retain_graph=*/true)[0];
  const auto expected = first.clone();
  first.mul_(5);
  CHECK(at::equal(torch::autograd::grad({kept}, {leaf}, {weight})[0], expected));
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
