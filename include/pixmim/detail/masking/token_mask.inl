// SPDX-License-Identifier: Apache-2.0
// The bodies of TokenMask: what is checked, and who moves the rows.

#include <c10/util/Exception.h>

#include <cstdint>

#include "pixmim/detail/check.hpp"
#include "pixmim/detail/masking/row_operators.hpp"
#include "pixmim/detail/masking/rows_autograd.inl"

namespace pixmim {
inline namespace v0 {
namespace detail {

/// Throws unless the ids have fitting shapes; on the CPU what they are is looked at, too, where tokens
/// are moved by them.
inline void expect_ids(const char* caller, const TokenMask& mask) {
  const at::Tensor& ids_keep = mask.ids_keep;
  const at::Tensor& ids_restore = mask.ids_restore;
  TORCH_CHECK(ids_keep.defined(), caller,
              ": expected a mask that keeps one number of tokens in every sample, got one that "
              "keeps different numbers (BlockMaskOptions::exact(true) makes them equal)");
  expect_on_device(caller, "ids_restore", ids_restore, "ids_keep", ids_keep.device());
  TORCH_CHECK_TYPE(ids_keep.scalar_type() == at::kLong && ids_restore.scalar_type() == at::kLong,
                   caller, ": expected ids_keep and ids_restore of dtype int64, got ",
                   ids_keep.scalar_type(), " and ", ids_restore.scalar_type());
  const auto keep = ids_keep.sizes();
  const auto restore = ids_restore.sizes();
  TORCH_CHECK(
      keep.size() == 2 && restore.size() == 2 && keep[0] == restore[0] && keep[1] <= restore[1],
      caller, ": expected ids_keep [N,K] and ids_restore [N,L] with K <= L, got ", keep, " and ",
      restore);
}

inline TokenOrder order_of(const TokenMask& mask) {
  return {mask.ids_keep.contiguous(), mask.ids_restore.contiguous()};
}

}  // namespace detail

inline at::Tensor TokenMask::visible(const at::Tensor& tokens) const {
  constexpr auto caller = "TokenMask::visible";
  detail::expect_ids(caller, *this);
  detail::expect_on_device(caller, "tokens", tokens, "the mask", ids_keep.device());
  TORCH_CHECK(tokens.dim() >= 2 && tokens.size(0) == ids_restore.size(0) &&
                  tokens.size(1) == ids_restore.size(1),
              caller, ": expected tokens of shape [", ids_restore.size(0), ",", ids_restore.size(1),
              ",D], got ", tokens.sizes());
  if (!tokens.is_cpu()) return detail::pick_rows(tokens, ids_keep);
  return detail::differentiable_split(tokens, detail::order_of(*this), detail::SplitWish::Visible)
      .visible;
}

inline at::Tensor TokenMask::restore(const at::Tensor& visible,
                                     const at::Tensor& mask_token) const {
  constexpr auto caller = "TokenMask::restore";
  detail::expect_ids(caller, *this);
  detail::expect_on_device(caller, "visible", visible, "the mask", ids_keep.device());
  detail::expect_on_device(caller, "mask_token", mask_token, "the mask", ids_keep.device());
  const int64_t samples = ids_restore.size(0);
  const int64_t kept = ids_keep.size(1);
  TORCH_CHECK(visible.dim() == 3 && visible.size(0) == samples && visible.size(1) == kept, caller,
              ": expected visible of shape [", samples, ",", kept, ",D], got ", visible.sizes());
  const int64_t width = visible.size(2);
  TORCH_CHECK(mask_token.numel() == width && mask_token.dim() >= 1 && mask_token.size(-1) == width,
              caller, ": expected mask_token of shape [", width, "] or [1,1,", width, "], got ",
              mask_token.sizes());
  const at::Tensor hidden = mask_token.reshape({width});
  if (!visible.is_cpu()) return detail::restore_by_operators(visible, hidden, ids_restore);
  const auto dtype = c10::promoteTypes(visible.scalar_type(), mask_token.scalar_type());
  return detail::differentiable_restore(visible.to(dtype), hidden.to(dtype),
                                        detail::order_of(*this));
}

}  // namespace v0
}  // namespace pixmim
