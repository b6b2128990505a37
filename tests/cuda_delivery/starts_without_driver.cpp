// SPDX-License-Identifier: Apache-2.0
// A program that could start kernels starts on a machine that cannot: no driver is linked, and one cuFFT is
// loaded.
#include <ATen/ATen.h>
#include <dlfcn.h>
#include <pixmim/detail/cuda/launcher_of.hpp>
#include <pixmim/detail/cuda/transforms_of.hpp>
#include <pixmim/low_freq_target.hpp>

#include <fstream>
#include <iostream>
#include <set>
#include <string>

#include "support/errors.hpp"

namespace {

/// The files that are mapped whose names have `part`.
std::set<std::string> loaded(const std::string& part) {
  std::set<std::string> files;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    const auto path = line.find('/');
    const auto name = line.rfind('/');
    if (path != std::string::npos && line.find(part, name) != std::string::npos) {
      files.insert(line.substr(path));
    }
  }
  return files;
}

int failures = 0;

void expect(bool is_true, const std::string& what) {
  std::cout << (is_true ? "ok: " : "failed: ") << what << '\n';
  failures += is_true ? 0 : 1;
}

}  // namespace

int main() {
  expect(loaded("libcuda.so").empty(), "no driver is loaded at the start");
  expect(loaded("libnvrtc.so").empty(), "no compiler is loaded at the start");
  expect(loaded("libcufft.so").size() == 1, "one cuFFT is loaded");
  expect(pixmim::low_freq_target(at::rand({1, 3, 32, 32}), 8).isfinite().all().item<bool>(),
         "the CPU's engines serve");

  const c10::Device gpu(c10::kCUDA, 0);
  expect(pixmim::detail::cuda::transforms_of(gpu) != nullptr, "cuFFT's functions are found");
  expect(loaded("libcufft.so").size() == 1, "it is the same cuFFT");
  if (::dlopen("libcuda.so.1", RTLD_NOW) == nullptr) {
    const auto error = support::error_of([&] { pixmim::detail::cuda::launcher_of(gpu); });
    std::cout << error << '\n';
    expect(error.find("pixmim: cudaDeviceGetAttribute failed for device 0: cudaError") == 0,
           "without a driver the error names the call");
  }
  return failures;
}
