// SPDX-License-Identifier: Apache-2.0
// The loss on the CPU: value and gradient in one pass over the masked patches.

#include <ATen/core/Tensor.h>
#include <ATen/ops/scalar_tensor.h>
#include <c10/core/CPUAllocator.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <vector>

#include "pixmim/detail/large_pages.hpp"
#include "pixmim/detail/loss/dispatch.hpp"
#include "pixmim/detail/loss/loss_and_gradient.hpp"
#include "pixmim/detail/loss/patch_kernels.hpp"
#include "pixmim/detail/loss/prefetch.hpp"
#include "pixmim/detail/loss/target_patches.hpp"
#include "pixmim/detail/parallel.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {

/// One pass over the masked patches: the sum of their weighted costs, divided by `total` and by the
/// pixels of a patch, and its gradient.
template <typename Scalar>
class PixelLossPass {
 public:
  /// The last side of the prediction has stride 1. The gradient is contiguous or undefined.
  PixelLossPass(const at::Tensor& prediction, const at::Tensor& target, const double* weights,
                double total, const PixelLossOptions& options, const at::Tensor& gradient)
      : target_(target_patches(target, options.patch_size())),
        kernels_(patch_kernels<Scalar>(prediction.scalar_type(), target_)),
        norm_pix_(options.norm_pix()),
        squares_(options.norm() == PixelNorm::L2),
        weights_(weights),
        divisor_(total * static_cast<double>(prediction.size(2))),
        images_(prediction.size(0)),
        length_(prediction.size(1)),
        pixels_(prediction.size(2)),
        prediction_(static_cast<const char*>(prediction.const_data_ptr())),
        image_bytes_(prediction.stride(0) * prediction.element_size()),
        patch_bytes_(prediction.stride(1) * prediction.element_size()) {
    if (!gradient.defined()) return;
    gradient_ = static_cast<char*>(gradient.mutable_data_ptr());
    gradient_bytes_ = pixels_ * gradient.element_size();
  }

  double run() const {
    // A sum that does not depend on how the threads share the patches.
    std::vector<double> costs(static_cast<std::size_t>(images_ * length_));
    constexpr int64_t pixels_a_part = 32768;
    const int64_t grain = std::max<int64_t>(1, pixels_a_part / pixels_);
    parallel_for(images_ * length_, grain, [&](int64_t begin, int64_t end) {
      const auto bytes = static_cast<std::size_t>(padded(pixels_)) * sizeof(Scalar);
      const c10::DataPtr memory = c10::GetCPUAllocator()->allocate(bytes);
      auto* const values = static_cast<Scalar*>(memory.get());
      for (int64_t i = begin; i < end; ++i) {
        if (weights_[i] == 0) {
          clear(i);
        } else {
          prefetch_after(i, end);
          costs[static_cast<std::size_t>(i)] = cost(i, values);
        }
      }
    });
    return std::accumulate(costs.begin(), costs.end(), 0.0) / divisor_;
  }

 private:
  /// Of patch i, with its gradient. `values` has room for the target's patch.
  double cost(int64_t i, Scalar* values) const {
    MaskedPatch<Scalar> patch = {};
    patch.prediction = prediction_ + i / length_ * image_bytes_ + i % length_ * patch_bytes_;
    patch.target = values;
    patch.pixels = pixels_;
    patch.gradient = gradient_of(i);
    patch.gradient_scale = static_cast<Scalar>((squares_ ? 2 : 1) * weights_[i] / divisor_);
    kernels_.gather(target_, target_offset(i), values);
    if (norm_pix_) patch.normalization = kernels_.normalization(values, pixels_);
    return weights_[i] * (squares_ ? kernels_.squares(patch) : kernels_.absolutes(patch));
  }

  void clear(int64_t i) const {
    if (gradient_ != nullptr) {
      std::memset(gradient_of(i), 0, static_cast<std::size_t>(gradient_bytes_));
    }
  }

  void prefetch_after(int64_t i, int64_t end) const {
    do {
      ++i;
    } while (i < end && weights_[i] == 0);
    if (i < end) prefetch(target_, target_offset(i));
  }

  int64_t target_offset(int64_t i) const { return target_.offset(i / length_, i % length_); }
  char* gradient_of(int64_t i) const {
    return gradient_ == nullptr ? nullptr : gradient_ + i * gradient_bytes_;
  }

  TargetPatches target_;
  PatchKernels<Scalar> kernels_;
  bool norm_pix_;
  bool squares_;
  const double* weights_;
  double divisor_;
  int64_t images_;
  int64_t length_;
  int64_t pixels_;
  const char* prediction_;
  int64_t image_bytes_;
  int64_t patch_bytes_;
  char* gradient_ = nullptr;
  int64_t gradient_bytes_ = 0;
};

/// `masked_pixel_loss` of checked arguments: the same bits for any number of threads.
inline LossAndGradient pixel_loss_on_cpu(const at::Tensor& prediction, const at::Tensor& target,
                                         const at::Tensor& mask, const PixelLossOptions& options,
                                         bool with_gradient) {
  const at::Tensor predicted =
      (prediction.stride(2) == 1 ? prediction : prediction.contiguous()).resolve_neg();
  const at::Tensor wanted = target.detach().resolve_neg();
  const at::Tensor weight = mask.detach().to(at::kDouble).contiguous();
  const auto* weights = weight.const_data_ptr<double>();
  double total = std::accumulate(weights, weights + weight.numel(), 0.0);
  // Where nothing is masked the numerator is 0: any divisor but 0 will do. Weights that sum to less
  // than 1 are still divided by their sum.
  if (total == 0) total = 1;

  LossAndGradient result;
  if (with_gradient) {
    result.gradient = empty_in_large_pages(prediction.sizes(), stored_gradient_dtype(prediction));
  }
  const bool wide = is_wide(prediction, target);
  const double loss =
      wide
          ? PixelLossPass<double>(predicted, wanted, weights, total, options, result.gradient).run()
          : PixelLossPass<float>(predicted, wanted, weights, total, options, result.gradient).run();
  result.loss = at::scalar_tensor(loss, at::dtype(wide ? at::kDouble : at::kFloat));
  return result;
}

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
