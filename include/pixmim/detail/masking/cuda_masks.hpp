// SPDX-License-Identifier: Apache-2.0
// Masks by the kernels of detail/cuda/kernels/token_masks.cuh: one launch for a batch.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/ScalarType.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "pixmim/detail/cuda/kernels/mask_plan.cuh"
#include "pixmim/detail/cuda/launcher.hpp"
#include "pixmim/detail/masking/plans.hpp"
#include "pixmim/token_mask.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {
namespace cuda {

/// A plan as the kernels take it, and what they call its units.
struct MaskKernelPlan {
  const char* units;
  kernels::MaskPlan numbers;
};

// The sizes are those of plans that fit (see masks_fit).
inline MaskKernelPlan mask_kernel_plan(const TokenPlan& plan) {
  MaskKernelPlan result{"TokenUnits", {}};
  result.numbers.units = static_cast<int>(plan.units());
  result.numbers.tokens = static_cast<int>(plan.tokens());
  result.numbers.kept = static_cast<int>(plan.kept);
  return result;
}
inline MaskKernelPlan mask_kernel_plan(const BlockPlan& plan) {
  MaskKernelPlan result{"BlockUnits", {}};
  result.numbers.units = static_cast<int>(plan.units());
  result.numbers.tokens = static_cast<int>(plan.tokens());
  result.numbers.kept = static_cast<int>(plan.kept);
  result.numbers.grid_w = static_cast<int>(plan.grid_w);
  result.numbers.block = static_cast<int>(plan.block);
  result.numbers.by_rows = plan.walk == BlockWalk::RowByRow;
  return result;
}
inline MaskKernelPlan mask_kernel_plan(const SquarePlan& plan) {
  MaskKernelPlan result{"SquareUnits", {}};
  result.numbers.units = static_cast<int>(plan.units());
  result.numbers.tokens = static_cast<int>(plan.tokens());
  result.numbers.kept = static_cast<int>(plan.kept());
  result.numbers.grid_w = static_cast<int>(plan.columns * plan.scale);
  result.numbers.block = static_cast<int>(plan.scale);
  result.numbers.hidden = static_cast<int>(plan.hidden);
  return result;
}

/// As many entries as the kernels sort for `tokens`.
inline int64_t padded_tokens(int64_t tokens) {
  int64_t padded = 64;
  while (padded < tokens) padded *= 2;
  return padded;
}

inline std::size_t mask_shared_bytes(int64_t tokens) {
  return static_cast<std::size_t>(padded_tokens(tokens)) * sizeof(uint64_t) +
         static_cast<std::size_t>(tokens) * sizeof(uint16_t);
}

/// Whether a block can sort the tokens of a sample: up to 16,384 of them, 8,192 where it has 99 KiB.
template <typename Plan>
bool masks_fit(const Launcher& launcher, const Plan& plan) {
  constexpr int64_t most = 16384;
  const int64_t tokens = plan.tokens();
  return tokens <= most && mask_shared_bytes(tokens) <= launcher.shared_bytes_per_block();
}

/// Whether the kernels read this noise. float64 has no room for an index in 64 bits.
inline bool noise_fits(c10::ScalarType dtype) {
  return dtype == at::kFloat || dtype == at::kHalf || dtype == at::kBFloat16;
}

inline Kernel noise_kernel(c10::ScalarType dtype, const char* units, std::size_t shared_bytes) {
  std::string element = "float";
  if (dtype == at::kHalf) element = "float16";
  if (dtype == at::kBFloat16) element = "bfloat16";
  return {"token_masks.cuh", "masks_of_noise<" + element + ", " + units + ">", shared_bytes};
}
inline Kernel draw_kernel(const char* units, std::size_t shared_bytes) {
  return {"token_masks.cuh", std::string("draw_masks<") + units + ">", shared_bytes};
}

/// Every specialisation that may be launched, with the most shared memory.
inline std::vector<Kernel> token_mask_kernels() {
  const std::size_t shared_bytes = mask_shared_bytes(16384);
  std::vector<Kernel> result;
  for (const char* units : {"TokenUnits", "BlockUnits", "SquareUnits"}) {
    for (const auto dtype : {at::kFloat, at::kHalf, at::kBFloat16}) {
      result.push_back(noise_kernel(dtype, units, shared_bytes));
    }
    result.push_back(draw_kernel(units, shared_bytes));
  }
  return result;
}

/// A thread for two entries, as far as a block has them.
inline LaunchShape mask_launch(int64_t samples, int64_t tokens) {
  constexpr int64_t most_threads = 1024;
  return {samples, static_cast<int>(std::min(most_threads, padded_tokens(tokens) / 2))};
}

inline TokenMask empty_masks(int64_t samples, const kernels::MaskPlan& plan, at::Device device) {
  const auto options = at::TensorOptions(device);
  TokenMask result;
  result.mask = at::empty({samples, plan.tokens}, options.dtype(at::kFloat));
  result.ids_keep = at::empty({samples, plan.kept}, options.dtype(at::kLong));
  result.ids_restore = at::empty({samples, plan.tokens}, options.dtype(at::kLong));
  return result;
}

/// The masks of a noise [N,units]; both must fit. The same as on the CPU.
template <typename Plan>
TokenMask masks_from_noise(Launcher& launcher, const at::Tensor& noise, const Plan& plan) {
  const c10::DeviceGuard device_guard(noise.device());
  const at::Tensor values = noise.resolve_neg();
  const int64_t samples = values.size(0);
  const MaskKernelPlan kernel_plan = mask_kernel_plan(plan);
  const TokenMask result = empty_masks(samples, kernel_plan.numbers, noise.device());
  if (result.mask.numel() == 0) return result;
  launcher.launch(
      noise_kernel(values.scalar_type(), kernel_plan.units, mask_shared_bytes(plan.tokens())),
      mask_launch(samples, plan.tokens()),
      {Argument::reads(values), Argument::value(values.stride(0)),
       Argument::value(values.stride(1)), Argument::value(kernel_plan.numbers),
       Argument::writes(result.mask), Argument::writes(result.ids_keep),
       Argument::writes(result.ids_restore)});
  return result;
}

/// Where a CUDA generator stands. In a graph that is captured the two memories hold one int64 each, which
/// is read when the graph runs; `offset` is added to the one there, and `seed` is not used.
struct PhiloxState {
  uint64_t seed = 0;
  uint64_t offset = 0;
  at::Tensor seed_memory;
  at::Tensor offset_memory;
};

/// By how much a generator's offset must grow for masks of `units`: a stream for each sample, as each
/// thread of LibTorch's kernels has one.
inline uint64_t philox_increment(int64_t units) {
  return static_cast<uint64_t>((units + 3) / 4 * 4);
}

/// Masks of `samples` samples, drawn; the plan must fit. Every order of units is alike likely, but for
/// units whose 32-bit draws are equal: the first of them comes first.
template <typename Plan>
TokenMask drawn_masks(Launcher& launcher, const PhiloxState& state, int64_t samples,
                      const Plan& plan, at::Device device) {
  const c10::DeviceGuard device_guard(device);
  const MaskKernelPlan kernel_plan = mask_kernel_plan(plan);
  const TokenMask result = empty_masks(samples, kernel_plan.numbers, device);
  if (result.mask.numel() == 0) return result;
  launcher.launch(draw_kernel(kernel_plan.units, mask_shared_bytes(plan.tokens())),
                  mask_launch(samples, plan.tokens()),
                  {Argument::value(state.seed), Argument::value(state.offset),
                   Argument::reads(state.seed_memory), Argument::reads(state.offset_memory),
                   Argument::value(kernel_plan.numbers), Argument::writes(result.mask),
                   Argument::writes(result.ids_keep), Argument::writes(result.ids_restore)});
  return result;
}

}  // namespace cuda
}  // namespace detail
}  // namespace v0
}  // namespace pixmim
