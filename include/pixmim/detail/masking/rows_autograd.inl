// SPDX-License-Identifier: Apache-2.0
// `visible`, `restore` and `masked_fill` as functions of autograd, by an engine's rows. All are linear; each
// of the first two is the other's transpose, and the third is its own, but for the mask token. So they are
// each other's gradients, to any order.

#include <ATen/core/Tensor.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cstdint>
#include <vector>

#include "pixmim/detail/masking/cuda_rows.hpp"
#include "pixmim/detail/masking/rows.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {

/// What the tokens [N,L,..] give: rows [N,K,..] of the kept ones, and the sum [..] of the masked ones.
/// What was not wanted is undefined.
struct SplitTokens {
  at::Tensor visible;
  at::Tensor hidden_sum;
};

enum class SplitWish { Visible, HiddenSum, Both };

SplitTokens differentiable_split(const at::Tensor& full, const TokenOrder& order, SplitWish wish);
at::Tensor differentiable_restore(const at::Tensor& visible, const at::Tensor& mask_token,
                                  const TokenOrder& order);

inline SplitTokens split_rows(const at::Tensor& full, const TokenOrder& order, SplitWish wish) {
  SplitTokens result;
  if (order.launcher != nullptr) {
    cuda::Launcher& launcher = *order.launcher;
    if (wish != SplitWish::HiddenSum) result.visible = cuda::keep_rows(launcher, full, order);
    if (wish != SplitWish::Visible) {
      result.hidden_sum = cuda::sum_of_masked_rows(launcher, full, order);
    }
    return result;
  }
  expect_order(order);
  if (wish != SplitWish::HiddenSum) result.visible = keep_rows(full, order);
  if (wish != SplitWish::Visible) result.hidden_sum = sum_of_masked_rows(full, order);
  return result;
}

inline at::Tensor join_rows(const at::Tensor& visible, const at::Tensor& mask_token,
                            const TokenOrder& order) {
  if (order.launcher == nullptr) return restore_rows(visible, mask_token, order);
  return cuda::restore_rows(*order.launcher, visible, mask_token, order);
}

inline void save_order(const TokenOrder& order, torch::autograd::AutogradContext& context) {
  context.save_for_backward({order.ids_keep, order.ids_restore});
  context.saved_data["launcher"] =
      static_cast<int64_t>(reinterpret_cast<std::intptr_t>(order.launcher));
}

inline TokenOrder saved_order(const torch::autograd::AutogradContext& context) {
  const auto saved = context.get_saved_variables();
  const auto launcher = static_cast<std::intptr_t>(context.saved_data.at("launcher").toInt());
  return {saved[0], saved[1], reinterpret_cast<cuda::Launcher*>(launcher)};
}

class RestoreTokens : public torch::autograd::Function<RestoreTokens> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& visible,
                            const at::Tensor& mask_token, const TokenOrder& order) {
    save_order(order, *context);
    return join_rows(visible, mask_token, order);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& grads) {
    SplitWish wish = SplitWish::Both;
    if (!context->needs_input_grad(0)) wish = SplitWish::HiddenSum;
    if (!context->needs_input_grad(1)) wish = SplitWish::Visible;
    const SplitTokens split = differentiable_split(grads[0], saved_order(*context), wish);
    return {split.visible, split.hidden_sum, at::Tensor()};
  }
};

/// Gives one tensor or two.
class SplitIntoTokens : public torch::autograd::Function<SplitIntoTokens> {
 public:
  static torch::autograd::variable_list forward(torch::autograd::AutogradContext* context,
                                                const at::Tensor& full, const TokenOrder& order,
                                                SplitWish wish) {
    save_order(order, *context);
    context->saved_data["wish"] = static_cast<int64_t>(wish);
    const SplitTokens split = split_rows(full, order, wish);
    if (wish == SplitWish::Both) return {split.visible, split.hidden_sum};
    return {wish == SplitWish::Visible ? split.visible : split.hidden_sum};
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& grads) {
    const TokenOrder order = saved_order(*context);
    const auto wish = static_cast<SplitWish>(context->saved_data["wish"].toInt());
    at::Tensor visible = grads.front();
    at::Tensor hidden_sum = grads.back();
    if (wish == SplitWish::Visible) {
      hidden_sum = at::zeros(visible.sizes().slice(2), visible.options());
    } else if (wish == SplitWish::HiddenSum) {
      std::vector<int64_t> shape = {order.samples(), order.kept()};
      shape.insert(shape.end(), hidden_sum.sizes().begin(), hidden_sum.sizes().end());
      visible = at::zeros(shape, hidden_sum.options());
    }
    return {differentiable_restore(visible, hidden_sum, order), at::Tensor(), at::Tensor()};
  }
};

inline SplitTokens differentiable_split(const at::Tensor& full, const TokenOrder& order,
                                        SplitWish wish) {
  if (!c10::GradMode::is_enabled() || !full.requires_grad()) return split_rows(full, order, wish);
  const auto parts = SplitIntoTokens::apply(full, order, wish);
  SplitTokens result;
  if (wish != SplitWish::HiddenSum) result.visible = parts.front();
  if (wish != SplitWish::Visible) result.hidden_sum = parts.back();
  return result;
}

inline at::Tensor differentiable_restore(const at::Tensor& visible, const at::Tensor& mask_token,
                                         const TokenOrder& order) {
  const bool constant = !visible.requires_grad() && !mask_token.requires_grad();
  if (!c10::GradMode::is_enabled() || constant) return join_rows(visible, mask_token, order);
  return RestoreTokens::apply(visible, mask_token, order);
}

at::Tensor differentiable_fill(const at::Tensor& tokens, const at::Tensor& mask_token,
                               const at::Tensor& hidden);

/// All samples as one, of which both kinds of tokens are in order of position: no two samples need to
/// hide the same number.
inline TokenOrder flat_order(const at::Tensor& hidden) {
  const at::Tensor is_hidden = hidden.flatten();
  const at::Tensor is_visible = is_hidden.logical_not();
  const at::Tensor ids_keep = is_visible.nonzero().t();
  const at::Tensor place_if_hidden = is_hidden.cumsum(0).add(ids_keep.size(1) - 1);
  const at::Tensor place_if_visible = is_visible.cumsum(0).sub(1);
  return {ids_keep.contiguous(),
          at::where(is_hidden, place_if_hidden, place_if_visible).unsqueeze(0)};
}

class FillMaskedTokens : public torch::autograd::Function<FillMaskedTokens> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& tokens,
                            const at::Tensor& mask_token, const at::Tensor& hidden) {
    context->save_for_backward({hidden});
    return fill_rows(tokens, mask_token, hidden);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& grads) {
    const at::Tensor hidden = context->get_saved_variables()[0];
    const at::Tensor& grad = grads[0];
    torch::autograd::variable_list result(3);
    if (context->needs_input_grad(0)) {
      result[0] = differentiable_fill(grad, at::zeros({grad.size(2)}, grad.options()), hidden);
    }
    if (context->needs_input_grad(1)) {
      result[1] = differentiable_split(grad.flatten(0, 1).unsqueeze(0), flat_order(hidden),
                                       SplitWish::HiddenSum)
                      .hidden_sum;
    }
    return result;
  }
};

inline at::Tensor differentiable_fill(const at::Tensor& tokens, const at::Tensor& mask_token,
                                      const at::Tensor& hidden) {
  const bool constant = !tokens.requires_grad() && !mask_token.requires_grad();
  if (!c10::GradMode::is_enabled() || constant) return fill_rows(tokens, mask_token, hidden);
  return FillMaskedTokens::apply(tokens, mask_token, hidden);
}

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
