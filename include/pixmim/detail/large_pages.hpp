// SPDX-License-Identifier: Apache-2.0
// Large results in large pages.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <cstddef>
#include <cstdint>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace pixmim {
inline namespace v0 {
namespace detail {

/// An uninitialised tensor on the CPU. The C library maps a block as large as this anew in each call,
/// and Linux clears its pages at the first touch of each: for 4 KiB pages that takes longer than
/// to compute what is written there.
inline at::Tensor empty_in_large_pages(at::IntArrayRef shape, at::ScalarType dtype) {
  const at::Tensor result = at::empty(shape, at::dtype(dtype));
#if defined(__linux__)
  constexpr std::size_t always_mapped = std::size_t{32} << 20;  // glibc's largest mmap threshold
  if (result.nbytes() > always_mapped) {
    constexpr std::uintptr_t page = 2 << 20;
    const auto begin = reinterpret_cast<std::uintptr_t>(result.data_ptr());
    const std::uintptr_t first = (begin + page - 1) / page * page;
    const std::uintptr_t last = (begin + result.nbytes()) / page * page;
    // A wish: where it is not granted, pages stay small.
    static_cast<void>(madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE));
  }
#endif
  return result;
}

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
