// SPDX-License-Identifier: Apache-2.0
// `visible` and `restore` in LibTorch's operators: for devices that have no engine of their own.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>

#include <cstdint>
#include <vector>

namespace pixmim {
inline namespace v0 {
namespace detail {

/// result[n][k] = tokens[n][ids[n][k]]. Whole rows are copied; a gather over an index expanded to
/// [N,K,D] would read as many indices as numbers.
inline at::Tensor pick_rows(const at::Tensor& tokens, const at::Tensor& ids) {
  const int64_t samples = tokens.size(0);
  const at::Tensor first_row = at::arange(samples, ids.options()).mul_(tokens.size(1)).unsqueeze(1);
  std::vector<int64_t> shape = tokens.sizes().vec();
  shape[1] = ids.size(1);
  return tokens.flatten(0, 1).index_select(0, ids.add(first_row).flatten()).view(shape);
}

/// visible [N,K,D] and mask_token [D] -> [N,L,D].
inline at::Tensor restore_by_operators(const at::Tensor& visible, const at::Tensor& mask_token,
                                       const at::Tensor& ids_restore) {
  const int64_t masked = ids_restore.size(1) - visible.size(1);
  const at::Tensor hidden = mask_token.expand({visible.size(0), masked, visible.size(2)});
  return pick_rows(at::cat({visible, hidden}, 1), ids_restore);
}

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
