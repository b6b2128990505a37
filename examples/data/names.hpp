// SPDX-License-Identifier: Apache-2.0
// Millions of names in two blocks of memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace data {

class Names {
 public:
  Names() = default;
  /// Name i is `text` from end i-1 to end i.
  Names(std::string text, std::vector<uint64_t> ends)
      : text_(std::move(text)), ends_(std::move(ends)) {}

  void add(std::string_view name) {
    text_ += name;
    ends_.push_back(text_.size());
  }
  std::size_t size() const { return ends_.size(); }
  bool empty() const { return ends_.empty(); }
  std::string_view operator[](std::size_t i) const {
    const uint64_t begin = i == 0 ? 0 : ends_[i - 1];
    return std::string_view(text_).substr(begin, ends_[i] - begin);
  }
  /// Of these names, in this order (FNV-1a); given the hash of other lists, of those and this one.
  uint64_t hash(uint64_t before = 0xCBF29CE484222325) const {
    const auto add = [&before](unsigned char byte) { before = (before ^ byte) * 0x100000001B3; };
    for (std::size_t i = 0; i < size(); ++i) {
      for (const char letter : (*this)[i]) add(static_cast<unsigned char>(letter));
      add(0);
    }
    return before;
  }
  void shrink_to_fit() {
    text_.shrink_to_fit();
    ends_.shrink_to_fit();
  }

  const std::string& text() const { return text_; }
  const std::vector<uint64_t>& ends() const { return ends_; }

 private:
  std::string text_;
  std::vector<uint64_t> ends_;
};

}  // namespace data
