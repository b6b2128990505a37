// SPDX-License-Identifier: Apache-2.0
// Memory that will be needed soon, fetched little by little while products keep the core busy.
#pragma once

#include <algorithm>
#include <cstdint>

#include "pixmim/detail/simd/attributes.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {

/// A piece of memory, fetched in `steps` steps.
class Upcoming {
 public:
  Upcoming() = default;
  Upcoming(const void* first, int64_t bytes, int64_t steps)
      : next_(static_cast<const char*>(first)),
        lines_left_((bytes + line - 1) / line),
        lines_a_step_((lines_left_ + steps - 1) / steps) {}

  PIXMIM_ALWAYS_INLINE void step() {
    const int64_t lines = std::min(lines_a_step_, lines_left_);
    for (int64_t i = 0; i < lines; ++i) PIXMIM_PREFETCH(next_ + i * line);
    next_ += lines * line;
    lines_left_ -= lines;
  }

 private:
  static constexpr int64_t line = 64;
  const char* next_ = nullptr;
  int64_t lines_left_ = 0;
  int64_t lines_a_step_ = 0;
};

/// What the products bring near: the next channel's pixels, and the place of this one's result.
/// Reading and writing whole channels in between would leave the arithmetic idle.
struct Traffic {
  Upcoming read;
  Upcoming written;

  PIXMIM_ALWAYS_INLINE void step() {
    read.step();
    written.step();
  }
};

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
