// SPDX-License-Identifier: Apache-2.0
// The loss on the CPU: value and gradient in one pass over the masked patches.

#include <ATen/core/Tensor.h>
#include <ATen/ops/scalar_tensor.h>
#include <c10/core/CPUAllocator.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "pixmim/detail/large_pages.hpp"
#include "pixmim/detail/loss/dispatch.hpp"
#include "pixmim/detail/loss/patch_kernels.hpp"
#include "pixmim/detail/parallel.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {

struct LossAndGradient {
  at::Tensor loss;
  /// Undefined if none was wanted; float32 for a prediction of float16.
  at::Tensor gradient;
};

inline TargetPatches target_patches(const at::Tensor& target, int64_t patch_size) {
  TargetPatches result = {};
  result.data = target.const_data_ptr();
  result.dtype = target.scalar_type();
  result.image_step = target.stride(0);
  if (target.dim() == 3) {
    result.rows = result.channels = result.across = 1;
    result.columns = target.size(2);
    result.column_step = target.stride(2);
    result.down_step = target.stride(1);
    return result;
  }
  result.rows = result.columns = patch_size;
  result.channels = target.size(1);
  result.channel_step = target.stride(1);
  result.row_step = target.stride(2);
  result.column_step = target.stride(3);
  result.down_step = patch_size * target.stride(2);
  result.across_step = patch_size * target.stride(3);
  result.across = target.size(3) / patch_size;
  return result;
}

/// Costs of the patches times their weights; the gradient of the prediction into `gradient`, if it
/// is defined. `total` is what the sum of all is divided by.
template <typename Scalar>
std::vector<double> weighted_costs(const at::Tensor& prediction, const at::Tensor& target,
                                   const double* weights, double total,
                                   const PixelLossOptions& options, const at::Tensor& gradient) {
  const auto kernels = patch_kernels<Scalar>(prediction.scalar_type(), target.scalar_type());
  const bool squares = options.norm() == PixelNorm::L2;
  const TargetPatches wanted = target_patches(target, options.patch_size());
  const int64_t count = prediction.size(0) * prediction.size(1);
  const int64_t length = prediction.size(1);
  const int64_t pixels = prediction.size(2);
  const auto* predicted = static_cast<const char*>(prediction.const_data_ptr());
  const int64_t image_bytes = prediction.stride(0) * prediction.element_size();
  const int64_t patch_bytes = prediction.stride(1) * prediction.element_size();
  auto* slopes = gradient.defined() ? static_cast<char*>(gradient.mutable_data_ptr()) : nullptr;
  const int64_t slope_bytes = gradient.defined() ? pixels * gradient.element_size() : 0;
  const double slope = (squares ? 2 : 1) / (total * static_cast<double>(pixels));

  std::vector<double> costs(static_cast<std::size_t>(count));
  constexpr int64_t pixels_a_part = 32768;
  const int64_t grain = std::max<int64_t>(1, pixels_a_part / pixels);
  parallel_for(count, grain, [&](int64_t begin, int64_t end) {
    const auto bytes = static_cast<std::size_t>(padded(pixels)) * sizeof(Scalar);
    const c10::DataPtr memory = c10::GetCPUAllocator()->allocate(bytes);
    auto* const values = static_cast<Scalar*>(memory.get());
    for (int64_t i = begin; i < end; ++i) {
      char* const to = slopes == nullptr ? nullptr : slopes + i * slope_bytes;
      if (weights[i] == 0) {
        if (to != nullptr) std::memset(to, 0, static_cast<std::size_t>(slope_bytes));
        continue;
      }
      MaskedPatch<Scalar> patch;
      patch.prediction = predicted + i / length * image_bytes + i % length * patch_bytes;
      patch.target = values;
      patch.pixels = pixels;
      patch.gradient = to;
      patch.gradient_scale = static_cast<Scalar>(weights[i] * slope);
      int64_t next = i + 1;
      while (next < end && weights[next] == 0) ++next;
      if (next == end) next = i;
      kernels.gather(wanted, wanted.offset(i / length, i % length),
                     wanted.offset(next / length, next % length), values);
      if (options.norm_pix()) patch.normalization = kernels.normalization(values, pixels);
      const double cost = squares ? kernels.squares(patch) : kernels.absolutes(patch);
      costs[static_cast<std::size_t>(i)] = weights[i] * cost;
    }
  });
  return costs;
}

/// `masked_pixel_loss` of checked arguments. Sums run in a fixed order: the result has the same bits
/// for any number of threads.
inline LossAndGradient pixel_loss_on_cpu(const at::Tensor& prediction, const at::Tensor& target,
                                         const at::Tensor& mask, const PixelLossOptions& options,
                                         bool with_gradient) {
  const at::Tensor predicted = prediction.stride(2) == 1 ? prediction : prediction.contiguous();
  const at::Tensor weight = mask.to(at::kDouble).contiguous();
  const auto* weights = weight.const_data_ptr<double>();
  double total = 0;
  for (int64_t i = 0; i < weight.numel(); ++i) total += weights[i];
  // Where nothing is masked the numerator is 0: any divisor but 0 will do. Weights that sum to less
  // than 1 are still divided by their sum.
  if (total == 0) total = 1;

  LossAndGradient result;
  if (with_gradient) {
    const bool half = prediction.scalar_type() == at::kHalf;
    result.gradient =
        empty_in_large_pages(prediction.sizes(), half ? at::kFloat : prediction.scalar_type());
  }
  const bool wide = prediction.scalar_type() == at::kDouble || target.scalar_type() == at::kDouble;
  const auto run = wide ? &weighted_costs<double> : &weighted_costs<float>;
  double sum = 0;
  for (const double cost : run(predicted, target, weights, total, options, result.gradient)) {
    sum += cost;
  }
  result.loss = at::scalar_tensor(sum / static_cast<double>(prediction.size(2)) / total,
                                  at::dtype(wide ? at::kDouble : at::kFloat));
  return result;
}

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
