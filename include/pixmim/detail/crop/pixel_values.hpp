// SPDX-License-Identifier: Apache-2.0
// What a pixel becomes: torchvision's ToTensor and Normalize of its 256 values.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace pixmim {
inline namespace v0 {
namespace detail {

/// The values of one channel.
struct ChannelValues {
  /// (byte / 255 - mean) / std, each step rounded to float32.
  std::array<float, 256> of_byte;
  float mean = 0;
  float std = 1;
  bool normalize = true;

  ChannelValues(float mean_, float std_, bool normalize_)
      : mean(mean_), std(std_), normalize(normalize_) {
    for (std::size_t byte = 0; byte < of_byte.size(); ++byte) {
      const float share = static_cast<float>(byte) / 255.0F;
      of_byte[byte] = normalize ? (share - mean) / std : share;
    }
  }
};

/// The values of all channels: one `ChannelValues` each, or one for all.
class PixelValues {
 public:
  PixelValues(const std::vector<double>& mean, const std::vector<double>& std) {
    for (std::size_t c = 0; c < mean.size(); ++c) {
      channels_.emplace_back(static_cast<float>(mean[c]), static_cast<float>(std[c]), true);
    }
    if (mean.empty()) channels_.emplace_back(0.0F, 1.0F, false);
  }

  const ChannelValues& operator[](int64_t channel) const {
    return channels_.size() == 1 ? channels_.front() : channels_[static_cast<std::size_t>(channel)];
  }
  const std::vector<ChannelValues>& channels() const { return channels_; }

 private:
  std::vector<ChannelValues> channels_;
};

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
