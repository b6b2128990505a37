// SPDX-License-Identifier: Apache-2.0
// A CUDA runtime without a GPU: knows devices, streams, libraries and captures, refuses what the real one
// refuses, writes down every call, and fails when it is told to. It runs no kernel.
#pragma once

#include <pixmim/detail/cuda/runtime_api.hpp>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/cuda/cubin.hpp"

namespace support {

class RecordingRuntime : public pixmim::detail::cuda::RuntimeApi {
 public:
  struct Device {
    int capability = 90;
    int multiprocessors = 132;
    int shared_bytes_per_block = 227 * 1024;
  };
  struct Launch {
    std::string kernel;  ///< its lowered name
    int device;
    cudaStream_t stream;
    unsigned blocks;
    unsigned threads;
    std::size_t shared_bytes;
    std::vector<std::string> parameters;  ///< the bytes of each that the kernel reads
  };

  /// With one device.
  RecordingRuntime() : devices_(1) {}
  explicit RecordingRuntime(std::vector<Device> devices) : devices_(std::move(devices)) {}

  /// A stream of `device`: number 0 is its default stream.
  static cudaStream_t stream(int device, int number) {
    return reinterpret_cast<cudaStream_t>(static_cast<std::uintptr_t>(device * 1000 + number));
  }
  /// For the calling thread.
  void use_device(int device) { state().device = device; }
  void use_stream(int device, int number) { state().streams[device] = stream(device, number); }
  int used_device() { return state().device; }

  void begin_capture(cudaStream_t stream) {
    const std::lock_guard<std::mutex> lock(mutex_);
    captured_.insert(stream);
  }
  void end_capture(cudaStream_t stream) {
    const std::lock_guard<std::mutex> lock(mutex_);
    captured_.erase(stream);
  }

  /// Has the call with this number (from 0 on) fail.
  void fail(std::size_t call) { failing_ = call; }
  /// Whether calls and launches are written down; times are taken without.
  void record(bool is_wanted) { is_recording_ = is_wanted; }

  std::vector<std::string> calls() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return calls_;
  }
  std::size_t count(const std::string& call) {
    const auto all = calls();
    return static_cast<std::size_t>(std::count(all.begin(), all.end(), call));
  }
  std::vector<Launch> launches() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return launches_;
  }
  std::size_t loaded_libraries() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return libraries_.size();
  }
  /// What cudaGetLastError would tell; it forgets.
  cudaError_t last_error() override { return std::exchange(state().error, cudaSuccess); }

  cudaError_t get_device(int* device) override {
    return call("cudaGetDevice", [&] { *device = state().device; });
  }
  cudaError_t set_device(int device) override {
    return call("cudaSetDevice", [&] {
      if (!has(device)) {
        return cudaErrorInvalidDevice;
      }
      state().device = device;
      return cudaSuccess;
    });
  }
  cudaError_t device_attribute(int* value, cudaDeviceAttr attribute, int device) override {
    return call("cudaDeviceGetAttribute", [&] {
      if (!has(device)) {
        return cudaErrorInvalidDevice;
      }
      const auto& asked = devices_[static_cast<std::size_t>(device)];
      switch (attribute) {
        case cudaDevAttrMultiProcessorCount:
          *value = asked.multiprocessors;
          return cudaSuccess;
        case cudaDevAttrMaxSharedMemoryPerBlockOptin:
          *value = asked.shared_bytes_per_block;
          return cudaSuccess;
        case cudaDevAttrComputeCapabilityMajor:
          *value = asked.capability / 10;
          return cudaSuccess;
        case cudaDevAttrComputeCapabilityMinor:
          *value = asked.capability % 10;
          return cudaSuccess;
        default:
          return cudaErrorInvalidValue;
      }
    });
  }

  cudaError_t load_library(cudaLibrary_t* library, const void* code) override {
    return call("cudaLibraryLoadData", [&] {
      if (is_forbidden_by_capture()) {
        return cudaErrorStreamCaptureUnsupported;
      }
      auto text = text_of(static_cast<const char*>(code));
      if (text.empty()) {
        return cudaErrorInvalidKernelImage;
      }
      libraries_.push_back(std::make_unique<Library>(Library{std::move(text)}));
      *library = reinterpret_cast<cudaLibrary_t>(libraries_.back().get());
      return cudaSuccess;
    });
  }
  cudaError_t unload_library(cudaLibrary_t library) override {
    return call("cudaLibraryUnload", [&] {
      for (auto at = libraries_.begin(); at != libraries_.end(); ++at) {
        if (reinterpret_cast<cudaLibrary_t>(at->get()) == library) {
          libraries_.erase(at);
          return cudaSuccess;
        }
      }
      return cudaErrorInvalidResourceHandle;
    });
  }
  cudaError_t kernel_of_library(cudaKernel_t* kernel, cudaLibrary_t library,
                                const char* name) override {
    return call("cudaLibraryGetKernel", [&] {
      auto& code = *reinterpret_cast<Library*>(library);
      if (code.text.find(name) == std::string::npos) {
        return cudaErrorSymbolNotFound;
      }
      kernels_.push_back(std::make_unique<LoadedKernel>());
      kernels_.back()->name = name;
      kernels_.back()->parameter_sizes = parameter_sizes(code.text, name);
      *kernel = reinterpret_cast<cudaKernel_t>(kernels_.back().get());
      return cudaSuccess;
    });
  }
  cudaError_t set_kernel_attribute(cudaKernel_t kernel, cudaFuncAttribute attribute, int value,
                                   int device) override {
    return call("cudaKernelSetAttributeForDevice", [&] {
      if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize || !has(device) || value < 0 ||
          value > devices_[static_cast<std::size_t>(device)].shared_bytes_per_block) {
        return cudaErrorInvalidValue;
      }
      reinterpret_cast<LoadedKernel*>(kernel)->shared_bytes[device] =
          static_cast<std::size_t>(value);
      return cudaSuccess;
    });
  }
  cudaError_t kernel_attributes(cudaFuncAttributes* attributes, cudaKernel_t kernel) override {
    return call("cudaFuncGetAttributes", [&] {
      *attributes = {};
      reinterpret_cast<LoadedKernel*>(kernel)->devices.insert(state().device);
    });
  }
  cudaError_t launch(const cudaLaunchConfig_t& configuration, cudaKernel_t handle,
                     void** arguments) override {
    if (!is_recording_) {
      return cudaSuccess;
    }
    return call("cudaLaunchKernelExC", [&] {
      auto& kernel = *reinterpret_cast<LoadedKernel*>(handle);
      const int device = state().device;
      const auto stream_device =
          static_cast<int>(reinterpret_cast<std::uintptr_t>(configuration.stream) / 1000);
      const auto shared = kernel.shared_bytes.find(device);
      const auto shared_bytes =
          shared == kernel.shared_bytes.end() ? std::size_t{48 * 1024} : shared->second;
      if (stream_device != device || kernel.devices.count(device) == 0) {
        return cudaErrorInvalidResourceHandle;
      }
      if (configuration.gridDim.x == 0 || configuration.blockDim.x == 0 ||
          configuration.blockDim.x > 1024 || configuration.gridDim.y != 1 ||
          configuration.gridDim.z != 1 || configuration.blockDim.y != 1 ||
          configuration.blockDim.z != 1) {
        return cudaErrorInvalidConfiguration;
      }
      if (configuration.dynamicSmemBytes > shared_bytes) {
        return cudaErrorInvalidValue;
      }
      Launch launch{kernel.name,
                    device,
                    configuration.stream,
                    configuration.gridDim.x,
                    configuration.blockDim.x,
                    configuration.dynamicSmemBytes,
                    {}};
      const auto& sizes = kernel.parameter_sizes;
      for (std::size_t i = 0; sizes && i < sizes->size(); ++i) {
        launch.parameters.emplace_back(static_cast<const char*>(arguments[i]), (*sizes)[i]);
      }
      launches_.push_back(std::move(launch));
      return cudaSuccess;
    });
  }

  cudaError_t capture_status(cudaStream_t stream, cudaStreamCaptureStatus* status) override {
    return call("cudaStreamIsCapturing", [&] {
      *status =
          captured_.count(stream) > 0 ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
    });
  }
  cudaError_t exchange_capture_mode(cudaStreamCaptureMode* mode) override {
    return call("cudaThreadExchangeStreamCaptureMode",
                [&] { std::swap(state().capture_mode, *mode); });
  }
  cudaStreamCaptureMode capture_mode() { return state().capture_mode; }
  cudaStream_t current_stream(c10::DeviceIndex device) override {
    const auto found = state().streams.find(device);
    return found == state().streams.end() ? stream(device, 0) : found->second;
  }

 private:
  struct Library {
    std::string text;
  };
  struct LoadedKernel {
    std::string name;
    std::optional<std::vector<std::size_t>> parameter_sizes;
    std::map<int, std::size_t> shared_bytes;
    std::set<int> devices;  ///< that have its code
  };
  /// Of a thread.
  struct State {
    int device = 0;
    cudaError_t error = cudaSuccess;
    cudaStreamCaptureMode capture_mode = cudaStreamCaptureModeGlobal;
    std::map<int, cudaStream_t> streams;
  };

  State& state() {
    thread_local std::map<std::uint64_t, State> states;
    return states[number_];
  }

  bool has(int device) const {
    return device >= 0 && static_cast<std::size_t>(device) < devices_.size();
  }

  bool is_forbidden_by_capture() {
    return !captured_.empty() && state().capture_mode == cudaStreamCaptureModeGlobal;
  }

  /// The whole cubin, or PTX.
  static std::string text_of(const char* code) {
    Elf64_Ehdr header;
    if (std::string(code, 4) != ELFMAG) {
      const std::string text = code;
      return text.find(".entry") == std::string::npos ? std::string() : text;
    }
    std::memcpy(&header, code, sizeof(header));
    std::size_t end = header.e_shoff + std::size_t{header.e_shnum} * header.e_shentsize;
    end = std::max(end, static_cast<std::size_t>(header.e_phoff) +
                            std::size_t{header.e_phnum} * header.e_phentsize);
    return std::string(code, end);
  }

  template <class Body>
  cudaError_t call(const char* name, const Body& body) {
    if (!is_recording_) {
      return result_of(body);
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    calls_.emplace_back(name);
    const auto result =
        calls_.size() - 1 == failing_ ? cudaErrorLaunchOutOfResources : result_of(body);
    if (result != cudaSuccess) {
      state().error = result;
    }
    return result;
  }
  template <class Body>
  static cudaError_t result_of(const Body& body) {
    if constexpr (std::is_void_v<decltype(body())>) {
      body();
      return cudaSuccess;
    } else {
      return body();
    }
  }

  static std::uint64_t next_number() {
    static std::atomic<std::uint64_t> next{0};
    return next++;
  }

  const std::uint64_t number_ = next_number();
  std::vector<Device> devices_;
  std::mutex mutex_;
  std::set<cudaStream_t> captured_;
  std::size_t failing_ = static_cast<std::size_t>(-1);
  std::atomic<bool> is_recording_{true};
  std::vector<std::string> calls_;
  std::vector<Launch> launches_;
  std::vector<std::unique_ptr<Library>> libraries_;
  std::vector<std::unique_ptr<LoadedKernel>> kernels_;
};

}  // namespace support
