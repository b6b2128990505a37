// SPDX-License-Identifier: Apache-2.0
// Orders of units, each alike likely, drawn without noise to sort.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "pixmim/detail/masking/philox.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {

/// Shuffles 0 .. count - 1. Sample n draws from a stream of its own, so that threads do not matter. A
/// copy for each thread: scratch memory is part of it.
class DrawnOrders {
 public:
  DrawnOrders(uint64_t seed, int64_t count)
      : seed_(seed), words_(room_for_words(count)), order_(static_cast<std::size_t>(count)) {}

  int64_t count() const { return static_cast<int64_t>(order_.size()); }

  /// Valid until the next call.
  const uint32_t* operator()(int64_t sample) {
    philox_words(mask_stream(seed_, static_cast<uint64_t>(sample), 0), count(), words_.data());
    const uint32_t* const words = words_.data();
    uint32_t* const order = order_.data();
    const std::size_t size = order_.size();
    // Fisher and Yates' shuffle, inside out. Scaling 32 bits to 0 .. i makes some numbers likelier than
    // others by a share of i / 2^32: less than equal values do in float32 noise.
    for (std::size_t i = 0; i < size; ++i) {
      const auto other = static_cast<std::size_t>(static_cast<uint64_t>(words[i]) * (i + 1) >> 32);
      order[i] = order[other];
      order[other] = static_cast<uint32_t>(i);
    }
    return order;
  }

 private:
  uint64_t seed_;
  std::vector<uint32_t> words_;
  std::vector<uint32_t> order_;
};

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
