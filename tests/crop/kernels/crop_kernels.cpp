// SPDX-License-Identifier: Apache-2.0
// Every specialisation of ragged_crop.cuh that ships, for the executor. Little else is compiled here, so
// that changed kernels are tried fast (support/simt/mutate.py).
#include <pixmim/detail/cuda/kernels/ragged_crop.cuh>

#include "crop/kernels/kernels.hpp"

void add_crop_kernels(simt::Executor& executor) {
  PIXMIM_ADD_KERNEL(executor, crop_photos<uint8>);
  PIXMIM_ADD_KERNEL(executor, crop_photos<float>);
  PIXMIM_ADD_KERNEL(executor, crop_photos<float16>);
  PIXMIM_ADD_KERNEL(executor, crop_photos<bfloat16>);
}
