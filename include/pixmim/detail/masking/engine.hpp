// SPDX-License-Identifier: Apache-2.0
// Masks on the CPU: an order of the units, drawn or of a noise, then one pass that writes mask and ids.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <c10/util/BFloat16.h>
#include <c10/util/Exception.h>
#include <c10/util/Half.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "pixmim/detail/masking/block.hpp"
#include "pixmim/detail/masking/drawn_orders.hpp"
#include "pixmim/detail/masking/mask_rows.hpp"
#include "pixmim/detail/masking/noise_orders.hpp"
#include "pixmim/detail/masking/plans.hpp"
#include "pixmim/detail/parallel.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {

/// Samples that are worth a thread.
inline int64_t samples_a_part(int64_t tokens) {
  constexpr int64_t tokens_a_part = 16384;
  return std::max<int64_t>(1, tokens_a_part / std::max<int64_t>(tokens, 1));
}

/// Calls `write(order of the units, row)` for each sample. `writer` and `orders` hold scratch memory:
/// a copy of both for each thread.
template <typename Orders, typename Writer>
TokenMask write_masks(const Orders& orders, const Writer& writer, const MaskRows& rows) {
  parallel_for(rows.samples(), samples_a_part(rows.tokens()), [&](int64_t begin, int64_t end) {
    Orders own_orders = orders;
    Writer write = writer;
    for (int64_t n = begin; n < end; ++n) write(own_orders(n), rows.row(n));
  });
  return rows.result();
}

template <typename Orders>
TokenMask masks_on_cpu(const Orders& orders, int64_t samples, const TokenPlan& plan) {
  return write_masks(orders, &write_ordered, MaskRows(samples, plan.tokens(), plan.kept));
}

/// From an order of blocks to one of tokens.
class BlockWriter {
 public:
  explicit BlockWriter(const BlockPlan& plan)
      : firsts_{0}, order_(static_cast<std::size_t>(plan.tokens())) {
    tokens_.reserve(order_.size());
    for (int64_t top = 0; top < plan.grid_h; top += plan.block) {
      for (int64_t left = 0; left < plan.grid_w; left += plan.block) {
        const int64_t rows = std::min(plan.block, plan.grid_h - top);
        const int64_t columns = std::min(plan.block, plan.grid_w - left);
        for (int64_t i = 0; i < rows * columns; ++i) {
          const bool by_rows = plan.walk == BlockWalk::RowByRow;
          const int64_t y = top + (by_rows ? i / columns : i % rows);
          const int64_t x = left + (by_rows ? i % columns : i / rows);
          tokens_.push_back(static_cast<uint32_t>(y * plan.grid_w + x));
        }
        firsts_.push_back(tokens_.size());
      }
    }
  }

  void operator()(const uint32_t* blocks, const MaskRow& row) {
    uint32_t* place = order_.data();
    for (std::size_t i = 0; i + 1 < firsts_.size(); ++i) {
      const std::size_t block = blocks[i];
      for (std::size_t t = firsts_[block]; t < firsts_[block + 1]; ++t) *place++ = tokens_[t];
    }
    write_ordered(order_.data(), row);
  }

 private:
  /// Where the tokens of a block begin in `tokens_`.
  std::vector<std::size_t> firsts_;
  std::vector<uint32_t> tokens_;
  std::vector<uint32_t> order_;
};

template <typename Orders>
TokenMask masks_on_cpu(const Orders& orders, int64_t samples, const BlockPlan& plan) {
  return write_masks(orders, BlockWriter(plan), MaskRows(samples, plan.tokens(), plan.kept));
}

/// Paints squares, then numbers the tokens.
class SquareWriter {
 public:
  explicit SquareWriter(const SquarePlan& plan)
      : plan_(plan), squares_(static_cast<std::size_t>(plan.units())) {}

  void operator()(const uint32_t* squares, const MaskRow& row) {
    for (int64_t i = 0; i < plan_.units(); ++i)
      squares_[squares[i]] = i < plan_.hidden ? 1.0F : 0.0F;
    const int64_t width = plan_.columns * plan_.scale;
    float* cells = row.mask;
    for (int64_t y = 0; y < plan_.rows; ++y) {
      for (int64_t x = 0; x < plan_.columns; ++x) {
        std::fill_n(cells + x * plan_.scale, plan_.scale,
                    squares_[static_cast<std::size_t>(y * plan_.columns + x)]);
      }
      for (int64_t i = 1; i < plan_.scale; ++i) std::copy_n(cells, width, cells + i * width);
      cells += plan_.scale * width;
    }
    write_ids_by_position(row);
  }

 private:
  SquarePlan plan_;
  std::vector<float> squares_;
};

template <typename Orders>
TokenMask masks_on_cpu(const Orders& orders, int64_t samples, const SquarePlan& plan) {
  return write_masks(orders, SquareWriter(plan), MaskRows(samples, plan.tokens(), plan.kept()));
}

/// The masks of a noise [N,units].
template <typename Plan>
TokenMask masks_from_noise_on_cpu(const at::Tensor& noise, const Plan& plan) {
  const at::Tensor values = noise.resolve_neg();
  switch (values.scalar_type()) {
    case at::kHalf:
      return masks_on_cpu(NoiseOrders<c10::Half>(values), values.size(0), plan);
    case at::kBFloat16:
      return masks_on_cpu(NoiseOrders<c10::BFloat16>(values), values.size(0), plan);
    case at::kDouble:
      return masks_on_cpu(NoiseOrders<double>(values), values.size(0), plan);
    default:
      return masks_on_cpu(NoiseOrders<float>(values), values.size(0), plan);
  }
}

/// BEiT's masks. Sample n draws from a stream of its own, `stream_of(n)`.
template <typename StreamOf>
TokenMask painted_masks_on_cpu(const StreamOf& stream_of, int64_t samples, const PaintPlan& plan) {
  const int64_t tokens = plan.grid_h * plan.grid_w;
  const at::Tensor mask = at::empty({samples, tokens}, at::kFloat);
  const at::Tensor ids_restore = at::empty({samples, tokens}, at::kLong);
  auto* const masks = mask.mutable_data_ptr<float>();
  auto* const restores = ids_restore.mutable_data_ptr<int64_t>();
  std::vector<int64_t> kept(static_cast<std::size_t>(samples), tokens - plan.count);
  constexpr int64_t samples_painted_a_part = 32;
  parallel_for(samples, samples_painted_a_part, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      PhiloxBits bits(stream_of(n));
      CellGrid grid(plan.grid_h, plan.grid_w);
      kept[static_cast<std::size_t>(n)] = tokens - paint_blocks(plan, bits, grid);
      grid.write(masks + n * tokens);
    }
  });

  TokenMask result{mask, at::Tensor(), ids_restore};
  const int64_t most =
      samples == 0 ? tokens - plan.count : *std::max_element(kept.begin(), kept.end());
  const bool one_count =
      std::all_of(kept.begin(), kept.end(), [&](int64_t k) { return k == most; });
  if (one_count) result.ids_keep = at::empty({samples, most}, at::kLong);
  parallel_for(samples, samples_a_part(tokens), [&](int64_t begin, int64_t end) {
    std::vector<int64_t> unused(static_cast<std::size_t>(one_count ? 0 : most));
    for (int64_t n = begin; n < end; ++n) {
      int64_t* const keep =
          one_count ? result.ids_keep.mutable_data_ptr<int64_t>() + n * most : unused.data();
      write_ids_by_position({masks + n * tokens, keep, restores + n * tokens, tokens,
                             kept[static_cast<std::size_t>(n)]});
    }
  });
  return result;
}

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
