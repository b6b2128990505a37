// SPDX-License-Identifier: Apache-2.0
// Activation checkpointing: the same numbers, less memory.
#include <torch/torch.h>

#include "support/catch.hpp"
#include "vit/autocast.hpp"
#include "vit/block.hpp"

namespace {

struct Gradients {
  torch::Tensor output, input, bias;
  std::vector<torch::Tensor> weights;
};

Gradients run(vit::Blocks& blocks, bool checkpointing, bool bf16, bool biased) {
  torch::manual_seed(1);
  const auto input = torch::randn({2, 5, 16}).requires_grad_();
  const auto bias = torch::randn({4, 5, 5}).requires_grad_();
  blocks->activation_checkpointing = checkpointing;
  blocks->zero_grad();
  Gradients result;
  {
    const vit::Autocast autocast(at::kCPU, bf16);
    result.output = blocks(input * 2, biased ? bias * 2 : torch::Tensor());
  }
  result.output.square().sum().backward();
  result.input = input.grad();
  result.bias = bias.grad();
  for (const auto& weight : blocks->parameters()) result.weights.push_back(weight.grad().clone());
  return result;
}

}  // namespace

TEST_CASE("blocks with checkpointing have the same output and gradients", "[pretrain]") {
  vit::Blocks blocks(
      3, vit::BlockOptions(16, 4).qkv_bias(vit::QkvBias::NoKey).layer_scale(0.1).drop_path(0.5));
  for (const bool bf16 : {false, true}) {
    for (const bool biased : {false, true}) {
      CAPTURE(bf16, biased);
      // LibTorch has another attention for a bias that needs a gradient: rounding differs.
      const double allowed = !biased ? 0 : bf16 ? 0.05 : 1e-5;
      const auto close = [&](const at::Tensor& a, const at::Tensor& b) {
        return (a - b).abs().max().item<double>() <= allowed * a.abs().max().item<double>();
      };
      const auto plain = run(blocks, false, bf16, biased);
      const auto again = run(blocks, true, bf16, biased);
      CHECK(close(plain.output, again.output));
      CHECK(close(plain.input, again.input));
      REQUIRE(plain.bias.defined() == biased);
      if (biased) CHECK(close(plain.bias, again.bias));
      REQUIRE(plain.weights.size() == again.weights.size());
      for (std::size_t i = 0; i < plain.weights.size(); ++i) {
        CHECK(close(plain.weights[i], again.weights[i]));
      }
    }
  }
}

TEST_CASE("checkpointing under autocast sees the weights that a step has changed", "[pretrain]") {
  const auto train = [](bool checkpointing) {
    torch::manual_seed(2);
    vit::Blocks blocks(2, vit::BlockOptions(16, 4));
    blocks->activation_checkpointing = checkpointing;
    const auto input = torch::randn({2, 5, 16}).requires_grad_();
    for (int step = 0; step < 3; ++step) {
      blocks->zero_grad();
      torch::Tensor output;
      {
        const vit::Autocast autocast(at::kCPU, true);
        output = blocks(input * 2);
      }
      output.square().sum().backward();
      const torch::NoGradGuard no_grad;
      for (auto& weight : blocks->parameters()) weight.sub_(weight.grad(), 0.01);
    }
    return torch::nn::utils::parameters_to_vector(blocks->parameters());
  };
  CHECK(at::equal(train(false), train(true)));
}

TEST_CASE("checkpointing keeps nothing of a block but its input", "[pretrain]") {
  // Counts what backward could reach: with checkpointing a block is one node with its input.
  vit::Blocks blocks(2, vit::BlockOptions(16, 4));
  blocks->activation_checkpointing = true;
  const auto input = torch::randn({2, 5, 16}).requires_grad_();
  const auto output = blocks(input);
  REQUIRE(output.grad_fn());
  const auto before = output.grad_fn()->next_edge(0).function;
  REQUIRE(before);
  CHECK(before->name() == output.grad_fn()->name());
  CHECK(before->next_edge(0).function->name().find("AccumulateGrad") != std::string::npos);
}

TEST_CASE("without a gradient to come, checkpointing only runs", "[pretrain]") {
  vit::Blocks blocks(1, vit::BlockOptions(16, 4));
  const auto input = torch::randn({2, 5, 16});
  const auto plain = blocks(input);
  blocks->activation_checkpointing = true;
  CHECK(at::equal(blocks(input), plain));
  // The input needs no gradient, but the weights do.
  blocks(input).sum().backward();
  CHECK(blocks->parameters().front().grad().defined());
  const torch::NoGradGuard no_grad;
  CHECK_FALSE(blocks(input.requires_grad_()).requires_grad());
}

TEST_CASE("stochastic depth leaves branches out in training, and keeps their mean", "[pretrain]") {
  torch::manual_seed(3);
  vit::Blocks blocks(3, vit::BlockOptions(16, 4).drop_path(0.4));
  const auto last = blocks->ptr<vit::BlockImpl>(2);
  CHECK(blocks->ptr<vit::BlockImpl>(0)->drop_path == 0);
  CHECK(blocks->ptr<vit::BlockImpl>(1)->drop_path == Approx(0.2));
  const auto branches = last->draw_branches(torch::randn({4000, 1, 16}));
  CHECK(branches.sizes() == at::IntArrayRef({2, 4000, 1, 1}));
  CHECK(branches.eq(0).logical_or(branches.sub(1 / 0.6).abs().lt(1e-6)).all().item<bool>());
  CHECK(branches.mean().item<double>() == Approx(1).margin(0.04));

  const auto input = torch::randn({2, 5, 16});
  const auto none = torch::zeros({2, 2, 1, 1});
  CHECK(at::equal(last->forward(input, {}, none), input));
  CHECK(at::equal(last->forward(input, {}, none + 1), last->forward(input, {}, {})));
  blocks->eval();
  CHECK_FALSE(last->draw_branches(input).defined());
  CHECK_THROWS_AS(vit::Block(vit::BlockOptions(16, 4).drop_path(1)), c10::Error);
}

TEST_CASE("the dimension of attention has to be a multiple of its heads", "[pretrain]") {
  CHECK_THROWS_AS(vit::Block(vit::BlockOptions(16, 3)), c10::Error);
  CHECK_THROWS_AS(vit::Block(vit::BlockOptions(16, 0)), c10::Error);
}
