// SPDX-License-Identifier: Apache-2.0
// Arrays of numbers and text in a row of bytes, for files that the same machine reads again.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "data/names.hpp"

namespace data {

class Packer {
 public:
  /// A std::string, or a std::vector of numbers or of plain structs.
  template <typename Array>
  void add(const Array& array) {
    using Element = typename Array::value_type;
    static_assert(std::is_trivially_copyable<Element>::value, "elements are stored as bytes");
    const uint64_t count = array.size();
    bytes_.append(reinterpret_cast<const char*>(&count), sizeof count);
    if (count > 0) {
      bytes_.append(reinterpret_cast<const char*>(array.data()), count * sizeof(Element));
    }
  }
  void add(const Names& names) {
    add(names.text());
    add(names.ends());
  }

  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

/// Takes what a Packer added, in the same order. Each returns false, and leaves its argument alone,
/// if the bytes hold no such thing.
class Unpacker {
 public:
  explicit Unpacker(std::string_view bytes) : bytes_(bytes) {}

  template <typename Array>
  bool take(Array& array) {
    using Element = typename Array::value_type;
    static_assert(std::is_trivially_copyable<Element>::value, "elements are stored as bytes");
    uint64_t count = 0;
    if (bytes_.size() < sizeof count) return false;
    std::memcpy(&count, bytes_.data(), sizeof count);
    if (count > (bytes_.size() - sizeof count) / sizeof(Element)) return false;
    array.resize(count);
    if (count > 0) std::memcpy(array.data(), bytes_.data() + sizeof count, count * sizeof(Element));
    bytes_.remove_prefix(sizeof count + count * sizeof(Element));
    return true;
  }
  bool take(Names& names) {
    std::string text;
    std::vector<uint64_t> ends;
    if (!take(text) || !take(ends)) return false;
    uint64_t before = 0;
    for (const uint64_t end : ends) {
      if (end < before || end > text.size()) return false;
      before = end;
    }
    names = Names(std::move(text), std::move(ends));
    return true;
  }

 private:
  std::string_view bytes_;
};

}  // namespace data
