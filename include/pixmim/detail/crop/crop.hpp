// SPDX-License-Identifier: Apache-2.0
// The steps that the two crops share: checks, and from cut pixels to the tensor a model reads.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include "pixmim/detail/check.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {

inline void expect_photo(const char* caller, const at::Tensor& image) {
  expect_defined(caller, "image", image);
  TORCH_CHECK(image.dim() == 3, caller, ": expected an image of shape [H,W,C], got ",
              image.sizes());
  TORCH_CHECK_TYPE(image.scalar_type() == at::kByte, caller,
                   ": expected an image of dtype uint8, got ", image.scalar_type());
  TORCH_CHECK(image.numel() > 0, caller, ": expected an image of at least 1x1 pixels, got ",
              image.sizes());
}

inline void expect_photo_size(const char* caller, int64_t height, int64_t width) {
  TORCH_CHECK(height > 0 && width > 0, caller, ": expected an image of at least 1x1 pixels, got ",
              height, "x", width);
}

inline void expect_probability(const char* caller, const char* name, double value) {
  TORCH_CHECK(value >= 0 && value <= 1, caller, ": expected ", name, " in [0, 1], got ", value);
}

/// `count` indices from `first`, backwards if `reversed`.
inline std::vector<int64_t> index_range(int64_t first, int64_t count, bool reversed = false) {
  std::vector<int64_t> indices(static_cast<std::size_t>(count));
  std::iota(indices.begin(), indices.end(), first);
  if (reversed) std::reverse(indices.begin(), indices.end());
  return indices;
}

/// uint8 [H,W,C] -> [C,H,W], as torchvision's ToTensor and Normalize: /255, -mean, /std in float32.
template <typename Options>
at::Tensor to_model_input(const at::Tensor& pixels, const Options& options) {
  const at::Tensor planes = pixels.permute({2, 0, 1});
  if (!options.normalize()) return planes.contiguous();
  at::Tensor image = planes.to(at::kFloat).contiguous().div_(255);
  if (!options.mean().empty()) {
    const auto values = [&](const std::vector<double>& list) {
      return at::tensor(list, at::kFloat).view({-1, 1, 1}).to(image.device());
    };
    image.sub_(values(options.mean())).div_(values(options.std()));
  }
  return image;
}

/// Transforms each image and stacks the results.
template <typename Transform>
at::Tensor transform_batch(const char* caller, const std::vector<at::Tensor>& images,
                           const Transform& transform) {
  TORCH_CHECK(!images.empty(), caller, ": expected at least one image, got an empty list");
  std::vector<at::Tensor> results;
  results.reserve(images.size());
  for (const at::Tensor& image : images) {
    results.push_back(transform(image));
    TORCH_CHECK(results.back().size(0) == results.front().size(0), caller,
                ": expected images with one number of channels, got ", results.front().size(0),
                " and ", results.back().size(0));
  }
  return at::stack(results);
}

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
