// SPDX-License-Identifier: Apache-2.0
// Weights of OpenMMLab's models in the models of the examples.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <regex>
#include <string>
#include <utility>

namespace support {

/// OpenMMLab's names to those of the official MAE.
inline std::map<std::string, at::Tensor> renamed(const std::map<std::string, at::Tensor>& tensors) {
  static const std::pair<std::regex, std::string> rules[] = {
      {std::regex("^backbone\\.ln1"), "norm"},
      {std::regex("^neck\\.ln1"), "decoder_norm"},
      {std::regex("^(backbone|neck)\\."), ""},
      {std::regex("^layers\\."), "blocks."},
      {std::regex("\\.ln"), ".norm"},
      {std::regex("ffn\\.layers\\.0\\.0"), "mlp.fc1"},
      {std::regex("ffn\\.layers\\.1"), "mlp.fc2"},
      {std::regex("patch_embed\\.projection"), "patch_embed.proj"},
  };
  std::map<std::string, at::Tensor> result;
  for (const auto& [name, tensor] : tensors) {
    std::string ours = name;
    for (const auto& [pattern, replacement] : rules) {
      ours = std::regex_replace(ours, pattern, replacement);
    }
    result.emplace(ours, tensor);
  }
  return result;
}

}  // namespace support
