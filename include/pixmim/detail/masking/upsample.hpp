// SPDX-License-Identifier: Apache-2.0
// Cells repeated over a finer grid, on the CPU.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "pixmim/detail/parallel.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {

/// Cells of the same size as `Cell`, whatever they mean.
template <typename Cell>
void repeat_cells_of(const at::Tensor& cells, int64_t grid_h, int64_t grid_w, int64_t scale,
                     at::Tensor& result) {
  const auto* from = static_cast<const Cell*>(cells.const_data_ptr());
  auto* to = static_cast<Cell*>(result.mutable_data_ptr());
  const int64_t width = grid_w * scale;
  constexpr int64_t cells_a_part = 1 << 15;
  parallel_for(cells.size(0) * grid_h, std::max<int64_t>(1, cells_a_part / (width * scale)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t y = begin; y < end; ++y) {
                   const Cell* row = from + y * grid_w;
                   Cell* fine = to + y * scale * width;
                   for (int64_t x = 0; x < grid_w; ++x)
                     std::fill_n(fine + x * scale, scale, row[x]);
                   for (int64_t i = 1; i < scale; ++i) std::copy_n(fine, width, fine + i * width);
                 }
               });
}

/// [N,h*w], of cells of 1, 2, 4 or 8 bytes, -> [N,h*scale,w*scale].
inline at::Tensor repeat_cells_on_cpu(const at::Tensor& cells, int64_t grid_h, int64_t grid_w,
                                      int64_t scale) {
  const at::Tensor source = cells.resolve_conj().resolve_neg().contiguous();
  at::Tensor result = at::empty({cells.size(0), grid_h * scale, grid_w * scale}, source.options());
  switch (source.element_size()) {
    case 1:
      repeat_cells_of<uint8_t>(source, grid_h, grid_w, scale, result);
      break;
    case 2:
      repeat_cells_of<uint16_t>(source, grid_h, grid_w, scale, result);
      break;
    case 4:
      repeat_cells_of<uint32_t>(source, grid_h, grid_w, scale, result);
      break;
    default:
      repeat_cells_of<uint64_t>(source, grid_h, grid_w, scale, result);
  }
  return result;
}

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
