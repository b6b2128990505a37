// SPDX-License-Identifier: Apache-2.0
// The bodies of TokenMask: what is checked, and who moves the rows.

#include <c10/core/ScalarType.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cstdint>

#include "pixmim/detail/check.hpp"
#include "pixmim/detail/masking/cuda_engine.hpp"
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
  return {mask.ids_keep.contiguous(), mask.ids_restore.contiguous(),
          masking_launcher(mask.ids_keep.device())};
}

/// Whether rows are moved by an engine; else by LibTorch's operators.
inline bool has_engine(const TokenOrder& order) {
  return order.ids_keep.is_cpu() || order.launcher != nullptr;
}

inline void expect_tokens_fit(const char* caller, const at::Tensor& tokens, const TokenMask& mask) {
  expect_on_device(caller, "tokens", tokens, "the mask", mask.ids_keep.device());
  const at::Tensor& ids = mask.ids_restore;
  TORCH_CHECK(tokens.dim() >= 2 && tokens.size(0) == ids.size(0) && tokens.size(1) == ids.size(1),
              caller, ": expected tokens of shape [", ids.size(0), ",", ids.size(1), ",D], got ",
              tokens.sizes());
}

/// mask_token as [width].
inline at::Tensor expect_mask_token(const char* caller, const at::Tensor& mask_token,
                                    const at::Device& device, int64_t width) {
  expect_on_device(caller, "mask_token", mask_token, "the mask", device);
  TORCH_CHECK(mask_token.numel() == width && mask_token.dim() >= 1 && mask_token.size(-1) == width,
              caller, ": expected mask_token of shape [", width, "] or [1,1,", width, "], got ",
              mask_token.sizes());
  return mask_token.reshape({width});
}

}  // namespace detail

inline TokenMask TokenMask::to(const at::TensorOptions& options, bool non_blocking) const {
  const auto device = at::TensorOptions().device(options.device_opt());
  const auto moved = [&](const at::Tensor& tensor) {
    return tensor.defined() ? tensor.to(device, non_blocking) : tensor;
  };
  return {moved(mask), moved(ids_keep), moved(ids_restore)};
}

inline at::Tensor TokenMask::visible(const at::Tensor& tokens) const {
  constexpr auto caller = "TokenMask::visible";
  detail::expect_ids(caller, *this);
  detail::expect_tokens_fit(caller, tokens, *this);
  const detail::TokenOrder order = detail::order_of(*this);
  if (!detail::has_engine(order)) return detail::pick_rows(tokens, ids_keep);
  return detail::differentiable_split(tokens, order, detail::SplitWish::Visible).visible;
}

inline at::Tensor TokenMask::ids_masked() const {
  detail::expect_ids("TokenMask::ids_masked", *this);
  if (ids_keep.is_cpu()) detail::expect_order(detail::order_of(*this));
  const int64_t kept = ids_keep.size(1);
  return detail::inverse_order(ids_restore).slice(1, kept).contiguous();
}

inline at::Tensor TokenMask::masked(const at::Tensor& tokens) const {
  constexpr auto caller = "TokenMask::masked";
  detail::expect_ids(caller, *this);
  detail::expect_tokens_fit(caller, tokens, *this);
  const at::Tensor ids = ids_masked();
  detail::cuda::Launcher* const launcher = detail::masking_launcher(ids.device());
  if (!ids.is_cpu() && launcher == nullptr) return detail::pick_rows(tokens, ids);
  // The masked tokens are the visible ones of the mask that hides the others.
  const int64_t count = ids_restore.size(1);
  const detail::TokenOrder others_first{
      ids, ids_restore.sub(ids_keep.size(1)).remainder(std::max<int64_t>(count, 1)).contiguous(),
      launcher};
  return detail::differentiable_split(tokens, others_first, detail::SplitWish::Visible).visible;
}

inline at::Tensor TokenMask::restore(const at::Tensor& visible,
                                     const at::Tensor& mask_token) const {
  constexpr auto caller = "TokenMask::restore";
  detail::expect_ids(caller, *this);
  detail::expect_on_device(caller, "visible", visible, "the mask", ids_keep.device());
  const int64_t samples = ids_restore.size(0);
  const int64_t kept = ids_keep.size(1);
  TORCH_CHECK(visible.dim() == 3 && visible.size(0) == samples && visible.size(1) == kept, caller,
              ": expected visible of shape [", samples, ",", kept, ",D], got ", visible.sizes());
  const at::Tensor hidden =
      detail::expect_mask_token(caller, mask_token, ids_keep.device(), visible.size(2));
  const detail::TokenOrder order = detail::order_of(*this);
  if (!detail::has_engine(order)) {
    return detail::restore_by_operators(visible, hidden, ids_restore);
  }
  const auto dtype = c10::promoteTypes(visible.scalar_type(), mask_token.scalar_type());
  return detail::differentiable_restore(visible.to(dtype), hidden.to(dtype), order);
}

inline at::Tensor TokenMask::masked_fill(const at::Tensor& tokens,
                                         const at::Tensor& mask_token) const {
  constexpr auto caller = "TokenMask::masked_fill";
  detail::expect_defined(caller, "mask", mask);
  detail::expect_on_device(caller, "tokens", tokens, "the mask", mask.device());
  TORCH_CHECK(tokens.dim() == 3, caller, ": expected tokens of shape [N,L,D], got ",
              tokens.sizes());
  detail::expect_mask(caller, mask, "tokens", tokens.device(), tokens.size(0), tokens.size(1));
  const at::Tensor token =
      detail::expect_mask_token(caller, mask_token, mask.device(), tokens.size(2));
  const at::Tensor hidden = mask.ne(0);
  const auto dtype = c10::promoteTypes(tokens.scalar_type(), token.scalar_type());
  if (!tokens.is_cpu()) {
    return detail::fill_by_operators(tokens.to(dtype), token.to(dtype), hidden);
  }
  return detail::differentiable_fill(tokens.to(dtype), token.to(dtype), hidden);
}

}  // namespace v0
}  // namespace pixmim
