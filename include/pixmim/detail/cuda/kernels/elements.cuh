// SPDX-License-Identifier: Apache-2.0
// Elements of a tensor that are read and written together.
#pragma once

#include "dialect.cuh"

namespace pixmim {
namespace kernels {

/// `count` neighbours; 16 bytes at once, if they are as many.
template <class T, int32 count>
struct alignas(sizeof(T) * count < 16 ? sizeof(T) * count : 16) Neighbours {
  T values[count];
};

}  // namespace kernels
}  // namespace pixmim
