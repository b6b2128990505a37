// SPDX-License-Identifier: Apache-2.0
// The crop as LibTorch operators, for devices that have no engine of their own.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "pixmim/detail/crop/geometry.hpp"
#include "pixmim/detail/crop/taps.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {

/// Resizes dimension 0 of `pixels` [n,...] uint8 to what `axis` shows: [shown,...] uint8.
inline at::Tensor resample_dimension(const at::Tensor& pixels, const CropAxis& axis,
                                     Interpolation interpolation) {
  const auto indices = [&](const std::vector<int64_t>& values) {
    return at::tensor(values, at::kLong).to(pixels.device());
  };
  const auto outputs = static_cast<std::size_t>(axis.shown);
  const Resize resize(axis.input, axis.resized, interpolation);
  std::vector<std::vector<int64_t>> index;
  std::vector<std::vector<int32_t>> weight;
  std::vector<double> values;
  for (std::size_t k = 0; k < outputs; ++k) {
    const int64_t position = axis.position(static_cast<int64_t>(k));
    const TapRange range = resize.taps(position);
    resize.weights(position, range, values, [&](int64_t tap, int32_t value) {
      const auto t = static_cast<std::size_t>(tap);
      if (index.size() <= t) {
        // An output with fewer taps reads some pixel with weight 0.
        index.emplace_back(outputs, range.low);
        weight.emplace_back(outputs, 0);
      }
      index[t][k] = range.low + tap;
      weight[t][k] = value;
    });
  }
  if (axis.input == axis.resized) return pixels.index_select(0, indices(index[0]));

  const at::Tensor rows = pixels.flatten(1).to(at::kInt);
  at::Tensor sum = at::full({axis.shown, rows.size(1)}, int64_t{whole_weight / 2}, rows.options());
  for (std::size_t t = 0; t < index.size(); ++t) {
    const at::Tensor factor = at::tensor(weight[t], at::kInt).to(pixels.device()).unsqueeze(1);
    sum.addcmul_(rows.index_select(0, indices(index[t])), factor);
  }
  std::vector<int64_t> shape = pixels.sizes().vec();
  shape[0] = axis.shown;
  return sum.bitwise_right_shift_(weight_bits).clamp_(0, 255).to(at::kByte).view(shape);
}

/// Crops `photo` [H,W,C] uint8: [C,size,size] uint8.
inline at::Tensor crop_by_operators(const at::Tensor& photo, const CropGeometry& geometry) {
  const auto resize_rows = [&](const at::Tensor& pixels) {
    return resample_dimension(pixels, geometry.rows, geometry.interpolation);
  };
  const auto resize_columns = [&](const at::Tensor& pixels) {
    return resample_dimension(pixels.transpose(0, 1).contiguous(), geometry.columns,
                              geometry.interpolation)
        .transpose(0, 1)
        .contiguous();
  };
  const at::Tensor box = photo.narrow(0, geometry.rows.origin, geometry.rows.input)
                             .narrow(1, geometry.columns.origin, geometry.columns.input);
  const at::Tensor pixels = geometry.vertical_first() ? resize_columns(resize_rows(box))
                                                      : resize_rows(resize_columns(box));
  return pixels.permute({2, 0, 1});
}

/// uint8 -> `dtype`, as torchvision's ToTensor and Normalize: /255, -mean, /std in float32.
inline at::Tensor normalize_by_operators(const at::Tensor& pixels, const std::vector<double>& mean,
                                         const std::vector<double>& std, at::ScalarType dtype) {
  // A number instead of the tensor would be multiplied by its reciprocal on CUDA.
  at::Tensor image = pixels.to(at::kFloat);
  image.div_(at::full({1}, 255, image.options()));
  if (!mean.empty()) {
    const auto values = [&](const std::vector<double>& list) {
      return at::tensor(list, at::kFloat).view({-1, 1, 1}).to(image.device());
    };
    image.sub_(values(mean)).div_(values(std));
  }
  return image.to(dtype);
}

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
