// SPDX-License-Identifier: Apache-2.0
// Weights as files hold them: tensors by name, and what stands beside them.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <vector>

namespace weights {

using Tensors = std::map<std::string, at::Tensor>;

/// What a file was found to hold. The tensors are views of the mapped file: on the CPU, nothing
/// read before it is used, and safe to write to (the file does not change).
struct Weights {
  Tensors tensors;
  std::map<std::string, std::string> metadata;  // safetensors: `__metadata__`
  std::vector<std::string> ignored;  // .pth: entries beside the tensors that are numbers or text
};

}  // namespace weights
