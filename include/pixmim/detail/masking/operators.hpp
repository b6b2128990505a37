// SPDX-License-Identifier: Apache-2.0
// Masks in LibTorch's operators: for devices that have no engine of their own.
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/argsort.h>
#include <ATen/ops/rand.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/GradMode.h>

#include <cstdint>
#include <optional>

#include "pixmim/detail/masking/plans.hpp"
#include "pixmim/detail/masking/row_operators.hpp"
#include "pixmim/token_mask.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {

/// Rank by increasing value along dimension 1, equal values by index.
inline at::Tensor stable_order(const at::Tensor& values) {
  return at::argsort(values, /*stable=*/true, /*dim=*/1, /*descending=*/false);
}

/// Keeps the first `kept` tokens of each row of `ids_shuffle` [N,L].
inline TokenMask keep_first(const at::Tensor& ids_shuffle, int64_t kept) {
  TokenMask result;
  result.ids_keep = ids_shuffle.narrow(1, 0, kept).contiguous();
  result.ids_restore = inverse_order(ids_shuffle);
  result.mask = result.ids_restore.ge(kept).to(at::kFloat);
  return result;
}

/// Each of the grid's cells as many times as it has finer ones: [N,h*w] -> [N,h*scale,w*scale].
inline at::Tensor repeat_cells(const at::Tensor& cells, int64_t grid_h, int64_t grid_w,
                               int64_t scale) {
  const int64_t batch = cells.size(0);
  return cells.reshape({batch, grid_h, 1, grid_w, 1})
      .expand({batch, grid_h, scale, grid_w, scale})
      .reshape({batch, grid_h * scale, grid_w * scale});
}

inline TokenMask masks_by_operators(const at::Tensor& noise, const TokenPlan& plan) {
  return keep_first(stable_order(noise), plan.kept);
}

inline TokenMask masks_by_operators(const at::Tensor& noise, const BlockPlan& plan) {
  const int64_t block = plan.block;
  const auto options = noise.options().dtype(at::kLong);
  const at::Tensor y = at::arange(plan.grid_h, options).unsqueeze(1);
  const at::Tensor x = at::arange(plan.grid_w, options).unsqueeze(0);
  const at::Tensor block_of_token =
      y.div(block, "floor").mul(divide_up(plan.grid_w, block)).add(x.div(block, "floor")).flatten();
  const bool by_rows = plan.walk == BlockWalk::RowByRow;
  const at::Tensor down = y.remainder(block).mul(by_rows ? block : 1);
  const at::Tensor right = x.remainder(block).mul(by_rows ? 1 : block);
  const at::Tensor rank_of_block = inverse_order(stable_order(noise));
  const at::Tensor rank_of_token = rank_of_block.index_select(1, block_of_token)
                                       .mul_(block * block)
                                       .add_(down.add(right).flatten());
  return keep_first(stable_order(rank_of_token), plan.kept);
}

inline TokenMask masks_by_operators(const at::Tensor& noise, const SquarePlan& plan) {
  const at::Tensor square_is_hidden =
      inverse_order(stable_order(noise)).lt(plan.hidden).to(at::kLong);
  const at::Tensor token_is_hidden =
      repeat_cells(square_is_hidden, plan.rows, plan.columns, plan.scale).flatten(1);
  return keep_first(stable_order(token_is_hidden), plan.kept());
}

/// The masks of a noise [N,units].
template <typename Plan>
TokenMask masks_from_noise_by_operators(const at::Tensor& noise, const Plan& plan) {
  const c10::NoGradGuard no_grad;
  const c10::DeviceGuard device_guard(noise.device());
  return masks_by_operators(noise, plan);
}

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
