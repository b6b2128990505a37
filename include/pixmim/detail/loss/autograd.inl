// SPDX-License-Identifier: Apache-2.0
// The loss on the CPU as a function of autograd.

#include <ATen/core/Tensor.h>
#include <ATen/ops/mul.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/autograd/graph_task.h>

#include "pixmim/detail/large_pages.hpp"
#include "pixmim/detail/loss/engine.inl"

namespace pixmim {
inline namespace v0 {
namespace detail {

/// Arguments of an autograd function that are not its inputs.
struct PixelLossArguments {
  at::Tensor target;
  at::Tensor mask;
  PixelLossOptions options;
  /// An empty piece of the prediction: see OnceDifferentiable.
  at::Tensor piece;
};

/// A gradient that can be used but not differentiated. Its inputs are an empty piece of the
/// prediction and the factor: a second derivative finds the way to either, and on it this error,
/// rather than a constant. The prediction itself need not be kept for that.
class OnceDifferentiable : public torch::autograd::Function<OnceDifferentiable> {
 public:
  struct Gradient {
    at::Tensor values;
  };

  static at::Tensor forward(torch::autograd::AutogradContext* /*context*/,
                            const at::Tensor& /*piece*/, const at::Tensor& /*factor*/,
                            const Gradient& gradient) {
    return gradient.values.detach();
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* /*context*/,
                                                 const torch::autograd::variable_list& /*grads*/) {
    TORCH_CHECK_NOT_IMPLEMENTED(
        false,
        "masked_pixel_loss: expected to be differentiated once on the CPU, got a derivative of its "
        "gradient. For second derivatives write the loss in operators, with pixmim::patchify and "
        "pixmim::normalize_patches");
  }
};

/// Computes the gradient beside the loss; backward multiplies.
class PixelLoss : public torch::autograd::Function<PixelLoss> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& prediction,
                            const PixelLossArguments& arguments) {
    const LossAndGradient result = pixel_loss_on_cpu(prediction, arguments.target, arguments.mask,
                                                     arguments.options, /*with_gradient=*/true);
    context->save_for_backward({result.gradient, arguments.piece});
    return result.loss;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& grads) {
    const auto saved = context->get_saved_variables();
    const at::Tensor& piece = saved[1];
    const at::Tensor factor = grads[0].detach();
    at::Tensor gradient = saved[0];
    // Where the graph is kept the saved gradient serves later calls too, and whoever gets it may
    // write into it.
    if (factor.item<double>() != 1 || gradient.scalar_type() != piece.scalar_type() ||
        torch::autograd::get_current_graph_task_keep_graph()) {
      gradient = empty_in_large_pages(saved[0].sizes(), piece.scalar_type());
      at::mul_out(gradient, saved[0], factor);
    }
    // create_graph=true
    if (c10::GradMode::is_enabled()) {
      gradient = OnceDifferentiable::apply(piece, grads[0], OnceDifferentiable::Gradient{gradient});
    }
    return {gradient, at::Tensor()};
  }
};

inline at::Tensor differentiable_pixel_loss_on_cpu(const at::Tensor& prediction,
                                                   const at::Tensor& target, const at::Tensor& mask,
                                                   const PixelLossOptions& options) {
  if (!c10::GradMode::is_enabled() || !prediction.requires_grad()) {
    return pixel_loss_on_cpu(prediction, target, mask, options, /*with_gradient=*/false).loss;
  }
  return PixelLoss::apply(
      prediction, PixelLossArguments{target, mask, options, prediction.narrow(2, 0, 0).clone()});
}

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
