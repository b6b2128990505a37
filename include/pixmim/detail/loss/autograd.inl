// SPDX-License-Identifier: Apache-2.0
// The loss by an engine of our own as a function of autograd.

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mul.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/autograd/graph_task.h>

#include "pixmim/detail/cuda/launcher.hpp"
#include "pixmim/detail/large_pages.hpp"
#include "pixmim/detail/loss/cuda_engine.inl"
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
  /// Starts the kernels that compute. Null: the CPU does.
  cuda::Launcher* launcher;
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
        "masked_pixel_loss: expected to be differentiated once, got a derivative of its gradient. "
        "For second derivatives write the loss in operators, with pixmim::patchify and "
        "pixmim::normalize_patches");
  }
};

/// Value and gradient, by the engine that is asked for.
inline LossAndGradient pixel_loss_of(const at::Tensor& prediction,
                                     const PixelLossArguments& arguments, bool with_gradient) {
  if (arguments.launcher != nullptr) {
    return cuda::pixel_loss(*arguments.launcher, prediction, arguments.target, arguments.mask,
                            arguments.options, with_gradient);
  }
  return pixel_loss_on_cpu(prediction, arguments.target, arguments.mask, arguments.options,
                           with_gradient);
}

/// Computes the gradient beside the loss; backward multiplies.
class PixelLoss : public torch::autograd::Function<PixelLoss> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& prediction,
                            const PixelLossArguments& arguments) {
    const LossAndGradient result = pixel_loss_of(prediction, arguments, /*with_gradient=*/true);
    context->save_for_backward({result.gradient, arguments.piece});
    context->saved_data["engine"] =
        c10::IValue::make_capsule(c10::make_intrusive<Engine>(arguments.launcher));
    return result.loss;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& grads) {
    const auto saved = context->get_saved_variables();
    const auto engine =
        c10::static_intrusive_pointer_cast<Engine>(context->saved_data["engine"].toCapsule());
    at::Tensor gradient =
        scaled(saved[0], grads[0].detach(), saved[1].scalar_type(), engine->launcher);
    // create_graph=true
    if (c10::GradMode::is_enabled()) {
      gradient =
          OnceDifferentiable::apply(saved[1], grads[0], OnceDifferentiable::Gradient{gradient});
    }
    return {gradient, at::Tensor()};
  }

 private:
  struct Engine : torch::CustomClassHolder {
    explicit Engine(cuda::Launcher* its_launcher) : launcher(its_launcher) {}
    cuda::Launcher* launcher;
  };

  /// `gradient` times `factor`, in the same memory where that may be.
  static at::Tensor scaled(const at::Tensor& gradient, const at::Tensor& factor,
                           c10::ScalarType dtype, cuda::Launcher* launcher) {
    // Where the graph is kept the saved gradient serves later calls too, and whoever gets it may
    // write into it.
    if (gradient.scalar_type() == dtype && !torch::autograd::get_current_graph_task_keep_graph()) {
      if (launcher == nullptr) {
        if (factor.item<double>() == 1) return gradient;
      } else if (factor.scalar_type() == at::kFloat) {
        cuda::scale_in_place(*launcher, gradient, factor);
        return gradient;
      }
    }
    at::Tensor result = gradient.is_cpu()
                            ? empty_in_large_pages(gradient.sizes(), dtype)
                            : at::empty(gradient.sizes(), gradient.options().dtype(dtype));
    at::mul_out(result, gradient, factor);
    return result;
  }
};

/// `masked_pixel_loss` of checked arguments. `launcher` starts kernels that serve them; null on the CPU.
inline at::Tensor differentiable_pixel_loss(const at::Tensor& prediction, const at::Tensor& target,
                                            const at::Tensor& mask, const PixelLossOptions& options,
                                            cuda::Launcher* launcher) {
  PixelLossArguments arguments = {target, mask, options, at::Tensor(), launcher};
  if (!c10::GradMode::is_enabled() || !prediction.requires_grad()) {
    return pixel_loss_of(prediction, arguments, /*with_gradient=*/false).loss;
  }
  arguments.piece = prediction.narrow(2, 0, 0).clone();
  return PixelLoss::apply(prediction, arguments);
}

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
