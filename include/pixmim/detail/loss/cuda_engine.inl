// SPDX-License-Identifier: Apache-2.0
// The loss by the kernels of detail/cuda/kernels/masked_loss.cuh: value and gradient in one pass over the
// masked patches.

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/ScalarType.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "pixmim/detail/cuda/element_name.hpp"
#include "pixmim/detail/cuda/kernels/loss_target.cuh"
#include "pixmim/detail/cuda/launcher.hpp"
#include "pixmim/detail/loss/loss_and_gradient.hpp"
#include "pixmim/detail/loss/target_patches.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {
namespace cuda {

inline std::string loss_element(c10::ScalarType dtype) {
  return element_name(dtype);
}

/// The kernels for a prediction and a target of these dtypes; `pack` values of a prediction are read at once.
struct LossKernels {
  LossKernels(c10::ScalarType prediction, c10::ScalarType target, int64_t pack) {
    const std::string scalar = is_wide(prediction, target) ? "double" : "float";
    weights = {"masked_loss.cuh", "sum_weights<" + scalar + ">"};
    patches = {"masked_loss.cuh", "masked_loss<" + loss_element(prediction) + ", " +
                                      loss_element(target) + ", " + scalar + ", " +
                                      std::to_string(pack) + ">"};
    costs = {"masked_loss.cuh", "add_costs<" + scalar + ">"};
    weights.shared_bytes = weight_threads / warp * sizeof(double);
    costs.shared_bytes = cost_threads / warp * sizeof(double);
  }

  static constexpr int warp = 32;
  static constexpr int weight_threads = 256;
  static constexpr int weights_a_sum = 4096;
  static constexpr int cost_threads = 1024;

  Kernel weights;
  Kernel patches;
  Kernel costs;
};

inline Kernel scale_kernel(c10::ScalarType gradient, int64_t pack) {
  return {"masked_loss.cuh",
          "scale_gradient<" + loss_element(gradient) + ", " + std::to_string(pack) + ">"};
}

/// Values in 16 bytes.
inline int64_t widest_pack(c10::ScalarType dtype) {
  return static_cast<int64_t>(16 / c10::elementSize(dtype));
}
/// Of a prediction. float64 is rare: no kernels of its own for packs.
inline int64_t widest_pack(c10::ScalarType prediction, c10::ScalarType target) {
  return is_wide(prediction, target) ? 1 : widest_pack(prediction);
}

/// Every specialisation that may be launched, but for the shared memory of masked_loss.
inline std::vector<Kernel> loss_kernels() {
  const c10::ScalarType dtypes[] = {at::kHalf, at::kBFloat16, at::kFloat, at::kDouble};
  std::vector<Kernel> kernels;
  for (const auto prediction : dtypes) {
    for (const auto target : dtypes) {
      const int64_t widest = widest_pack(prediction, target);
      kernels.push_back(LossKernels(prediction, target, widest).patches);
      if (widest > 1) kernels.push_back(LossKernels(prediction, target, 1).patches);
    }
  }
  for (const auto scalar : {at::kFloat, at::kDouble}) {
    kernels.push_back(LossKernels(scalar, scalar, 1).weights);
    kernels.push_back(LossKernels(scalar, scalar, 1).costs);
  }
  for (const auto gradient : {at::kBFloat16, at::kFloat}) {
    for (const int64_t pack : {int64_t{1}, widest_pack(gradient)}) {
      kernels.push_back(scale_kernel(gradient, pack));
    }
  }
  return kernels;
}

/// How warps share a block: each keeps a patch of the target in shared memory.
struct LossBlock {
  explicit LossBlock(int64_t target_bytes) : bytes_a_warp((target_bytes + 15) / 16 * 16) {
    // Two blocks of the largest size and more fit on a multiprocessor.
    constexpr int64_t most_warps = 8;
    constexpr int64_t wanted_bytes = 48 * 1024;
    warps = std::clamp(wanted_bytes / bytes_a_warp, int64_t{1}, most_warps);
  }
  std::size_t shared_bytes() const {
    return static_cast<std::size_t>(warps) *
           (static_cast<std::size_t>(bytes_a_warp) + sizeof(double));
  }

  int64_t bytes_a_warp;
  int64_t warps;
};

inline LossBlock loss_block(const at::Tensor& prediction, const at::Tensor& target) {
  const std::size_t scalar = is_wide(prediction, target) ? sizeof(double) : sizeof(float);
  return LossBlock(prediction.size(2) * static_cast<int64_t>(scalar));
}

/// Whether the kernels take these: a patch has to fit into shared memory, and patches are counted in 32 bits.
inline bool serves_loss(const Launcher& launcher, const at::Tensor& prediction,
                        const at::Tensor& target) {
  constexpr int64_t most = std::numeric_limits<int32_t>::max();
  return prediction.size(2) <= most / 16 && prediction.size(0) * prediction.size(1) <= most &&
         loss_block(prediction, target).shared_bytes() <= launcher.shared_bytes_per_block();
}

inline kernels::LossTarget loss_target(const TargetPatches& patches) {
  kernels::LossTarget target = {};
  target.row_step = patches.row_step;
  target.column_step = patches.column_step;
  target.channel_step = patches.channel_step;
  target.image_step = patches.image_step;
  target.down_step = patches.down_step;
  target.across_step = patches.across_step;
  target.across = static_cast<int>(patches.across);
  target.rows = static_cast<int>(patches.rows);
  target.columns = static_cast<int>(patches.columns);
  target.channels = static_cast<int>(patches.channels);
  if (patches.rows_are_together()) {
    target.columns *= target.channels;
    target.column_step = target.channels = 1;
  }
  return target;
}

/// Whether `pack` values can be read at once at each place of a patch.
inline bool patches_are_packs(const at::Tensor& prediction, int64_t pack) {
  const auto address = reinterpret_cast<std::uintptr_t>(prediction.const_data_ptr());
  return address % 16 == 0 && prediction.stride(0) % pack == 0 &&
         prediction.stride(1) % pack == 0 && prediction.size(2) % pack == 0;
}

/// `masked_pixel_loss` of checked arguments that serves_loss(): the same bits every time.
inline LossAndGradient pixel_loss(Launcher& launcher, const at::Tensor& prediction,
                                  const at::Tensor& target, const at::Tensor& mask,
                                  const PixelLossOptions& options, bool with_gradient) {
  const c10::DeviceGuard device_guard(prediction.device());
  const bool wide = is_wide(prediction, target);
  const auto scalar = prediction.options().dtype(wide ? at::kDouble : at::kFloat);
  LossAndGradient result;
  if (with_gradient) {
    result.gradient = at::empty(prediction.sizes(),
                                prediction.options().dtype(stored_gradient_dtype(prediction)));
  }
  if (prediction.numel() == 0) {
    result.loss = at::zeros({}, scalar);
    return result;
  }
  const at::Tensor predicted =
      (prediction.stride(2) == 1 ? prediction : prediction.contiguous()).resolve_neg();
  const at::Tensor wanted = target.detach().resolve_neg();
  const at::Tensor weights = mask.detach().to(scalar.dtype()).contiguous().resolve_neg();

  int64_t pack = widest_pack(predicted.scalar_type(), wanted.scalar_type());
  if (!patches_are_packs(predicted, pack)) pack = 1;
  LossKernels kernels(predicted.scalar_type(), wanted.scalar_type(), pack);
  const LossBlock block = loss_block(predicted, wanted);
  kernels.patches.shared_bytes = block.shared_bytes();

  const auto ceiling = [](int64_t count, int64_t size) { return (count + size - 1) / size; };
  const int64_t patches = predicted.size(0) * predicted.size(1);
  const int64_t blocks = ceiling(patches, block.warps);
  const int64_t sums = ceiling(patches, LossKernels::weights_a_sum);
  const auto number = [](int64_t value) { return Argument::value(static_cast<int32_t>(value)); };
  const auto doubles = prediction.options().dtype(at::kDouble);
  const at::Tensor weight_sums = at::empty({sums}, doubles);
  const at::Tensor costs = at::empty({blocks}, doubles);
  result.loss = at::empty({}, scalar);
  launcher.launch(kernels.weights, {sums, LossKernels::weight_threads},
                  {Argument::reads(weights), number(patches), Argument::writes(weight_sums)});
  launcher.launch(
      kernels.patches, {blocks, static_cast<int>(block.warps) * LossKernels::warp},
      {Argument::reads(predicted), Argument::value(predicted.stride(0) / pack),
       Argument::value(predicted.stride(1) / pack), number(predicted.size(2) / pack),
       Argument::reads(wanted),
       Argument::value(loss_target(target_patches(wanted, options.patch_size()))),
       Argument::reads(weights), number(predicted.size(1)), number(patches),
       Argument::reads(weight_sums), number(sums), number(block.bytes_a_warp),
       Argument::value(options.norm() == PixelNorm::L2), Argument::value(options.norm_pix()),
       Argument::writes(result.gradient), Argument::writes(costs)});
  launcher.launch(kernels.costs, {1, LossKernels::cost_threads},
                  {Argument::reads(costs), number(blocks), Argument::reads(weight_sums),
                   number(sums), number(predicted.size(2)), Argument::writes(result.loss)});
  return result;
}

/// Multiplies a contiguous gradient of float32 or bfloat16 in place by `factor`, float32 [].
inline void scale_in_place(Launcher& launcher, const at::Tensor& gradient,
                           const at::Tensor& factor) {
  if (gradient.numel() == 0) return;
  const c10::DeviceGuard device_guard(gradient.device());
  int64_t pack = widest_pack(gradient.scalar_type());
  if (gradient.numel() % pack != 0) pack = 1;
  constexpr int threads = 256;
  constexpr int64_t blocks_a_multiprocessor = 8;
  const int64_t packs = gradient.numel() / pack;
  const int64_t blocks = std::min((packs + threads - 1) / threads,
                                  blocks_a_multiprocessor * launcher.multiprocessors());
  launcher.launch(
      scale_kernel(gradient.scalar_type(), pack), {blocks, threads},
      {Argument::updates(gradient), Argument::value(packs), Argument::reads(factor.resolve_neg())});
}

}  // namespace cuda
}  // namespace detail
}  // namespace v0
}  // namespace pixmim
