// SPDX-License-Identifier: Apache-2.0
// What tests that are tagged [cuda] share.
#pragma once

#include <ATen/ATen.h>

#ifdef PIXMIM_HAS_CUDA
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#endif

#include "support/catch.hpp"

namespace support {

/// Says so if there is no GPU.
inline bool no_gpu() {
  if (at::hasCUDA()) return false;
  WARN("skipped: no CUDA device");
  return true;
}

#ifdef PIXMIM_HAS_CUDA
/// A call that a CUDA graph has captured, which forbids to load, to wait, and to allocate outside of
/// LibTorch's allocator.
class CapturedCall {
 public:
  template <class Call>
  explicit CapturedCall(const Call& call) {
    const c10::cuda::CUDAStreamGuard on_stream(c10::cuda::getStreamFromPool());
    c10::cuda::device_synchronize();
    graph_.capture_begin();
    try {
      result_ = call();
    } catch (...) {
      // The stream would stay captured, and fail every test after this one.
      try {
        graph_.capture_end();
      } catch (const c10::Error& /*ignored*/) {
      }
      throw;
    }
    graph_.capture_end();
  }

  /// What the call gives for what its arguments hold now; valid until the next replay.
  const at::Tensor& replay() {
    graph_.replay();
    c10::cuda::device_synchronize();
    return result_;
  }

 private:
  at::cuda::CUDAGraph graph_;
  at::Tensor result_;
};
#endif

}  // namespace support
