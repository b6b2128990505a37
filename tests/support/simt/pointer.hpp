// SPDX-License-Identifier: Apache-2.0
// Pointers of kernels: every access through them is checked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>

namespace simt {

class Shadow;

/// What a pointer may point to: a tensor's memory, or the shared memory of a block.
struct Memory {
  std::string name;
  std::uintptr_t first = 0;
  std::size_t bytes = 0;
  bool writable = false;
  /// Null for what no thread writes. Its byte 0 is at `shadow_first`.
  Shadow* shadow = nullptr;
  std::uintptr_t shadow_first = 0;
};

/// The part of a memory that a pointer came with.
struct Range {
  const Memory* memory = nullptr;
  std::uintptr_t first = 0;
  std::uintptr_t last = 0;
};

/// Ends the launch if the current thread may not read or write these bytes now.
void check_read(const Range& range, std::uintptr_t address, std::size_t bytes,
                std::size_t alignment);
void check_write(const Range& range, std::uintptr_t address, std::size_t bytes,
                 std::size_t alignment);

enum class Space { Global, Shared };

template <class T>
T load(const Range& range, std::uintptr_t address) {
  static_assert(std::is_trivially_copyable_v<T>);
  check_read(range, address, sizeof(T), alignof(T));
  T value;
  std::memcpy(&value, reinterpret_cast<const void*>(address), sizeof(T));
  return value;
}

template <class T>
void store(const Range& range, std::uintptr_t address, const T& value) {
  check_write(range, address, sizeof(T), alignof(T));
  std::memcpy(reinterpret_cast<void*>(address), &value, sizeof(T));
}

/// An element that may be written. `auto x = pointer[i]` would read later than it seems: what has a name
/// can neither be read nor written.
template <class T>
class Reference {
 public:
  Reference(const Range& range, std::uintptr_t address) : range_(range), address_(address) {}
  Reference(const Reference&) = delete;

  operator T() && { return load<T>(range_, address_); }
  void operator=(const T& value) && { store<T>(range_, address_, value); }
  void operator=(Reference&& other) && {
    store<T>(range_, address_, static_cast<T&&>(T(static_cast<Reference&&>(other))));
  }
  void operator+=(const T& value) && {
    store<T>(range_, address_, static_cast<T>(load<T>(range_, address_) + value));
  }

 private:
  Range range_;
  std::uintptr_t address_;
};

template <class T, Space space>
class Pointer {
 public:
  Pointer() = default;
  Pointer(const Range& range, std::uintptr_t address) : range_(range), address_(address) {}
  template <class U, class = std::enable_if_t<std::is_same_v<const U, T> && !std::is_const_v<U>>>
  Pointer(const Pointer<U, space>& other) : range_(other.range()), address_(other.address()) {}

  template <class Index>
  decltype(auto) operator[](Index i) const {
    return *(*this + i);
  }
  auto operator*() const {
    if constexpr (std::is_const_v<T>) {
      return load<std::remove_const_t<T>>(range_, address_);
    } else {
      return Reference<T>(range_, address_);
    }
  }

  template <class Index>
  Pointer operator+(Index i) const {
    static_assert(std::is_integral_v<Index>);
    // Wraps as addresses do: only an access must be within bounds.
    return {range_, address_ + static_cast<std::uintptr_t>(i) * sizeof(T)};
  }
  template <class Index>
  Pointer operator-(Index i) const {
    static_assert(std::is_integral_v<Index>);
    return {range_, address_ - static_cast<std::uintptr_t>(i) * sizeof(T)};
  }
  template <class Index>
  Pointer& operator+=(Index i) {
    return *this = *this + i;
  }
  template <class Index>
  Pointer& operator-=(Index i) {
    return *this = *this - i;
  }
  Pointer& operator++() { return *this += 1; }

  explicit operator bool() const { return address_ != 0; }
  friend bool operator==(const Pointer& a, const Pointer& b) { return a.address_ == b.address_; }
  friend bool operator!=(const Pointer& a, const Pointer& b) { return a.address_ != b.address_; }
  friend bool operator<(const Pointer& a, const Pointer& b) { return a.address_ < b.address_; }

  const Range& range() const { return range_; }
  std::uintptr_t address() const { return address_; }

 private:
  Range range_;
  std::uintptr_t address_ = 0;
};

}  // namespace simt
