// SPDX-License-Identifier: Apache-2.0
// What mask kernels draw from: a CUDA generator's state. Needs LibTorch's CUDA headers.
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/cuda/CUDAGeneratorImpl.h>
#include <ATen/ops/from_blob.h>

#include <cstdint>
#include <mutex>
#include <optional>

#include "pixmim/detail/masking/cuda_masks.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {
namespace cuda {

inline PhiloxState philox_state(const at::PhiloxCudaState& state, at::Device device) {
  PhiloxState result;
  if (!state.captured_) {
    result.seed = state.seed_.val;
    result.offset = state.offset_.val;
    return result;
  }
  // Memory of the generator, which a graph keeps alive.
  const auto number_at = [&](int64_t* address) {
    return at::for_blob(address, {1})
        .options(at::TensorOptions(device).dtype(at::kLong))
        .target_device(device)
        .make_tensor();
  };
  result.seed_memory = number_at(state.seed_.ptr);
  result.offset_memory = number_at(state.offset_.ptr);
  result.offset = state.offset_intragraph_;
  return result;
}

/// The state of `generator`, or of the device's default one, which moves on by masks of `units`.
inline PhiloxState advance_generator(const std::optional<at::Generator>& generator,
                                     at::Device device, int64_t units) {
  auto* const source = at::get_generator_or_default<at::CUDAGeneratorImpl>(
      generator, at::cuda::detail::getDefaultCUDAGenerator(device.index()));
  const std::lock_guard<std::mutex> lock(source->mutex_);
  return philox_state(source->philox_cuda_state(philox_increment(units)), device);
}

}  // namespace cuda
}  // namespace detail
}  // namespace v0
}  // namespace pixmim
