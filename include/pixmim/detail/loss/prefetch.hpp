// SPDX-License-Identifier: Apache-2.0
// Patches of the target on their way while the one before them is computed.
#pragma once

#include <cstdint>

#include "pixmim/detail/loss/patch_kernels.hpp"
#include "pixmim/detail/simd/attributes.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {

/// Asks for the patch at `offset`. Its rows are short and far apart, which the processor's own
/// prefetching does not follow; nor does it know which patches are masked.
inline void prefetch(const TargetPatches& target, int64_t offset) {
  constexpr int64_t line = 64;
  const auto size = static_cast<int64_t>(c10::elementSize(target.dtype));
  const char* row = static_cast<const char*>(target.data) + offset * size;
  const bool together = target.rows_are_together();
  if (!together && target.column_step != 1) return;
  const int64_t pieces = together ? 1 : target.channels;
  const int64_t bytes = target.columns * (together ? target.channels : 1) * size;
  for (int64_t y = 0; y < target.rows; ++y, row += target.row_step * size) {
    for (int64_t c = 0; c < pieces; ++c) {
      const char* piece = row + c * target.channel_step * size;
      for (int64_t i = 0; i < bytes; i += line) PIXMIM_PREFETCH(piece + i);
    }
  }
}

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
