// SPDX-License-Identifier: Apache-2.0
// Whether a graph is being made of what is started.
#pragma once

#include <c10/core/Device.h>

#ifdef PIXMIM_HAS_CUDA
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>
#endif

namespace pixmim {
inline namespace v0 {
namespace detail {
namespace cuda {

/// Of the stream that is current for `device`. What a graph reads must stay for as long as it may run.
inline bool is_captured([[maybe_unused]] const c10::Device& device) {
#ifdef PIXMIM_HAS_CUDA
  if (device.is_cuda()) {
    auto status = cudaStreamCaptureStatusNone;
    const auto stream = c10::cuda::getCurrentCUDAStream(device.index());
    C10_CUDA_CHECK(cudaStreamIsCapturing(stream.stream(), &status));
    return status != cudaStreamCaptureStatusNone;
  }
#endif
  return false;
}

}  // namespace cuda
}  // namespace detail
}  // namespace v0
}  // namespace pixmim
