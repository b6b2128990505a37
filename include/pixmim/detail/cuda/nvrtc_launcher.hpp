// SPDX-License-Identifier: Apache-2.0
// Starts kernels on a GPU.
#pragma once

#include <c10/util/SmallVector.h>

#include <limits>
#include <memory>
#include <utility>

#include "pixmim/detail/cuda/launcher.hpp"
#include "pixmim/detail/cuda/loaded_kernels.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {
namespace cuda {

/// For any number of threads.
class NvrtcLauncher final : public Launcher {
 public:
  NvrtcLauncher(RuntimeApi& runtime, std::shared_ptr<const NvrtcCompiler> compiler,
                KernelCache cache, c10::DeviceIndex device)
      : runtime_(runtime),
        device_(device),
        multiprocessors_(runtime.attribute(cudaDevAttrMultiProcessorCount, device)),
        shared_bytes_(runtime.attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin, device)),
        kernels_(runtime, std::move(compiler), std::move(cache), device) {}

  void prepare(const Kernel& kernel) override {
    if (kernels_.find(kernel) == nullptr) {
      OnDevice on_device(runtime_, device_);
      load(kernel, runtime_.current_stream(device_));
      on_device.end();
    }
  }

  void launch(const Kernel& kernel, const LaunchShape& shape,
              c10::ArrayRef<Argument> arguments) override {
    TORCH_CHECK(shape.blocks >= 0 && shape.blocks <= std::numeric_limits<int32_t>::max(),
                "pixmim: expected at most 2147483647 blocks for kernel ", kernel.name, ", got ",
                shape.blocks);
    if (shape.blocks == 0) {
      return;
    }
    OnDevice on_device(runtime_, device_);
    const auto stream = runtime_.current_stream(device_);
    auto loaded = kernels_.find(kernel);
    if (loaded == nullptr) {
      loaded = load(kernel, stream);
    }
    c10::SmallVector<void*, 16> parameters;
    for (const auto& argument : arguments) {
      parameters.push_back(const_cast<void*>(argument.data()));  // only read
    }
    cudaLaunchConfig_t configuration{};
    configuration.gridDim = dim3(static_cast<unsigned>(shape.blocks));
    configuration.blockDim = dim3(static_cast<unsigned>(shape.threads));
    configuration.dynamicSmemBytes = kernel.shared_bytes;
    configuration.stream = stream;
    runtime_.check(runtime_.launch(configuration, loaded, parameters.data()), "cudaLaunchKernelExC",
                   " for kernel ", kernel.name, ", ", shape.blocks, " blocks of ", shape.threads,
                   " threads and ", kernel.shared_bytes, " bytes of shared memory");
    on_device.end();
  }

  int64_t multiprocessors() const override { return multiprocessors_; }
  std::size_t shared_bytes_per_block() const override {
    return static_cast<std::size_t>(shared_bytes_);
  }

 private:
  cudaKernel_t load(const Kernel& kernel, cudaStream_t stream) {
    auto status = cudaStreamCaptureStatusNone;
    runtime_.check(runtime_.capture_status(stream, &status), "cudaStreamIsCapturing");
    TORCH_CHECK(status == cudaStreamCaptureStatusNone, "pixmim: kernel ", kernel.name,
                " is needed for the first time by a stream that is being captured, where nothing "
                "can be loaded: call prepare(), or the operator once, before the capture");
    return kernels_.load(kernel);
  }

  RuntimeApi& runtime_;
  c10::DeviceIndex device_;
  int multiprocessors_;
  int shared_bytes_;
  LoadedKernels kernels_;
};

}  // namespace cuda
}  // namespace detail
}  // namespace v0
}  // namespace pixmim
