// SPDX-License-Identifier: Apache-2.0
#include "weights/key_bias.hpp"

#include <ATen/ATen.h>

#include <string>
#include <vector>

namespace weights {
namespace {

/// "blocks.0.attn." of "blocks.0.attn." + `ending`; empty if that is not its end.
std::string before(const std::string& name, const std::string& ending) {
  if (name.size() <= ending.size()) return {};
  const std::size_t length = name.size() - ending.size();
  return name.compare(length, std::string::npos, ending) == 0 ? name.substr(0, length)
                                                              : std::string();
}

/// The attentions that have both biases.
std::vector<std::string> without_key_bias(const Tensors& tensors) {
  std::vector<std::string> found;
  for (const auto& item : tensors) {
    const std::string attention = before(item.first, "q_bias");
    if (!attention.empty() && tensors.count(attention + "v_bias") > 0) found.push_back(attention);
  }
  return found;
}

void join(Tensors& tensors, const std::string& attention) {
  const at::Tensor query = tensors.at(attention + "q_bias");
  const at::Tensor value = tensors.at(attention + "v_bias").to(query.scalar_type());
  tensors.erase(attention + "q_bias");
  tensors.erase(attention + "v_bias");
  TORCH_CHECK(
      tensors.emplace(attention + "qkv.bias", at::cat({query, at::zeros_like(query), value}))
          .second,
      "two tensors come to the name ", attention, "qkv.bias");
}

void split(Tensors& tensors, const std::string& attention) {
  const at::Tensor bias = tensors.at(attention + "qkv.bias");
  if (bias.dim() != 1 || bias.size(0) % 3 != 0) return;
  const auto thirds = bias.chunk(3);
  tensors.erase(attention + "qkv.bias");
  tensors[attention + "q_bias"] = thirds[0];
  tensors[attention + "v_bias"] = thirds[2];
}

}  // namespace

Tensors with_key_bias(const Tensors& tensors) {
  Tensors result = tensors;
  for (const auto& attention : without_key_bias(tensors)) join(result, attention);
  return result;
}

Tensors biases_as_in(const Tensors& wanted, const Tensors& tensors) {
  Tensors result = tensors;
  for (const auto& attention : without_key_bias(tensors)) {
    if (wanted.count(attention + "qkv.bias") > 0) join(result, attention);
  }
  for (const auto& attention : without_key_bias(wanted)) {
    if (result.count(attention + "qkv.bias") > 0) split(result, attention);
  }
  return result;
}

}  // namespace weights
