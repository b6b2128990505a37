// SPDX-License-Identifier: Apache-2.0
// Loops in LibTorch's own threads.
#pragma once

#include <ATen/TensorIterator.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <cstdint>

namespace pixmim {
inline namespace v0 {
namespace detail {

/// Calls `work(begin, end)` for parts of 0 .. count of at least `grain`, at once in as many threads
/// as `at::get_num_threads()` says.
///
/// `at::parallel_for` is a template: it runs in one thread where a program is built without OpenMP,
/// and in the threads of a second OpenMP where the program's is not the one that LibTorch brought.
/// The loop of a TensorIterator is compiled into LibTorch; the elements of this one count.
template <typename Work>
void parallel_for(int64_t count, int64_t grain, const Work& work) {
  if (count <= grain) {
    if (count > 0) work(int64_t{0}, count);
    return;
  }
  at::Tensor positions = at::empty({count}, at::kByte);
  const char* first = static_cast<const char*>(positions.const_data_ptr());
  at::TensorIterator::nullary_op(positions).for_each(
      [&](char** data, const int64_t* /*strides*/, int64_t size, int64_t /*outer_size*/) {
        const int64_t begin = data[0] - first;
        work(begin, begin + size);
      },
      grain);
}

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
