// SPDX-License-Identifier: Apache-2.0
// One voice for the errors that several components raise.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

#include <cmath>
#include <cstdint>
#include <vector>

namespace pixmim {
inline namespace v0 {
namespace detail {

inline void expect_defined(const char* caller, const char* name, const at::Tensor& tensor) {
  TORCH_CHECK(tensor.defined(), caller, ": expected `", name,
              "` to be a tensor, got an undefined one");
}

inline void expect_ratio(const char* caller, double ratio) {
  TORCH_CHECK(ratio >= 0 && ratio <= 1, caller, ": expected ratio in [0, 1], got ", ratio);
}

inline void expect_positive(const char* caller, const char* name, int64_t value) {
  TORCH_CHECK(value > 0, caller, ": expected ", name, " > 0, got ", value);
}

inline void expect_on_device(const char* caller, const char* name, const at::Tensor& tensor,
                             const char* owner, const c10::Device& device) {
  expect_defined(caller, name, tensor);
  TORCH_CHECK(tensor.device() == device, caller, ": expected ", name, " on the device of ", owner,
              ", ", device, ", got ", tensor.device());
}

/// The floating dtypes that everything here computes with: not the 8-bit ones, which few operators
/// take.
inline bool has_floating_dtype(const at::Tensor& tensor) {
  const auto dtype = tensor.scalar_type();
  return dtype == at::kHalf || dtype == at::kBFloat16 || dtype == at::kFloat ||
         dtype == at::kDouble;
}

inline void expect_patch_size(const char* caller, int64_t patch_size) {
  expect_positive(caller, "patch_size", patch_size);
  constexpr int64_t largest = int64_t{1} << 24;  // its square must fit
  TORCH_CHECK(patch_size <= largest, caller, ": expected patch_size <= ", largest, ", got ",
              patch_size);
}

/// Images [N,C,H,W] that patches divide.
inline void expect_patches_fit(const char* caller, const at::Tensor& images, int64_t patch_size) {
  TORCH_CHECK(images.dim() == 4, caller, ": expected images of shape [N,C,H,W], got ",
              images.sizes());
  TORCH_CHECK(images.size(2) % patch_size == 0 && images.size(3) % patch_size == 0, caller,
              ": expected images with H and W multiples of patch_size, ", patch_size, ", got ",
              images.size(2), "x", images.size(3));
}

/// A mask [batch, tokens] beside `owner`.
inline void expect_mask(const char* caller, const at::Tensor& mask, const char* owner,
                        const c10::Device& device, int64_t batch, int64_t tokens) {
  expect_on_device(caller, "mask", mask, owner, device);
  TORCH_CHECK_TYPE(!mask.is_complex(), caller, ": expected mask of a real dtype, got ",
                   mask.scalar_type());
  TORCH_CHECK(mask.dim() == 2 && mask.size(0) == batch && mask.size(1) == tokens, caller,
              ": expected mask of shape [", batch, ",", tokens, "], got ", mask.sizes());
}

/// `mean` and `std` of an options object: one value a channel, one for all channels, or none.
inline void expect_statistics(const char* caller, const std::vector<double>& mean,
                              const std::vector<double>& deviation) {
  TORCH_CHECK(mean.size() == deviation.size(), caller,
              ": expected as many values in mean as in std, got ", mean.size(), " and ",
              deviation.size());
  for (const double value : mean) {
    TORCH_CHECK(std::isfinite(value), caller, ": expected a finite mean, got ", value);
  }
  for (const double value : deviation) {
    TORCH_CHECK(value > 0 && std::isfinite(value), caller, ": expected a finite std > 0, got ",
                value);
  }
}

inline void expect_statistics_fit(const char* caller, const std::vector<double>& mean,
                                  int64_t channels) {
  const auto count = static_cast<int64_t>(mean.size());
  TORCH_CHECK(count <= 1 || count == channels, caller, ": expected images of ", count,
              " channels, as mean and std have, got ", channels,
              " (give mean and std of one value, or one a channel)");
}

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
