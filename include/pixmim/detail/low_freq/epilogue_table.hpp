// SPDX-License-Identifier: Apache-2.0
// What happens to the channels of an image on their way out, as devices read it.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "pixmim/detail/low_freq/basis/epilogue.hpp"
#include "pixmim/detail/low_freq/channel_statistics.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {

/// scale * |filtered + constant| + shift (without the bars if no magnitude is taken): float64
/// [channels, 3] of constant, scale and shift. One row where all channels are alike.
inline at::Tensor epilogue_table(const ChannelStatistics& statistics, bool bytes, bool magnitude,
                                 double mean_gain) {
  // Linear filters of normalised images need no statistics: those that there are may not fit.
  const bool by_channel = bytes || magnitude;
  const std::size_t channels = by_channel ? std::max<std::size_t>(statistics.mean.size(), 1) : 1;
  at::Tensor table = at::empty({static_cast<int64_t>(channels), 3}, at::kDouble);
  auto* value = table.mutable_data_ptr<double>();
  for (std::size_t c = 0; c < channels; ++c) {
    Epilogue epilogue;
    if (by_channel) {
      epilogue = Epilogue::of(bytes, magnitude, statistics.mean_of(c), statistics.deviation_of(c),
                              mean_gain);
    }
    *value++ = epilogue.shift / epilogue.scale;
    *value++ = epilogue.scale;
    *value++ = epilogue.magnitude_shift;
  }
  return table;
}

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
