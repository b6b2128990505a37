// SPDX-License-Identifier: Apache-2.0
// The kernels that ship, and what each may take: compiled for every generation by the tests, which hold
// ptxas to these numbers. `kernel_resources` prints what they really take.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "pixmim/detail/crop/cuda_crop.hpp"
#include "pixmim/detail/cuda/kernels/low_pass_shape.cuh"
#include "pixmim/detail/cuda/launcher.hpp"
#include "pixmim/detail/low_freq/cufft_target.hpp"
#include "pixmim/detail/masking/cuda_masks.hpp"
#include "pixmim/detail/masking/cuda_rows.hpp"
#include "pixmim/loss.hpp"

namespace delivered {

struct Specialisation {
  pixmim::detail::cuda::Kernel kernel;
  /// Of a thread.
  int max_registers;
  int max_spill_bytes;
  int max_stack_bytes;
  /// The compute capabilities that it is for.
  std::vector<int> capabilities;
};

/// A target of 224x224 images and 48 waves, the published size and radius; in patches of 16x16, if
/// `patches`.
inline Specialisation low_pass(const std::string& pixels, bool exact, bool magnitude, bool patches,
                               int max_spill_bytes, int max_stack_bytes,
                               std::vector<int> capabilities) {
  const pixmim::kernels::LowPassShape shape(224, 224, 48, exact, magnitude);
  const auto flag = [](bool is_set) { return is_set ? "true" : "false"; };
  return {{"low_pass.cuh",
           std::string(patches ? "low_pass_patches" : "low_pass") + "<224, 224, 48, " + pixels +
               ", " + flag(exact) + ", " + flag(magnitude) + (patches ? ", 16>" : ">"),
           static_cast<std::size_t>(shape.shared_bytes)},
          255,
          max_spill_bytes,
          max_stack_bytes,
          std::move(capabilities)};
}

inline std::vector<Specialisation> specialisations() {
  namespace cuda = pixmim::detail::cuda;
  // 12.0 has 99 KB of shared memory a block, less than some take: other engines serve there.
  const std::vector<int> everywhere = {80, 90, 100, 120};
  const std::vector<int> large = {80, 90, 100};
  std::vector<Specialisation> all;
  for (const auto& kernel : cuda::token_row_kernels()) {
    all.push_back({kernel, 64, 0, 0, everywhere});
  }
  for (auto kernel : cuda::token_mask_kernels()) {
    // 1024 threads have 64 registers each.
    all.push_back({kernel, 64, 0, 0, large});
    kernel.shared_bytes = cuda::mask_shared_bytes(8192);
    all.push_back({kernel, 64, 0, 0, {120}});
  }
  for (auto kernel : cuda::crop_kernels()) {
    // 64 registers let a multiprocessor have four blocks.
    all.push_back({kernel, 64, 0, 0, {90}});
    all.push_back({kernel, 64, 64, 16, {100}});
    kernel.shared_bytes = cuda::crop_shared_bytes[2];
    all.push_back({kernel, 64, 0, 0, {80}});
    kernel.shared_bytes = cuda::crop_shared_bytes[1];
    all.push_back({kernel, 64, 0, 0, {120}});
  }
  for (const auto& kernel : pixmim::detail::CufftTarget::kernels()) {
    // 40 registers let a multiprocessor have six blocks.
    all.push_back({kernel, 40, 0, 0, everywhere});
  }
  for (auto kernel : cuda::loss_kernels()) {
    // Of patches of 16x16x3, in double precision; larger ones take no more.
    if (kernel.name.rfind("masked_loss<", 0) == 0) {
      kernel.shared_bytes = cuda::LossBlock(16 * 16 * 3 * sizeof(double)).shared_bytes();
    }
    all.push_back({kernel, 64, 0, 0, everywhere});
  }
  for (const bool patches : {false, true}) {
    for (const char* pixels : {"float, float", "uint8, float"}) {
      all.push_back(low_pass(pixels, true, false, patches, 96, 48, large));
      all.push_back(
          low_pass(pixels, true, true, patches, patches ? 480 : 400, patches ? 240 : 200, large));
    }
    for (const char* pixels : {"float16, float16", "bfloat16, bfloat16"}) {
      all.push_back(low_pass(pixels, false, false, patches, 16, 8, everywhere));
      all.push_back(low_pass(pixels, false, true, patches, patches ? 288 : 264, patches ? 144 : 136,
                             everywhere));
    }
  }
  // Patches that are normalised are computed in single precision.
  for (const char* pixels : {"float16, float", "bfloat16, float"}) {
    all.push_back(low_pass(pixels, true, false, true, 96, 48, large));
    all.push_back(low_pass(pixels, true, true, true, 480, 240, large));
  }
  for (const char* output : {"float", "float16", "bfloat16"}) {
    all.push_back({{"normalize_patches.cuh", std::string("normalize_patches<") + output + ">"},
                   40,
                   0,
                   0,
                   everywhere});
  }
  return all;
}

}  // namespace delivered
