// SPDX-License-Identifier: Apache-2.0
// Results for a given number of LibTorch's threads.
#pragma once

#include <ATen/Parallel.h>

namespace support {

/// What `call` gives with `threads` threads.
template <typename Call>
auto with_threads(int threads, const Call& call) {
  const int before = at::get_num_threads();
  at::set_num_threads(threads);
  auto result = call();
  at::set_num_threads(before);
  return result;
}

}  // namespace support
