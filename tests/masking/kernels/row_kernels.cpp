// SPDX-License-Identifier: Apache-2.0
// Every specialisation of token_rows.cuh that ships, for the executor. Little else is compiled here, so that
// changed kernels are tried fast (support/simt/mutate.py).
#include <pixmim/detail/cuda/kernels/token_rows.cuh>

#include "masking/kernels/kernels.hpp"

void add_row_kernels(simt::Executor& executor) {
  PIXMIM_ADD_KERNEL(executor, keep_rows<Vector16>);
  PIXMIM_ADD_KERNEL(executor, keep_rows<uint64>);
  PIXMIM_ADD_KERNEL(executor, keep_rows<uint32>);
  PIXMIM_ADD_KERNEL(executor, keep_rows<uint16>);
  PIXMIM_ADD_KERNEL(executor, keep_rows<uint8>);
  PIXMIM_ADD_KERNEL(executor, restore_rows<Vector16>);
  PIXMIM_ADD_KERNEL(executor, restore_rows<uint64>);
  PIXMIM_ADD_KERNEL(executor, restore_rows<uint32>);
  PIXMIM_ADD_KERNEL(executor, restore_rows<uint16>);
  PIXMIM_ADD_KERNEL(executor, restore_rows<uint8>);
  PIXMIM_ADD_KERNEL(executor, sum_masked_rows<float16, 1, float>);
  PIXMIM_ADD_KERNEL(executor, sum_masked_rows<float16, 8, float>);
  PIXMIM_ADD_KERNEL(executor, sum_masked_rows<bfloat16, 1, float>);
  PIXMIM_ADD_KERNEL(executor, sum_masked_rows<bfloat16, 8, float>);
  PIXMIM_ADD_KERNEL(executor, sum_masked_rows<float, 1, float>);
  PIXMIM_ADD_KERNEL(executor, sum_masked_rows<float, 4, float>);
  PIXMIM_ADD_KERNEL(executor, sum_masked_rows<double, 1, double>);
  PIXMIM_ADD_KERNEL(executor, sum_masked_rows<double, 2, double>);
  PIXMIM_ADD_KERNEL(executor, add_sums<float16, float>);
  PIXMIM_ADD_KERNEL(executor, add_sums<bfloat16, float>);
  PIXMIM_ADD_KERNEL(executor, add_sums<float, float>);
  PIXMIM_ADD_KERNEL(executor, add_sums<double, double>);
}
