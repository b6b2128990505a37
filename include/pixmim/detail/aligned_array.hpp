// SPDX-License-Identifier: Apache-2.0
// Memory for tables and scratch, on the border of a cache line.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <type_traits>

namespace pixmim {
inline namespace v0 {
namespace detail {

constexpr std::size_t cache_line_bytes = 64;

/// `size` numbers, zero at first.
template <typename Scalar>
class AlignedArray {
  static_assert(std::is_arithmetic_v<Scalar>);

 public:
  AlignedArray() = default;
  explicit AlignedArray(int64_t size)
      : size_(size),
        values_(static_cast<Scalar*>(::operator new(static_cast<std::size_t>(size) * sizeof(Scalar),
                                                    std::align_val_t(cache_line_bytes)))) {
    for (int64_t i = 0; i < size; ++i) values_[static_cast<std::size_t>(i)] = Scalar{0};
  }

  int64_t size() const { return size_; }
  Scalar* data() { return values_.get(); }
  const Scalar* data() const { return values_.get(); }
  Scalar& operator[](int64_t index) { return values_[static_cast<std::size_t>(index)]; }
  const Scalar& operator[](int64_t index) const { return values_[static_cast<std::size_t>(index)]; }

 private:
  struct Delete {
    void operator()(Scalar* values) const {
      ::operator delete(values, std::align_val_t(cache_line_bytes));
    }
  };
  int64_t size_ = 0;
  std::unique_ptr<Scalar[], Delete> values_;
};

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
