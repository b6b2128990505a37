// SPDX-License-Identifier: Apache-2.0
// One crop of one photograph on the CPU.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/ScalarType.h>
#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "pixmim/detail/crop/fixed_point_portable.hpp"
#include "pixmim/detail/crop/geometry.hpp"
#include "pixmim/detail/crop/photo_rows.hpp"
#include "pixmim/detail/crop/pixel_values.hpp"
#include "pixmim/detail/crop/taps.hpp"
#include "pixmim/detail/crop/workspace.hpp"
#include "pixmim/detail/simd/attributes.hpp"
#include "pixmim/detail/simd/instruction_set.hpp"
#if PIXMIM_X86_DISPATCH
#include "pixmim/detail/crop/fixed_point_avx2.hpp"
#include "pixmim/detail/crop/fixed_point_avx512.hpp"
#endif

namespace pixmim {
inline namespace v0 {
namespace detail {

/// Where the crop goes: [C,size,size], contiguous along its rows.
struct CropOutput {
  char* data;
  int64_t size;
  int64_t channel_bytes;
  int64_t place_bytes;
  at::ScalarType dtype;
  /// null for uint8.
  const PixelValues* values;
  /// Whether arithmetic makes `values`.
  bool divide;

  char* row(int64_t channel, int64_t place) const {
    return data + channel * channel_bytes + place * place_bytes;
  }
  int64_t row_bytes() const { return size * static_cast<int64_t>(c10::elementSize(dtype)); }
};

}  // namespace detail
}  // namespace v0
}  // namespace pixmim

#define PIXMIM_KERNELS "pixmim/detail/crop/kernels.inl"
#include "pixmim/detail/simd/multiversion.inl"

namespace pixmim {
inline namespace v0 {
namespace detail {

/// The positions of the resized rows that are shown, and where. Returns how many, from `lowest` on.
inline int64_t list_places(const CropAxis& rows, int64_t& lowest, CropWorkspace& workspace) {
  lowest = rows.resized;
  int64_t highest = 0;
  for (int64_t place = 0; place < rows.shown; ++place) {
    lowest = std::min(lowest, rows.position(place));
    highest = std::max(highest, rows.position(place));
  }
  const int64_t positions = highest - lowest + 1;
  workspace.first_place.assign(static_cast<std::size_t>(positions), -1);
  workspace.next_place.resize(static_cast<std::size_t>(rows.shown));
  for (int64_t place = rows.shown - 1; place >= 0; --place) {
    int64_t& first = workspace.first_place[static_cast<std::size_t>(rows.position(place) - lowest)];
    workspace.next_place[static_cast<std::size_t>(place)] = first;
    first = place;
  }
  return positions;
}

/// Crops `photo` into `out`. Both passes in fixed point, each rounded to 8 bits, as Pillow's.
inline void crop_photo(Photo photo, const CropGeometry& geometry, const CropOutput& out,
                       CropWorkspace& workspace) {
  photo.pixels +=
      geometry.rows.origin * photo.row_stride + geometry.columns.origin * photo.column_stride;
  int64_t lowest = 0;
  const int64_t positions = list_places(geometry.rows, lowest, workspace);
  const Resize vertical(geometry.rows.input, geometry.rows.resized, geometry.interpolation);
  workspace.rows.fill(vertical, positions, workspace.weights,
                      [&](int64_t k) { return lowest + k; });

  const Resize horizontal(geometry.columns.input, geometry.columns.resized, geometry.interpolation);
  constexpr int64_t block = 16;
  const int64_t whole_blocks = (out.size + block - 1) / block * block;
  workspace.columns.fill(horizontal, whole_blocks, workspace.weights, [&](int64_t k) {
    return geometry.columns.position(std::min(k, out.size - 1));
  });

  const int64_t rows_at_once = 2 * workspace.rows.pairs + 4;
  for (int64_t channel = 0; channel < photo.channels; channel += 4) {
    PhotoRows input(photo, channel, workspace.columns, rows_at_once, workspace);
    const bool vertical_first = geometry.vertical_first();
    if (input.pixel_bytes() == 3) {
      PIXMIM_DISPATCH(
          crop::crop_channels<3>(input, channel, vertical_first, positions, workspace, out));
    } else {
      PIXMIM_DISPATCH(
          crop::crop_channels<4>(input, channel, vertical_first, positions, workspace, out));
    }
  }
}

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
