// SPDX-License-Identifier: Apache-2.0
// Fixed two-dimensional sine-cosine position embeddings.
#pragma once

#include <torch/types.h>

#include <cstdint>

namespace vit {

/// [positions, dim]: sines, then cosines, of `positions` at dim / 2 frequencies.
inline torch::Tensor sincos_1d(int64_t dim, const torch::Tensor& positions) {
  const auto exponent = torch::arange(dim / 2, torch::kDouble) / (static_cast<double>(dim) / 2);
  const auto angle = torch::outer(positions, torch::pow(10000.0, -exponent));
  return torch::cat({angle.sin(), angle.cos()}, 1);
}

/// [grid_h*grid_w, dim] float32, dim a multiple of 4: the first half of the channels encodes the
/// column, the second the row (MAE util/pos_embed.py; OpenMMLab's have them the other way round). `prefix_tokens` rows of zeros come first.
inline torch::Tensor sincos_2d(int64_t dim, int64_t grid_h, int64_t grid_w,
                               int64_t prefix_tokens = 0) {
  TORCH_CHECK(dim % 4 == 0, "sincos_2d: expected dim to be a multiple of 4, got ", dim);
  const auto rows = torch::arange(grid_h, torch::kDouble).repeat_interleave(grid_w);
  const auto columns = torch::arange(grid_w, torch::kDouble).repeat({grid_h});
  const auto grid = torch::cat({sincos_1d(dim / 2, columns), sincos_1d(dim / 2, rows)}, 1);
  return torch::cat({torch::zeros({prefix_tokens, dim}, torch::kDouble), grid}).to(torch::kFloat);
}

}  // namespace vit
