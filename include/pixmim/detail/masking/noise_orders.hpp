// SPDX-License-Identifier: Apache-2.0
// Orders of units by the values of a noise, as a stable argsort gives them.
#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

namespace pixmim {
inline namespace v0 {
namespace detail {

/// A value as an integer that is ordered as argsort orders values: -0 equals 0, and what is not a
/// number equals its like and comes last.
template <typename Value>
struct SortKey {
  using Type = std::conditional_t<std::is_same_v<Value, float>, uint32_t, uint64_t>;
  static constexpr Type not_a_number = std::numeric_limits<Type>::max();

  static Type of(Value value) {
    constexpr Type sign = Type{1} << (8 * sizeof(Type) - 1);
    const Value positive_zero = value + Value{0};
    Type bits;
    std::memcpy(&bits, &positive_zero, sizeof(bits));
    const Type key = (bits & sign) != 0 ? ~bits : bits | sign;
    return value != value ? not_a_number : key;
  }
};

/// A key and where it was: one integer, where 64 bits hold both.
template <typename Key>
struct KeyedIndex {
  static KeyedIndex make(Key key, uint32_t index) { return {key, index}; }
  bool operator<(const KeyedIndex& other) const {
    return key < other.key || (key == other.key && index < other.index);
  }
  Key key;
  uint32_t index;
};
template <>
struct KeyedIndex<uint32_t> {
  static KeyedIndex make(uint32_t key, uint32_t index) {
    return {static_cast<uint64_t>(key) << 32 | index};
  }
  bool operator<(const KeyedIndex& other) const { return both < other.both; }
  uint64_t both;
};
template <typename Key>
uint32_t index_of(const KeyedIndex<Key>& entry) {
  return entry.index;
}
inline uint32_t index_of(const KeyedIndex<uint32_t>& entry) {
  return static_cast<uint32_t>(entry.both);
}

/// Orders rows of a noise [N,M]. `Value` is double for float64, float for narrower dtypes. A copy for
/// each thread: scratch memory is part of it.
///
/// Noise is spread evenly, more or less: as many buckets of equal width as there are values, or twice as
/// many, and few values have to move inside of one. Where many would, a common sort takes over.
template <typename Element>
class NoiseOrders {
  using Value = std::conditional_t<std::is_same_v<Element, double>, double, float>;
  using Key = typename SortKey<Value>::Type;
  using Entry = KeyedIndex<Key>;

 public:
  explicit NoiseOrders(const at::Tensor& noise)
      : noise_(noise.const_data_ptr<Element>()),
        sample_step_(noise.stride(0)),
        step_(noise.stride(1)),
        values_(static_cast<std::size_t>(noise.size(1))),
        bucket_of_(values_.size()),
        first_of_(2 * values_.size() + 1),
        entries_(values_.size()),
        order_(values_.size()) {}

  int64_t count() const { return static_cast<int64_t>(order_.size()); }

  /// Valid until the next call.
  const uint32_t* operator()(int64_t sample) {
    const Element* row = noise_ + sample * sample_step_;
    for (std::size_t i = 0; i < values_.size(); ++i) {
      values_[i] = static_cast<Value>(row[static_cast<int64_t>(i) * step_]);
    }
    if (!sort_by_buckets()) {
      for (std::size_t i = 0; i < values_.size(); ++i) entries_[i] = entry(i);
      std::sort(entries_.begin(), entries_.end());
    }
    for (std::size_t i = 0; i < order_.size(); ++i) order_[i] = index_of(entries_[i]);
    return order_.data();
  }

 private:
  Entry entry(std::size_t i) const {
    return Entry::make(SortKey<Value>::of(values_[i]), static_cast<uint32_t>(i));
  }

  /// False if that would be slow.
  bool sort_by_buckets() {
    const std::size_t size = values_.size();
    if (size == 0) return true;
    const std::size_t buckets = first_of_.size() - 1;
    Value low = values_[0];
    Value high = values_[0];
    Value sum = 0;  // not a number, if one of the values is none
    for (const Value value : values_) {
      low = std::min(low, value);
      high = std::max(high, value);
      sum += value;
    }
    // Two finite values may be further apart than any number says.
    const Value range = high - low;
    const Value scale = static_cast<Value>(buckets) / range;
    if (!std::isfinite(sum) || !std::isfinite(range) || !std::isfinite(scale)) return false;

    // Larger values are in no earlier bucket: every step rounds without changing an order.
    std::fill(first_of_.begin(), first_of_.end(), 0);
    const auto last = static_cast<uint32_t>(buckets - 1);
    for (std::size_t i = 0; i < size; ++i) {
      const auto bucket = static_cast<int32_t>((values_[i] - low) * scale);
      // Without a sign: within memory even where -ffast-math has dropped the checks above.
      bucket_of_[i] = std::min(static_cast<uint32_t>(bucket), last);
    }
    for (std::size_t i = 0; i < size; ++i) ++first_of_[bucket_of_[i] + 1];
    for (std::size_t b = 1; b < buckets; ++b) first_of_[b] += first_of_[b - 1];
    for (std::size_t i = 0; i < size; ++i) entries_[first_of_[bucket_of_[i]]++] = entry(i);

    std::size_t moves = 0;
    const std::size_t moves_allowed = 8 * size;
    for (std::size_t i = 1; i < size; ++i) {
      const Entry moved = entries_[i];
      std::size_t to = i;
      for (; to > 0 && moved < entries_[to - 1]; --to) entries_[to] = entries_[to - 1];
      entries_[to] = moved;
      moves += i - to;
      if (moves > moves_allowed) return false;
    }
    return true;
  }

  const Element* noise_;
  int64_t sample_step_;
  int64_t step_;
  std::vector<Value> values_;
  std::vector<uint32_t> bucket_of_;
  std::vector<uint32_t> first_of_;
  std::vector<Entry> entries_;
  std::vector<uint32_t> order_;
};

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
