// SPDX-License-Identifier: Apache-2.0
// What these tests share: NVRTC, the kernels of kernels.cuh, folders of their own.
#pragma once

#include <cuda_runtime_api.h>
#include <pixmim/detail/cuda/nvrtc_launcher.hpp>

#include <filesystem>
#include <memory>
#include <string>

#include "cuda_delivery/test_kernels.hpp"
#include "support/cuda/recording_runtime.hpp"

namespace delivered {

using namespace pixmim::detail::cuda;

/// As it is found where a program runs.
inline const NvrtcApi& nvrtc() {
  static const auto api = load_nvrtc(nvrtc_names(CUDART_VERSION / 1000));
  return api;
}

inline std::shared_ptr<const NvrtcCompiler> compiler() {
  return std::make_shared<const NvrtcCompiler>(nvrtc(), test_kernels);
}

inline const Kernel scale{"kernels.cuh", "scale<3>", 0};
inline const Kernel reverse{"kernels.cuh", "reverse", 128 * sizeof(float)};

/// A folder that is there until the test ends.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    auto pattern = (std::filesystem::temp_directory_path() / "pixmim-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace delivered
