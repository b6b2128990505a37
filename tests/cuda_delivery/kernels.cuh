// SPDX-License-Identifier: Apache-2.0
// Kernels for the tests of what delivers kernels.
#pragma once

#include "dialect.cuh"

namespace pixmim {
namespace kernels {

/// to[i] = factor * from[i]; `Pad` is there to be a template argument.
template <int Pad>
PIXMIM_KERNEL(128)
scale(Global<const float> from, Global<float> to, int64 count, float factor) {
  const int64 i = block_index() * threads_a_block() + thread_index();
  if (i < count) {
    to[i] = multiply(from[i], factor) + Pad * 0.0f;
  }
}

/// Each block turns its 128 numbers around.
PIXMIM_KERNEL(128) reverse(Global<float> numbers) {
  Shared<float> shared = shared_memory<float>(0, 128);
  const int32 thread = thread_index();
  shared[thread] = numbers[block_index() * 128 + thread];
  synchronize_block();
  numbers[block_index() * 128 + thread] = shared[127 - thread];
}

/// A type of the dialect is a template argument, and a lambda does the work.
template <class Element>
PIXMIM_KERNEL(32) widen(Global<const Element> from, Global<float> to) {
  const auto each = [&](const auto& visit) { visit(thread_index()); };
  each([&](int32 i) { to[i] = to_float(from[i]); });
}

/// Needs memory of its own for each thread: its indices are known only where it runs.
PIXMIM_KERNEL(32) local_memory(Global<float> numbers, Global<const int32> order) {
  float kept[64];
  for (int32 i = 0; i < 64; ++i) {
    kept[i] = numbers[i * 32 + thread_index()];
  }
  for (int32 i = 0; i < 64; ++i) {
    numbers[i * 32 + thread_index()] = kept[order[i] & 63];
  }
}

/// Keeps more numbers at once than 1024 threads have registers for.
PIXMIM_KERNEL(1024) spilling(Global<float> numbers) {
  float kept[96];
#pragma unroll
  for (int32 i = 0; i < 96; ++i) {
    kept[i] = numbers[i * 1024 + thread_index()];
  }
  synchronize_block();
#pragma unroll
  for (int32 i = 0; i < 96; ++i) {
    numbers[i * 1024 + thread_index()] = multiply(kept[i], kept[(i * 5 + 7) % 96]);
  }
}

}  // namespace kernels
}  // namespace pixmim
