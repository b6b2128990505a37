// SPDX-License-Identifier: Apache-2.0
// A host of the examples against the numbers of its official implementation.
#pragma once

#include <torch/torch.h>
#include <pixmim/token_mask.hpp>

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/golden.hpp"
#include "vit/autocast.hpp"

namespace hosts {

using support::Golden;
using Tensors = std::map<std::string, at::Tensor>;

constexpr double forward_tolerance = 2e-5;

/// Large tensors of tests/data are thinned to every seventh number: data/thin_host_goldens.py.
constexpr const char* thinned = ".every7";

/// `ours` as a thinned tensor is stored.
inline at::Tensor thin(const at::Tensor& ours) {
  return ours.detach().flatten().slice(0, 0, std::nullopt, 7);
}

/// Copies a state into the model; the names have to be the model's, no more, no less.
/// Buffers of integers are computed from the options and have to be equal.
inline void load(torch::nn::Module& model, Tensors state) {
  const torch::NoGradGuard no_grad;
  const auto take = [&](const std::string& name, const at::Tensor& ours) {
    INFO(name);
    const auto found = state.find(name);
    REQUIRE(found != state.end());
    REQUIRE(ours.sizes() == found->second.sizes());
    const at::Tensor theirs = found->second;
    state.erase(found);
    return theirs;
  };
  for (auto& item : model.named_parameters()) {
    item.value().copy_(take(item.key(), item.value()));
  }
  for (auto& item : model.named_buffers()) {
    const auto theirs = take(item.key(), item.value());
    if (at::isIntegralType(theirs.scalar_type(), /*includeBool=*/true)) {
      CHECK(at::equal(item.value(), theirs));
    } else {
      item.value().copy_(theirs);
    }
  }
  for (const auto& left : state) FAIL_CHECK("the model has no " << left.first);
}

inline void load(torch::nn::Module& model, const Golden& golden,
                 const std::string& prefix = "state.") {
  load(model, golden.below(prefix));
}

inline void expect_close(const Golden& golden, const std::string& name, const at::Tensor& ours,
                         double allowed = forward_tolerance) {
  const bool whole = golden.has(name);
  const double difference = support::largest_difference(whole ? ours.detach() : thin(ours),
                                                        golden[whole ? name : name + thinned]);
  support::report(golden.name() + " " + name, difference, allowed);
  CHECK(difference <= allowed);
}

inline void expect_loss(const Golden& golden, const std::string& name, const at::Tensor& ours) {
  expect_close(golden, name, ours, 5e-6 * golden.number(name));
}

/// Gradients of the official model, each of a parameter of ours.
inline void expect_gradients(const std::string& what, const Tensors& expected,
                             torch::nn::Module& model) {
  const auto parameters = model.named_parameters();
  REQUIRE_FALSE(expected.empty());
  double worst = 0;
  for (const auto& [key, theirs] : expected) {
    const auto end = key.rfind(thinned);
    const std::string name = key.substr(0, end);
    INFO(name);
    const auto* parameter = parameters.find(name);
    REQUIRE(parameter != nullptr);
    const auto gradient = parameter->grad();
    REQUIRE(gradient.defined());
    const double difference =
        support::largest_difference(end == std::string::npos ? gradient : thin(gradient), theirs);
    const double largest = theirs.abs().max().item<double>();
    CHECK(difference <= 5e-5 * largest + 1e-7);
    worst = std::max(worst, difference / (largest + 1e-12));
  }
  support::report(what + "*, of the largest", worst, 5e-5);
}

/// The gradients `prefix*` of the file.
inline void expect_gradients(const Golden& golden, const std::string& prefix,
                             torch::nn::Module& model) {
  expect_gradients(golden.name() + " " + prefix, golden.below(prefix), model);
}

/// Copies of the gradients of all parameters that want one; each has to have one.
inline Tensors gradients(torch::nn::Module& model) {
  Tensors result;
  for (const auto& item : model.named_parameters()) {
    if (!item.value().requires_grad()) continue;
    INFO(item.key());
    REQUIRE(item.value().grad().defined());
    result.emplace(item.key(), item.value().grad().clone());
  }
  return result;
}

/// The loss of a model (its images are the target), and the gradients of it.
template <typename Model>
std::pair<at::Tensor, Tensors> loss_and_gradients(Model& model, const at::Tensor& images,
                                                  const pixmim::TokenMask& mask,
                                                  bool bf16 = false) {
  model->zero_grad();
  at::Tensor loss;
  {
    const vit::Autocast autocast(at::kCPU, bf16);
    loss = model->loss(images, images, mask);
  }
  loss.backward();
  return {loss.detach(), gradients(*model)};
}

/// Some gradient, of finite numbers, reaches every parameter.
template <typename Model>
void expect_training(Model& model, const at::Tensor& images, const pixmim::TokenMask& mask) {
  const auto [loss, gradients] = loss_and_gradients(model, images, mask);
  CHECK(loss.isfinite().template item<bool>());
  for (const auto& [name, gradient] : gradients) {
    INFO(name);
    CHECK(gradient.isfinite().all().template item<bool>());
    CHECK(gradient.abs().max().template item<double>() > 0);
  }
}

/// bfloat16 autocast: a loss near the one in float32, and gradients near in direction and size.
template <typename Model>
void expect_autocast(Model& model, const at::Tensor& images, const pixmim::TokenMask& mask) {
  const auto [loss, plain] = loss_and_gradients(model, images, mask);
  const auto [loss16, half] = loss_and_gradients(model, images, mask, /*bf16=*/true);
  CHECK(loss16.template item<double>() == Approx(loss.template item<double>()).epsilon(0.01));
  double error = 0;
  double size = 0;
  for (const auto& [name, gradient] : plain) {
    CHECK(half.at(name).scalar_type() == gradient.scalar_type());
    error += (half.at(name) - gradient).square().sum().template item<double>();
    size += gradient.square().sum().template item<double>();
  }
  // Of an L1 loss a gradient is a sign, which rounding can turn.
  CHECK(error <= 0.1 * 0.1 * size);
}

/// Two models of the same weights, one of them with activation checkpointing: the same gradients,
/// up to rounding of `allowed` of the largest entry.
template <typename Model>
void expect_same_training(Model& plain, Model& checkpointed, const at::Tensor& images,
                          const pixmim::TokenMask& mask, double allowed = 1e-5) {
  {
    const torch::NoGradGuard no_grad;
    const auto from = plain->named_parameters();
    for (auto& item : checkpointed->named_parameters()) item.value().copy_(from[item.key()]);
  }
  for (const bool bf16 : {false, true}) {
    const auto [loss, expected] = loss_and_gradients(plain, images, mask, bf16);
    const auto [again, ours] = loss_and_gradients(checkpointed, images, mask, bf16);
    const double tolerance = bf16 ? 0.05 : allowed;
    CHECK(again.template item<double>() == Approx(loss.template item<double>()).epsilon(tolerance));
    for (const auto& [name, gradient] : expected) {
      INFO(name);
      CHECK(support::largest_difference(ours.at(name), gradient) <=
            tolerance * gradient.abs().max().template item<double>() + 1e-7);
    }
  }
}

/// Parameters of a model whose name starts with none of `but`, positions that are not learnt aside.
inline int64_t parameters(const torch::nn::Module& model,
                          const std::vector<std::string>& but = {}) {
  int64_t count = 0;
  for (const auto& item : model.named_parameters()) {
    const bool left_out = std::any_of(but.begin(), but.end(), [&](const std::string& prefix) {
      return item.key().rfind(prefix, 0) == 0;
    });
    if (item.value().requires_grad() && !left_out) count += item.value().numel();
  }
  return count;
}

}  // namespace hosts
