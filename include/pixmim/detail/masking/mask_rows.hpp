// SPDX-License-Identifier: Apache-2.0
// Writes the rows of a TokenMask on the CPU.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "pixmim/token_mask.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {

/// One sample of a TokenMask.
struct MaskRow {
  float* mask;
  int64_t* ids_keep;
  int64_t* ids_restore;
  int64_t tokens;
  int64_t kept;
};

/// A TokenMask that is yet to be written.
class MaskRows {
 public:
  MaskRows(int64_t samples, int64_t tokens, int64_t kept) : tokens_(tokens), kept_(kept) {
    result_.mask = at::empty({samples, tokens}, at::kFloat);
    result_.ids_keep = at::empty({samples, kept}, at::kLong);
    result_.ids_restore = at::empty({samples, tokens}, at::kLong);
    first_ = {result_.mask.mutable_data_ptr<float>(), result_.ids_keep.mutable_data_ptr<int64_t>(),
              result_.ids_restore.mutable_data_ptr<int64_t>(), tokens, kept};
  }

  int64_t samples() const { return result_.mask.size(0); }
  int64_t tokens() const { return tokens_; }
  int64_t kept() const { return kept_; }
  MaskRow row(int64_t sample) const {
    return {first_.mask + sample * tokens_, first_.ids_keep + sample * kept_,
            first_.ids_restore + sample * tokens_, tokens_, kept_};
  }
  const TokenMask& result() const { return result_; }

 private:
  int64_t tokens_;
  int64_t kept_;
  TokenMask result_;
  MaskRow first_;
};

/// All of a row, for an order of the tokens: kept ones, then masked ones.
inline void write_ordered(const uint32_t* order, const MaskRow& row) {
  for (int64_t place = 0; place < row.kept; ++place) {
    const uint32_t token = order[place];
    row.ids_keep[place] = token;
    row.ids_restore[token] = place;
    row.mask[token] = 0;
  }
  for (int64_t place = row.kept; place < row.tokens; ++place) {
    const uint32_t token = order[place];
    row.ids_restore[token] = place;
    row.mask[token] = 1;
  }
}

/// The ids of a row whose mask is there, both kinds of tokens in order of position.
inline void write_ids_by_position(const MaskRow& row) {
  int64_t token = 0;
  // No jump depends on the mask: a masked token is written too, and the next one over it.
  for (int64_t place = 0; place < row.kept; ++token) {
    const bool masked = row.mask[token] != 0;
    row.ids_keep[place] = token;
    row.ids_restore[token] = masked ? row.kept + token - place : place;
    place += masked ? 0 : 1;
  }
  for (; token < row.tokens; ++token) row.ids_restore[token] = token;
}

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
