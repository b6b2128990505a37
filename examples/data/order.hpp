// SPDX-License-Identifier: Apache-2.0
// The order of an epoch: permutations, and a shuffle buffer for what is read in sequence.
#pragma once

#include <ATen/core/PhiloxRNGEngine.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

namespace data {

/// The random numbers behind the order of an epoch.
class OrderBits {
 public:
  /// Crops and masks draw from the subsequences 0, 1, 2, ... of the same seed, one a photograph;
  /// the orders, one an epoch, are half of all subsequences away from them.
  OrderBits(uint64_t seed, uint64_t epoch) : engine_(seed, uint64_t{1} << 63 | epoch) {}

  /// 0 .. count-1. Of 64 bits the remainder's bias is nothing.
  uint64_t below(uint64_t count) {
    const uint64_t high = engine_();
    return (high << 32 | engine_()) % count;
  }

 private:
  at::philox_engine engine_;
};

/// 0 .. count-1 in random order (Fisher and Yates).
inline std::vector<uint64_t> permutation(uint64_t count, OrderBits& bits) {
  std::vector<uint64_t> order(count);
  std::iota(order.begin(), order.end(), uint64_t{0});
  for (uint64_t i = count; i > 1; --i) std::swap(order[i - 1], order[bits.below(i)]);
  return order;
}

/// `sequence` as it comes out of a buffer that holds `capacity` elements: each that comes in when
/// the buffer is full pushes a random one out.
inline std::vector<uint64_t> shuffled_nearby(std::vector<uint64_t> sequence, uint64_t capacity,
                                             OrderBits& bits) {
  // In place: the buffer is what lies between those that are out and those that are still to come.
  if (capacity < 2) return sequence;
  const uint64_t count = sequence.size();
  for (uint64_t out = 0; out < count; ++out) {
    const uint64_t buffered = std::min(capacity, count - out);
    std::swap(sequence[out], sequence[out + bits.below(buffered)]);
  }
  return sequence;
}

}  // namespace data
