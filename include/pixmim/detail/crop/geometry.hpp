// SPDX-License-Identifier: Apache-2.0
// Where the pixels of a crop come from: a resize of each axis, and the piece of it that is shown.
#pragma once

#include <algorithm>
#include <cstdint>

#include "pixmim/crop_window.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {

/// The position that `index` of a reflected axis shows; the edge itself is not repeated.
inline int64_t reflect(int64_t index, int64_t size) {
  if (index >= 0 && index < size) return index;
  if (size == 1) return 0;
  const int64_t period = 2 * (size - 1);
  const int64_t phase = ((index % period) + period) % period;
  return std::min(phase, period - phase);
}

/// One axis: `input` pixels from `origin` on are resized to `resized`, of which `shown` from `first`
/// on are shown, by reflection where they are outside, and backwards if `mirrored`.
struct CropAxis {
  int64_t origin = 0;
  int64_t input = 0;
  int64_t resized = 0;
  int64_t first = 0;
  int64_t shown = 0;
  bool mirrored = false;

  /// The position in the resized axis that the crop shows at `place`.
  int64_t position(int64_t place) const {
    return reflect(first + (mirrored ? shown - 1 - place : place), resized);
  }
};

struct CropGeometry {
  CropAxis rows;
  CropAxis columns;
  Interpolation interpolation = Interpolation::Bilinear;
  PassOrder pass_order = PassOrder::Pillow13;

  bool vertical_first() const {
    const int64_t fewer_rows = rows.input - rows.resized;
    const int64_t fewer_columns = columns.input - columns.resized;
    return pass_order == PassOrder::Pillow13 && fewer_rows > 0 && fewer_rows > 2 * fewer_columns;
  }
};

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
