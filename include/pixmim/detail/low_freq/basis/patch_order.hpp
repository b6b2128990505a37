// SPDX-License-Identifier: Apache-2.0
// How the basis engine cuts its result into patches.
#pragma once

#include <algorithm>
#include <cstdint>

#include "pixmim/detail/low_freq/basis/matrices.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {

struct PatchOrder {
  int64_t patch_size;
  int64_t channels;
  bool norm_pix;

  /// Whole patches side by side that are put together at once.
  int64_t slab_columns() const {
    constexpr int64_t about = 64;
    return patch_size * std::max<int64_t>(1, about / patch_size);
  }
  int64_t slab_stride(const KernelShape& shape) const {
    return round_up(slab_columns(), shape.lanes);
  }
  /// Numbers that the filtered columns of all channels and one patch take. Registers reach past
  /// their ends.
  int64_t stage_size(int64_t height, const KernelShape& shape) const {
    return channels * height * slab_stride(shape) + patch_size * patch_size * channels +
           4 * shape.lanes;
  }
};

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
