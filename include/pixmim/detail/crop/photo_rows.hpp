// SPDX-License-Identifier: Apache-2.0
// The rows of a photograph as kernels read them: pixels of 3 or 4 bytes side by side.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "pixmim/detail/crop/workspace.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {

/// An image [H,W,C] of any strides. Reading past a row is harmless up to `end`, the end of its memory.
struct Photo {
  const uint8_t* pixels;
  int64_t channels;
  int64_t row_stride;
  int64_t column_stride;
  int64_t channel_stride;
  const uint8_t* end;
};

/// Up to four channels of a photograph's rows.
class PhotoRows {
 public:
  /// `columns`: what is read of a row. `at_once`: how many rows in sequence are used at a time.
  PhotoRows(const Photo& photo, int64_t first_channel, const TapTable& columns, int64_t at_once,
            CropWorkspace& workspace)
      : photo_(photo),
        first_(photo.pixels + columns.begin * photo.column_stride +
               first_channel * photo.channel_stride),
        width_(columns.end - columns.begin),
        channels_(std::min<int64_t>(photo.channels - first_channel, 4)),
        in_place_(photo.channel_stride == 1 && photo.column_stride == photo.channels &&
                  (photo.channels == 3 || photo.channels == 4)) {
    row_bytes_ = width_ * pixel_bytes();
    // The vertical pass reads whole registers, the horizontal one as many taps for each column.
    margin_ = std::max<int64_t>(64, 2 * columns.pairs * pixel_bytes() + 16);
    if (in_place_ && photo.row_stride > 0) {
      // Copied are the last rows alone, behind which the memory ends.
      at_once = std::min(at_once, (row_bytes_ + margin_) / photo.row_stride + 1);
    }
    while (slots_ < at_once) slots_ *= 2;
    slot_bytes_ = (row_bytes_ + margin_ + 63) / 64 * 64;
    copies_ = workspace.input.of_size(slots_ * slot_bytes_);
    workspace.held.assign(static_cast<std::size_t>(slots_), -1);
    held_ = workspace.held.data();
  }

  int64_t channels() const { return channels_; }
  int64_t pixel_bytes() const { return in_place_ ? photo_.channels : 4; }
  int64_t row_bytes() const { return row_bytes_; }
  /// Kernels read this far behind the last pixel.
  int64_t margin() const { return margin_; }

  const uint8_t* operator[](int64_t y) {
    const uint8_t* const row = first_ + y * photo_.row_stride;
    if (in_place_ && photo_.end - row >= row_bytes_ + margin_) return row;
    const int64_t slot = y & (slots_ - 1);
    uint8_t* const copy = copies_ + slot * slot_bytes_;
    if (held_[slot] != y) {
      held_[slot] = y;
      if (in_place_) {
        std::memcpy(copy, row, static_cast<std::size_t>(row_bytes_));
      } else {
        gather(row, copy);
      }
    }
    return copy;
  }

 private:
  /// Pixels of four bytes; of fewer channels, the rest stays as it was.
  void gather(const uint8_t* row, uint8_t* copy) const {
    for (int64_t c = 0; c < channels_; ++c) {
      const uint8_t* from = row + c * photo_.channel_stride;
      for (int64_t x = 0; x < width_; ++x) copy[4 * x + c] = from[x * photo_.column_stride];
    }
  }

  Photo photo_;
  const uint8_t* first_;
  int64_t width_;
  int64_t channels_;
  bool in_place_;
  int64_t row_bytes_ = 0;
  int64_t margin_ = 0;
  int64_t slots_ = 1;
  int64_t slot_bytes_ = 0;
  uint8_t* copies_ = nullptr;
  int64_t* held_ = nullptr;
};

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
