// SPDX-License-Identifier: Apache-2.0
// The masks of what a trainer has already: a mask, or ids.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/full.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cstdint>

#include "pixmim/detail/masking/engine.hpp"
#include "pixmim/detail/masking/mask_rows.hpp"
#include "pixmim/detail/masking/operators.hpp"
#include "pixmim/detail/parallel.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {

/// How many tokens every sample keeps; `hidden` [N,L] bool.
inline int64_t kept_by_each(const char* caller, const at::Tensor& hidden) {
  if (hidden.size(0) == 0) return hidden.size(1);
  const at::Tensor counts = hidden.sum(1).cpu();
  const auto first = counts[0].item<int64_t>();
  const at::Tensor others = counts.ne(first).nonzero();
  if (others.numel() > 0) {
    const auto sample = others[0][0].item<int64_t>();
    TORCH_CHECK_VALUE(false, caller, ": expected every sample to mask as many tokens as sample 0, ",
                      first, ", got ", counts[sample].item<int64_t>(), " in sample ", sample);
  }
  return hidden.size(1) - first;
}

inline TokenMask mask_of_hidden_by_operators(const at::Tensor& hidden, int64_t kept) {
  return keep_first(stable_order(hidden.to(at::kLong)), kept);
}

/// `hidden` [N,L] bool: true = masked.
inline TokenMask mask_of_hidden(const char* caller, const at::Tensor& hidden) {
  const int64_t kept = kept_by_each(caller, hidden);
  if (!hidden.is_cpu()) return mask_of_hidden_by_operators(hidden, kept);
  const MaskRows rows(hidden.size(0), hidden.size(1), kept);
  rows.result().mask.copy_(hidden);
  parallel_for(rows.samples(), samples_a_part(rows.tokens()), [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) write_ids_by_position(rows.row(n));
  });
  return rows.result();
}

inline TokenMask mask_of_kept_by_operators(const at::Tensor& ids_keep, int64_t tokens) {
  // What is not kept has the last rank, and a stable order leaves it by position.
  const int64_t kept = ids_keep.size(1);
  const at::Tensor ranks = at::full({ids_keep.size(0), tokens}, kept, ids_keep.options());
  const at::Tensor places = at::arange(kept, ids_keep.options()).expand_as(ids_keep);
  return keep_first(stable_order(ranks.scatter(1, ids_keep, places)), kept);
}

/// All of a row for the positions of its kept tokens; masked ones in order of position.
inline void write_kept(const char* caller, const int64_t* ids_keep, int64_t sample,
                       const MaskRow& row) {
  std::fill_n(row.mask, row.tokens, 1.0F);
  for (int64_t place = 0; place < row.kept; ++place) {
    const int64_t token = ids_keep[place];
    TORCH_CHECK_INDEX(token >= 0 && token < row.tokens, caller, ": expected ids_keep in [0, ",
                      row.tokens, "), got ", token, " in sample ", sample);
    TORCH_CHECK_INDEX(row.mask[token] != 0, caller, ": expected different ids_keep, got ", token,
                      " twice in sample ", sample);
    row.ids_keep[place] = token;
    row.ids_restore[token] = place;
    row.mask[token] = 0;
  }
  int64_t place = row.kept;
  for (int64_t token = 0; token < row.tokens; ++token) {
    if (row.mask[token] != 0) row.ids_restore[token] = place++;
  }
}

inline TokenMask mask_of_kept(const char* caller, const at::Tensor& ids_keep, int64_t tokens) {
  if (!ids_keep.is_cpu()) return mask_of_kept_by_operators(ids_keep, tokens);
  const int64_t samples = ids_keep.size(0);
  const int64_t kept = ids_keep.size(1);
  const at::Tensor ids = ids_keep.contiguous();
  const auto* const first = ids.const_data_ptr<int64_t>();
  const MaskRows rows(samples, tokens, kept);
  parallel_for(samples, samples_a_part(tokens), [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) write_kept(caller, first + n * kept, n, rows.row(n));
  });
  return rows.result();
}

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
