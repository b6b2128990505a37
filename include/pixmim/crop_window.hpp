// SPDX-License-Identifier: Apache-2.0
// What the two crops share: where to cut, and how Pillow resizes.
#pragma once

#include <cstdint>

namespace pixmim {
inline namespace v0 {

/// The random part of a crop, so that it can be drawn, stored and replayed.
struct CropWindow {
  /// First row and column: in the resized and padded image for SimpleResizedCrop, in the image
  /// itself for RandomResizedCrop.
  int64_t top = 0;
  int64_t left = 0;
  /// Mirror left and right, after the crop.
  bool flip = false;
  /// Size of the box, in pixels of the image: RandomResizedCrop only.
  int64_t height = 0;
  int64_t width = 0;
};

/// Pillow's antialiased kernels; the bicubic one has a = -0.5.
enum class Interpolation { Bilinear, Bicubic };

/// Which of the two passes of a resize comes first; each rounds to 8 bits, so the order shows.
enum class PassOrder {
  /// Pillow 13's: vertical first if H > h and H - h > 2 (W - w), for HxW resized to hxw.
  Pillow13,
  /// That of the older ones, with which the published models were trained.
  HorizontalFirst,
};

}  // namespace v0
}  // namespace pixmim
