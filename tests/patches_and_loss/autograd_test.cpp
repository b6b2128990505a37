// SPDX-License-Identifier: Apache-2.0
// How the loss stands in autograd: graphs kept, gradients scaled, modes, second derivatives.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <pixmim/loss.hpp>

#include <string>

#include "patches_and_loss/oracle.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/golden.hpp"

using pixmim::masked_pixel_loss;
using pixmim::PixelLossOptions;
using support::largest_difference;

namespace {

struct Batch {
  at::Tensor images = at::randn({2, 3, 8, 12});
  at::Tensor prediction = at::randn({2, 6, 48});
  at::Tensor mask = at::tensor({1, 0, 1, 1, 0, 1, 0, 1, 1, 1, 0, 1}).view({2, 6}).to(at::kFloat);
  PixelLossOptions options = PixelLossOptions(4).norm_pix(true);

  at::Tensor loss(const at::Tensor& from) const {
    return masked_pixel_loss(from, images, mask, options);
  }
  at::Tensor leaf(at::ScalarType dtype = at::kFloat) const {
    return prediction.to(dtype).detach().clone().requires_grad_();
  }
};

at::Tensor only_gradient(const at::Tensor& output, const at::Tensor& input, bool keep_graph,
                         bool create_graph) {
  return torch::autograd::grad({output}, {input}, {}, keep_graph, create_graph).at(0);
}

}  // namespace

TEST_CASE("a graph that is kept gives the gradient again", "[patches_and_loss]") {
  const Batch batch;
  for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
    const auto leaf = batch.leaf(dtype);
    const auto loss = batch.loss(leaf);
    const auto first = only_gradient(loss, leaf, /*keep_graph=*/true, false);
    const auto copy = first.clone();
    loss.backward({}, /*retain_graph=*/true);
    CHECK(at::equal(leaf.grad(), copy));
    loss.backward();
    CHECK(at::equal(leaf.grad(), copy * 2));
    CHECK(at::equal(first, copy));
    CHECK_THROWS_WITH(loss.backward(), ContainsSubstring("second time"));
  }
}

TEST_CASE("whoever gets a gradient may write into it", "[patches_and_loss]") {
  const Batch batch;
  const auto leaf = batch.leaf();
  const auto loss = batch.loss(leaf);
  const auto expected = only_gradient(loss, leaf, /*keep_graph=*/true, false).clone();
  only_gradient(loss, leaf, /*keep_graph=*/true, false).mul_(5);
  CHECK(at::equal(only_gradient(loss, leaf, /*keep_graph=*/true, false), expected));
  // A view between the leaf and the loss: the leaf's gradient is the very tensor that came back.
  const auto flat = leaf.detach().view({leaf.size(0), -1}).clone().requires_grad_();
  const auto viewed = batch.loss(flat.view(leaf.sizes()));
  viewed.backward({}, /*retain_graph=*/true);
  flat.mutable_grad().mul_(0.5);
  viewed.backward({}, /*retain_graph=*/true);
  CHECK(at::allclose(flat.grad(), (expected * 1.5).view_as(flat)));
}

TEST_CASE("a derivative of the gradient by the loss's factor is refused too",
          "[patches_and_loss]") {
  const Batch batch;
  const auto leaf = batch.leaf();
  const auto factor = at::ones({}).requires_grad_();
  const auto loss = batch.loss(leaf) * factor;
  const auto gradient = only_gradient(loss, leaf, /*keep_graph=*/true, /*create_graph=*/true);
  CHECK_THAT(support::error_of([&] { gradient.square().sum().backward(); }),
             ContainsSubstring("expected to be differentiated once"));
}

TEST_CASE("the gradient of a scaled loss is the scaled gradient", "[patches_and_loss]") {
  const Batch batch;
  for (const auto dtype : {at::kFloat, at::kDouble, at::kBFloat16}) {
    const auto leaf = batch.leaf(dtype);
    batch.loss(leaf).backward();
    const auto plain = leaf.grad().clone();
    for (const double factor : {3.0, 0.5, -1.0, 0.0}) {
      leaf.mutable_grad() = at::Tensor();
      (batch.loss(leaf) * factor).backward();
      CHECK(leaf.grad().scalar_type() == dtype);
      CHECK(at::equal(leaf.grad(), plain * factor));
    }
    // As a trainer accumulates.
    leaf.mutable_grad() = at::Tensor();
    for (int i = 0; i < 2; ++i) (batch.loss(leaf) / 2).backward();
    CHECK(at::equal(leaf.grad(), plain));
    auto loss = batch.loss(leaf);
    leaf.mutable_grad() = at::Tensor();
    loss /= 4;
    loss.backward();
    CHECK(at::equal(leaf.grad(), plain / 4));
  }
}

TEST_CASE("a loss scale keeps small gradients of float16", "[patches_and_loss]") {
  Batch batch;
  batch.prediction = batch.prediction * 1e-2;
  batch.images = batch.images * 1e-2;
  batch.options.norm_pix(false);
  const auto leaf = batch.leaf(at::kHalf);
  (batch.loss(leaf) * 65536).backward();
  const auto expected =
      oracle::pixel_loss(leaf, batch.images, batch.mask, batch.options).gradient * 65536;
  CHECK(leaf.grad().scalar_type() == at::kHalf);
  CHECK(largest_difference(leaf.grad(), expected) <=
        0x1p-11 * expected.abs().max().item<double>() + 1e-6);
}

TEST_CASE("the loss is part of a larger graph", "[patches_and_loss]") {
  const Batch batch;
  const auto weight = at::randn({48, 48}).requires_grad_();
  const auto prediction = at::matmul(batch.prediction, weight);
  // A class token before the patches, as decoders give it.
  const auto with_token = at::cat({at::zeros({2, 1, 48}), prediction}, 1);
  const auto loss = batch.loss(with_token.slice(1, 1));
  (loss + weight.square().mean()).backward();
  const auto expected = oracle::pixel_loss(prediction, batch.images, batch.mask, batch.options);
  const auto expected_weight = at::matmul(batch.prediction.flatten(0, 1).t().to(at::kDouble),
                                          expected.gradient.flatten(0, 1)) +
                               2 * weight.detach().to(at::kDouble) / 48 / 48;
  CHECK(largest_difference(weight.grad(), expected_weight) <
        1e-5 * expected_weight.abs().max().item<double>());
}

TEST_CASE("the loss without autograd is the same value", "[patches_and_loss]") {
  const Batch batch;
  const auto leaf = batch.leaf();
  const auto loss = batch.loss(leaf);
  CHECK(loss.requires_grad());
  CHECK_FALSE(batch.loss(batch.prediction).requires_grad());
  {
    const at::NoGradGuard no_grad;
    CHECK_FALSE(batch.loss(leaf).requires_grad());
    CHECK(at::equal(batch.loss(leaf), loss));
  }
  const c10::InferenceMode inference;
  CHECK_FALSE(batch.loss(leaf).requires_grad());
  CHECK(at::equal(batch.loss(leaf), loss));
  // Tensors made in this mode.
  CHECK(at::equal(
      masked_pixel_loss(batch.prediction + 0, batch.images + 0, batch.mask + 0, batch.options),
      loss));
}

TEST_CASE("the loss has a first derivative with create_graph and no second", "[patches_and_loss]") {
  const Batch batch;
  const auto factor = at::full({}, 2.0).requires_grad_();
  for (const bool scaled : {false, true}) {
    const auto leaf = batch.leaf();
    const auto prediction = leaf * 1;
    const auto loss = scaled ? batch.loss(prediction) * factor : batch.loss(prediction);
    const auto first = only_gradient(loss, prediction, true, /*create_graph=*/true);
    const auto expected = oracle::pixel_loss(leaf, batch.images, batch.mask, batch.options);
    CHECK(largest_difference(first, expected.gradient * (scaled ? 2 : 1)) < 1e-6);
    CHECK(first.requires_grad());

    const std::string message = "masked_pixel_loss: expected to be differentiated once";
    const auto penalty = first.square().sum();
    CHECK_THAT(support::error_of([&] { only_gradient(penalty, leaf, true, false); }),
               ContainsSubstring(message));
    CHECK_THAT(support::error_of([&] { only_gradient(penalty, prediction, true, false); }),
               ContainsSubstring("write the loss in operators"));
    CHECK_THAT(support::error_of([&] { only_gradient(penalty + loss, leaf, true, false); }),
               ContainsSubstring(message));
    CHECK_THAT(support::error_of([&] { penalty.backward({}, /*retain_graph=*/true); }),
               ContainsSubstring(message));
    // What does not go through the gradient still works.
    CHECK(at::equal(only_gradient(loss, prediction, true, false), first.detach()));
  }
}

TEST_CASE("a prediction may change after the loss", "[patches_and_loss]") {
  const Batch batch;
  const auto leaf = batch.leaf();
  const auto expected = only_gradient(batch.loss(leaf), leaf, false, false);
  const auto prediction = leaf * 1;
  const auto loss = batch.loss(prediction);
  prediction.mul_(0);
  loss.backward();
  CHECK(at::equal(leaf.grad(), expected));
}
