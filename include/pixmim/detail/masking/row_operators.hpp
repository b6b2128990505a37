// SPDX-License-Identifier: Apache-2.0
// The ways of tokens in LibTorch's operators: for devices that have no engine of their own.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/where.h>

#include <cstdint>
#include <vector>

namespace pixmim {
inline namespace v0 {
namespace detail {

/// The inverse of each row's permutation.
inline at::Tensor inverse_order(const at::Tensor& order) {
  const at::Tensor positions = at::arange(order.size(1), order.options()).expand_as(order);
  return at::empty_like(order).scatter_(1, order, positions);
}

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

/// tokens [N,L,D], with mask_token [D] where hidden [N,L] says so.
inline at::Tensor fill_by_operators(const at::Tensor& tokens, const at::Tensor& mask_token,
                                    const at::Tensor& hidden) {
  return at::where(hidden.unsqueeze(2), mask_token, tokens);
}

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
