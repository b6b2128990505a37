// SPDX-License-Identifier: Apache-2.0
// The bodies of TokenMask.

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <c10/util/Exception.h>

#include <cstdint>
#include <vector>

#include "pixmim/detail/check.hpp"

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

inline void expect_one_count(const char* caller, const TokenMask& mask) {
  TORCH_CHECK(mask.ids_keep.defined(), caller,
              ": expected a mask that keeps one number of tokens in every sample, got one that "
              "keeps different numbers (BlockMaskOptions::exact(true) makes them equal)");
}

}  // namespace detail

inline at::Tensor TokenMask::visible(const at::Tensor& tokens) const {
  constexpr auto caller = "TokenMask::visible";
  detail::expect_one_count(caller, *this);
  detail::expect_on_device(caller, "tokens", tokens, "the mask", ids_keep.device());
  TORCH_CHECK(tokens.dim() >= 2 && tokens.size(0) == ids_restore.size(0) &&
                  tokens.size(1) == ids_restore.size(1),
              caller, ": expected tokens of shape [", ids_restore.size(0), ",", ids_restore.size(1),
              ",D], got ", tokens.sizes());
  return detail::pick_rows(tokens, ids_keep);
}

inline at::Tensor TokenMask::restore(const at::Tensor& visible,
                                     const at::Tensor& mask_token) const {
  constexpr auto caller = "TokenMask::restore";
  detail::expect_one_count(caller, *this);
  detail::expect_on_device(caller, "visible", visible, "the mask", ids_keep.device());
  detail::expect_on_device(caller, "mask_token", mask_token, "the mask", ids_keep.device());
  const int64_t samples = ids_restore.size(0);
  const int64_t kept = ids_keep.size(1);
  const int64_t masked = ids_restore.size(1) - kept;
  TORCH_CHECK(visible.dim() == 3 && visible.size(0) == samples && visible.size(1) == kept, caller,
              ": expected visible of shape [", samples, ",", kept, ",D], got ", visible.sizes());
  const int64_t width = visible.size(2);
  TORCH_CHECK(mask_token.numel() == width && mask_token.dim() >= 1 && mask_token.size(-1) == width,
              caller, ": expected mask_token of shape [", width, "] or [1,1,", width, "], got ",
              mask_token.sizes());
  const at::Tensor hidden = mask_token.reshape({1, 1, width}).expand({samples, masked, width});
  return detail::pick_rows(at::cat({visible, hidden}, 1), ids_restore);
}

}  // namespace v0
}  // namespace pixmim
