// SPDX-License-Identifier: Apache-2.0
// By what images were normalised, as engines ask for it.
#pragma once

#include <cstddef>
#include <vector>

namespace pixmim {
inline namespace v0 {
namespace detail {

/// Mean and deviation of each channel, or one for all, or none.
struct ChannelStatistics {
  const std::vector<double>& mean;
  const std::vector<double>& deviation;

  double mean_of(std::size_t channel) const { return value(mean, channel, 0); }
  double deviation_of(std::size_t channel) const { return value(deviation, channel, 1); }

 private:
  static double value(const std::vector<double>& values, std::size_t channel, double none) {
    if (values.empty()) return none;
    return values[values.size() == 1 ? 0 : channel];
  }
};

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
