// SPDX-License-Identifier: Apache-2.0
// Where the patches of a target are, images or cut already.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/ScalarType.h>

#include <cstdint>

namespace pixmim {
inline namespace v0 {
namespace detail {

/// Where the values of the target's patches stand; steps in elements. A patch is read in the order
/// (h, w, c). Patches that are cut already have one row, of D columns of one channel.
struct TargetPatches {
  const void* data;
  c10::ScalarType dtype;
  /// Of a patch.
  int64_t rows, columns, channels;
  int64_t row_step, column_step, channel_step;
  /// To the next patch, and how many stand beside each other.
  int64_t image_step, down_step, across_step;
  int64_t across;

  int64_t offset(int64_t image, int64_t patch) const {
    return image * image_step + patch / across * down_step + patch % across * across_step;
  }
  int64_t pixels() const { return rows * columns * channels; }
  /// Whether a row of a patch is one piece of memory, in the order wanted.
  bool rows_are_together() const {
    return column_step == channels && (channels == 1 || channel_step == 1);
  }
};

inline TargetPatches target_patches(const at::Tensor& target, int64_t patch_size) {
  TargetPatches result = {};
  result.data = target.const_data_ptr();
  result.dtype = target.scalar_type();
  result.image_step = target.stride(0);
  if (target.dim() == 3) {
    result.rows = result.channels = result.across = 1;
    result.columns = target.size(2);
    result.column_step = target.stride(2);
    result.down_step = target.stride(1);
    return result;
  }
  result.rows = result.columns = patch_size;
  result.channels = target.size(1);
  result.channel_step = target.stride(1);
  result.row_step = target.stride(2);
  result.column_step = target.stride(3);
  result.down_step = patch_size * target.stride(2);
  result.across_step = patch_size * target.stride(3);
  result.across = target.size(3) / patch_size;
  return result;
}

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
