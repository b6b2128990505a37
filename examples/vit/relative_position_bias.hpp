// SPDX-License-Identifier: Apache-2.0
// A learnt bias of attention for every relative position of two tokens (BEiT, arXiv 2106.08254).
#pragma once

#include <torch/nn.h>

#include <cstdint>

namespace vit {

/// [T,T] int64, T = 1 + grid_h*grid_w: which row of the table holds the bias of a query (row) and
/// a key (column), the class token first. Of the table's (2*grid_h-1) * (2*grid_w-1) + 3 rows the
/// last three are for the class token as query, as key and as both.
inline torch::Tensor relative_position_index(int64_t grid_h, int64_t grid_w) {
  const auto rows = torch::arange(grid_h, torch::kLong).repeat_interleave(grid_w);
  const auto columns = torch::arange(grid_w, torch::kLong).repeat({grid_h});
  const auto distance = [](const torch::Tensor& at, int64_t side) {
    return at.unsqueeze(1) - at + (side - 1);
  };
  const int64_t distances = (2 * grid_h - 1) * (2 * grid_w - 1);
  const int64_t tokens = 1 + grid_h * grid_w;
  auto index = torch::full({tokens, tokens}, distances + 1, torch::kLong);
  index.slice(0, 1).slice(1, 1).copy_(distance(rows, grid_h) * (2 * grid_w - 1) +
                                      distance(columns, grid_w));
  index[0].fill_(distances);
  index[0][0] = distances + 2;
  return index;
}

/// The bias [num_heads,T,T] of a grid's tokens and a class token before them, zero at the start.
/// One for all blocks: `blocks(tokens, rel_pos_bias())`.
struct RelativePositionBiasImpl : torch::nn::Module {
  RelativePositionBiasImpl(int64_t grid_h, int64_t grid_w, int64_t num_heads) {
    const int64_t rows = (2 * grid_h - 1) * (2 * grid_w - 1) + 3;
    relative_position_bias_table =
        register_parameter("relative_position_bias_table", torch::zeros({rows, num_heads}));
    relative_position_index =
        register_buffer("relative_position_index", vit::relative_position_index(grid_h, grid_w));
  }

  torch::Tensor forward() {
    const int64_t tokens = relative_position_index.size(0);
    return relative_position_bias_table.t()
        .index_select(1, relative_position_index.flatten())
        .view({-1, tokens, tokens});
  }

  torch::Tensor relative_position_bias_table, relative_position_index;
};
TORCH_MODULE(RelativePositionBias);

}  // namespace vit
