// SPDX-License-Identifier: Apache-2.0
// The kernels that a device has, found without a lock.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "pixmim/detail/cuda/kernel_cache.hpp"
#include "pixmim/detail/cuda/launcher.hpp"
#include "pixmim/detail/cuda/nvrtc_compiler.hpp"
#include "pixmim/detail/cuda/runtime_guards.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {
namespace cuda {

/// Loaded code stays loaded: a graph, or another thread, may be about to run it.
class LoadedKernels {
 public:
  LoadedKernels(RuntimeApi& runtime, std::shared_ptr<const NvrtcCompiler> compiler,
                KernelCache cache, int device)
      : runtime_(runtime),
        compiler_(std::move(compiler)),
        cache_(std::move(cache)),
        architecture_(compiler_->architecture(runtime_.compute_capability(device))),
        device_(device) {}
  LoadedKernels(const LoadedKernels&) = delete;
  LoadedKernels& operator=(const LoadedKernels&) = delete;
  ~LoadedKernels() {
    for (auto& list : lists_) {
      for (const Node* node = list.load(); node != nullptr;) {
        delete std::exchange(node, node->next);
      }
    }
  }

  /// Null if it has not been loaded.
  cudaKernel_t find(const Kernel& kernel) const {
    for (const Node* node = lists_[list_of(kernel)].load(std::memory_order_acquire);
         node != nullptr; node = node->next) {
      if (node->kernel.name == kernel.name && node->kernel.file == kernel.file &&
          node->kernel.shared_bytes == kernel.shared_bytes) {
        return node->loaded;
      }
    }
    return nullptr;
  }

  /// Compiles `kernel` if need be, and loads it on the device, which must be the current one.
  cudaKernel_t load(const Kernel& kernel) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (const auto loaded = find(kernel)) {
      return loaded;  // by another thread, in the meantime
    }
    const auto loaded = load(kernel, compiled(kernel));
    auto& list = lists_[list_of(kernel)];
    list.store(new Node{kernel, loaded, list.load(std::memory_order_relaxed)},
               std::memory_order_release);
    return loaded;
  }

 private:
  struct Node {
    Kernel kernel;
    cudaKernel_t loaded;
    const Node* next;
  };

  static constexpr std::size_t list_count = 64;

  static std::size_t list_of(const Kernel& kernel) {
    return std::hash<std::string>()(kernel.name) % list_count;
  }

  CompiledKernel compiled(const Kernel& kernel) const {
    const auto identity = compiler_->identity(kernel, architecture_);
    if (auto known = cache_.find(identity)) {
      return *std::move(known);
    }
    auto compiled = compiler_->compile(kernel, architecture_);
    cache_.store(identity, compiled);
    return compiled;
  }

  cudaKernel_t load(const Kernel& kernel, const CompiledKernel& compiled) {
    RelaxedCapture relaxed(runtime_);
    cudaLibrary_t library = nullptr;
    runtime_.check(runtime_.load_library(&library, compiled.code.data()), "cudaLibraryLoadData",
                   " for kernel ", kernel.name, " on ", architecture_);
    cudaKernel_t loaded = nullptr;
    try {
      runtime_.check(runtime_.kernel_of_library(&loaded, library, compiled.lowered_name.c_str()),
                     "cudaLibraryGetKernel", " for kernel ", kernel.name);
      constexpr std::size_t free_for_all = 48 * 1024;
      if (kernel.shared_bytes > free_for_all) {
        runtime_.check(
            runtime_.set_kernel_attribute(loaded, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                          static_cast<int>(kernel.shared_bytes), device_),
            "cudaKernelSetAttributeForDevice", " for kernel ", kernel.name, " and ",
            kernel.shared_bytes, " bytes of shared memory");
      }
      // Loading is lazy: only a question about the kernel has it done now.
      cudaFuncAttributes attributes{};
      runtime_.check(runtime_.kernel_attributes(&attributes, loaded), "cudaFuncGetAttributes",
                     " for kernel ", kernel.name);
    } catch (...) {
      if (runtime_.unload_library(library) != cudaSuccess) {
        runtime_.forget_error();
      }
      throw;
    }
    relaxed.end();
    return loaded;
  }

  RuntimeApi& runtime_;
  std::shared_ptr<const NvrtcCompiler> compiler_;
  KernelCache cache_;
  std::string architecture_;
  int device_;
  std::mutex mutex_;
  std::array<std::atomic<const Node*>, list_count> lists_{};
};

}  // namespace cuda
}  // namespace detail
}  // namespace v0
}  // namespace pixmim
