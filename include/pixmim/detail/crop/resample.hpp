// SPDX-License-Identifier: Apache-2.0
// Pillow's 8-bit resize, to the bit, of just the rows and columns that a crop shows.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "pixmim/crop_window.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {

// Pillow keeps the weights of 8-bit images in fixed point with this many fraction bits
// (src/libImaging/Resample.c, PRECISION_BITS = 32 - 8 - 2).
constexpr int weight_bits = 22;

inline double kernel_support(Interpolation interpolation) {
  return interpolation == Interpolation::Bicubic ? 2.0 : 1.0;
}

inline double kernel_value(Interpolation interpolation, double x) {
  x = std::abs(x);
  if (interpolation == Interpolation::Bilinear) return x < 1 ? 1 - x : 0.0;
  constexpr double a = -0.5;
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

/// The weighted sums that make some outputs of one axis: tap t of output k reads input
/// `index[t][k]` with `weight[t][k]`, both counted from `begin`; inputs `begin .. end-1` are read.
struct Taps {
  std::vector<std::vector<int64_t>> index;
  std::vector<std::vector<int32_t>> weight;
  int64_t begin = 0;
  int64_t end = 0;
  bool copies = false;  // the size does not change: one tap an output, and no arithmetic
};

/// The taps of `outputs` (indices into the resized axis, in any order, repeats allowed) when an
/// axis of `input_size` is resized to `output_size`.
inline Taps make_taps(int64_t input_size, int64_t output_size, const std::vector<int64_t>& outputs,
                      Interpolation interpolation) {
  Taps taps;
  taps.copies = input_size == output_size;
  if (taps.copies) {
    const auto [lowest, highest] = std::minmax_element(outputs.begin(), outputs.end());
    taps.begin = *lowest;
    taps.end = *highest + 1;
    taps.index.push_back(outputs);
  } else {
    const double scale = static_cast<double>(input_size) / static_cast<double>(output_size);
    const double filter_scale = std::max(scale, 1.0);
    const double support = kernel_support(interpolation) * filter_scale;
    const double inverse_scale = 1.0 / filter_scale;

    // Outputs near an edge have fewer taps: the missing ones read some pixel with weight 0.
    const auto most_taps = static_cast<std::size_t>(std::ceil(support)) * 2 + 1;
    const int64_t some_pixel = static_cast<int64_t>(static_cast<double>(outputs[0]) * scale);
    taps.index.assign(most_taps, std::vector<int64_t>(outputs.size(), some_pixel));
    taps.weight.assign(most_taps, std::vector<int32_t>(outputs.size(), 0));

    taps.begin = input_size;
    for (std::size_t k = 0; k < outputs.size(); ++k) {
      const double center = (static_cast<double>(outputs[k]) + 0.5) * scale;
      const int64_t low = std::max<int64_t>(static_cast<int64_t>(center - support + 0.5), 0);
      const int64_t high = std::min(static_cast<int64_t>(center + support + 0.5), input_size);
      taps.begin = std::min(taps.begin, low);
      taps.end = std::max(taps.end, high);

      std::vector<double> values;
      double sum = 0;
      for (int64_t x = low; x < high; ++x) {
        values.push_back(
            kernel_value(interpolation, (static_cast<double>(x) - center + 0.5) * inverse_scale));
        sum += values.back();
      }
      for (std::size_t t = 0; t < values.size(); ++t) {
        const double weight = std::ldexp(values[t] / sum, weight_bits);
        taps.index[t][k] = low + static_cast<int64_t>(t);
        taps.weight[t][k] = static_cast<int32_t>(weight < 0 ? weight - 0.5 : weight + 0.5);
      }
    }
  }
  for (auto& row : taps.index) {
    for (int64_t& index : row) index -= taps.begin;
  }
  return taps;
}

/// Applies `taps` to dimension 0 of `pixels` [n,...] uint8: [outputs,...] uint8.
inline at::Tensor resample_rows(const at::Tensor& pixels, const Taps& taps) {
  const auto device = pixels.device();
  if (taps.copies) return pixels.index_select(0, at::tensor(taps.index[0], at::kLong).to(device));

  const at::Tensor rows = pixels.flatten(1).to(at::kInt);
  const auto outputs = static_cast<int64_t>(taps.index[0].size());
  at::Tensor sum =
      at::full({outputs, rows.size(1)}, int64_t{1} << (weight_bits - 1), rows.options());
  for (std::size_t t = 0; t < taps.index.size(); ++t) {
    const at::Tensor index = at::tensor(taps.index[t], at::kLong).to(device);
    const at::Tensor weight = at::tensor(taps.weight[t], at::kInt).to(device).unsqueeze(1);
    sum.addcmul_(rows.index_select(0, index), weight);
  }
  std::vector<int64_t> shape = pixels.sizes().vec();
  shape[0] = outputs;
  return sum.bitwise_right_shift_(weight_bits).clamp_(0, 255).to(at::kByte).view(shape);
}

/// Rows `rows` and columns `columns` of `image` [H,W,C] uint8 after a resize to `size` (h, w).
inline at::Tensor resize_and_pick(const at::Tensor& image, std::array<int64_t, 2> size,
                                  const std::vector<int64_t>& rows,
                                  const std::vector<int64_t>& columns, Interpolation interpolation,
                                  PassOrder pass_order) {
  const Taps vertical = make_taps(image.size(0), size[0], rows, interpolation);
  const Taps horizontal = make_taps(image.size(1), size[1], columns, interpolation);
  const at::Tensor pixels = image.narrow(0, vertical.begin, vertical.end - vertical.begin)
                                .narrow(1, horizontal.begin, horizontal.end - horizontal.begin);

  const auto resize_columns = [&](const at::Tensor& x) {
    return resample_rows(x.transpose(0, 1).contiguous(), horizontal).transpose(0, 1);
  };
  const int64_t fewer_rows = image.size(0) - size[0];
  const int64_t fewer_columns = image.size(1) - size[1];
  const bool vertical_first =
      pass_order == PassOrder::Pillow13 && fewer_rows > 0 && fewer_rows > 2 * fewer_columns;
  return vertical_first ? resize_columns(resample_rows(pixels, vertical))
                        : resample_rows(resize_columns(pixels).contiguous(), vertical);
}

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
