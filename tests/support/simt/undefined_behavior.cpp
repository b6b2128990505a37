// SPDX-License-Identifier: Apache-2.0
// Ends a launch where a kernel's own arithmetic is undefined: local arrays, signed integers, shifts. GCC's
// -fsanitize calls these functions; libubsan, which has them otherwise, is not linked.
#include <cstdint>
#include <cstdio>
#include <string>

#include "support/simt/grid.hpp"

namespace {

/// What all of GCC's descriptions begin with.
struct SourcePlace {
  const char* file;
  uint32_t line;
  uint32_t column;
};

void report(const void* description, const char* what) {
  const auto& place = *static_cast<const SourcePlace*>(description);
  const std::string text =
      std::string(what) + " (" + simt::Site{place.file, static_cast<int>(place.line)}.text() + ")";
  if (simt::Grid::is_running()) simt::Grid::current().fail(text);
  std::fprintf(stderr, "outside of a kernel: %s\n", text.c_str());
}

}  // namespace

extern "C" {

void __ubsan_handle_out_of_bounds(void* description, void* /*index*/) {
  report(description, "index out of the bounds of an array");
}
void __ubsan_handle_add_overflow(void* description, void* /*left*/, void* /*right*/) {
  report(description, "a sum of signed integers overflows");
}
void __ubsan_handle_sub_overflow(void* description, void* /*left*/, void* /*right*/) {
  report(description, "a difference of signed integers overflows");
}
void __ubsan_handle_mul_overflow(void* description, void* /*left*/, void* /*right*/) {
  report(description, "a product of signed integers overflows");
}
void __ubsan_handle_negate_overflow(void* description, void* /*value*/) {
  report(description, "the negative of a signed integer overflows");
}
void __ubsan_handle_divrem_overflow(void* description, void* /*left*/, void* /*right*/) {
  report(description, "a division by zero, or that overflows");
}
void __ubsan_handle_shift_out_of_bounds(void* description, void* /*left*/, void* /*right*/) {
  report(description, "a shift by more bits than there are, or of a negative number");
}

}  // extern "C"
