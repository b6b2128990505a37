// SPDX-License-Identifier: Apache-2.0
// A launcher for each GPU that kernels can run on, made when it is first asked for.
#pragma once

#include <c10/core/Device.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <limits>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "pixmim/detail/cuda/nvrtc_launcher.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {
namespace cuda {

/// For any number of threads.
class DeviceLaunchers {
 public:
  DeviceLaunchers(RuntimeApi& runtime, std::vector<std::string> nvrtc, KernelSources sources,
                  KernelCache cache)
      : runtime_(runtime), nvrtc_(std::move(nvrtc)), sources_(sources), cache_(std::move(cache)) {}

  /// Null if kernels cannot run there.
  Launcher* find(c10::DeviceIndex device) { return place_of(device).launcher.get(); }
  /// The reason if find() gives none.
  const std::string& why_none(c10::DeviceIndex device) { return place_of(device).why_none; }

 private:
  struct Place {
    std::atomic<bool> is_made{false};
    std::unique_ptr<Launcher> launcher;
    std::string why_none;
  };

  // Not by std::call_once, which may hang after a call that threw (GCC bug 66146).
  Place& place_of(c10::DeviceIndex device) {
    auto& place = places_.at(static_cast<std::size_t>(device));
    if (!place.is_made.load(std::memory_order_acquire)) {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (!place.is_made.load(std::memory_order_relaxed)) {
        make(device, place);
        place.is_made.store(true, std::memory_order_release);
      }
    }
    return place;
  }

  void make(c10::DeviceIndex device, Place& place) {
    const int capability = runtime_.compute_capability(device);
    if (capability < 80) {  // the first that has bfloat16 and the tensor cores of the kernels
      place.why_none = "kernels need compute capability 8.0, the device has " +
                       std::to_string(capability / 10) + "." + std::to_string(capability % 10);
      return;
    }
    if (compiler_ == nullptr && why_no_compiler_.empty()) {
      make_compiler();
    }
    if (compiler_ == nullptr) {
      place.why_none = why_no_compiler_;
      return;
    }
    place.launcher = std::make_unique<NvrtcLauncher>(runtime_, compiler_, cache_, device);
  }

  void make_compiler() {
    try {
      // For profilers and compute-sanitizer: "--generate-line-info".
      const char* options = std::getenv("PIXMIM_NVRTC_OPTIONS");
      compiler_ = std::make_shared<const NvrtcCompiler>(load_nvrtc(nvrtc_), sources_,
                                                        options == nullptr ? "" : options);
    } catch (const c10::Error& error) {
      why_no_compiler_ = error.what_without_backtrace();
    }
  }

  RuntimeApi& runtime_;
  std::vector<std::string> nvrtc_;
  KernelSources sources_;
  KernelCache cache_;
  std::mutex mutex_;
  std::shared_ptr<const NvrtcCompiler> compiler_;
  std::string why_no_compiler_;
  std::array<Place, std::numeric_limits<c10::DeviceIndex>::max() + 1> places_;
};

}  // namespace cuda
}  // namespace detail
}  // namespace v0
}  // namespace pixmim
