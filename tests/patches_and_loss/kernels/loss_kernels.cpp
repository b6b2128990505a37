// SPDX-License-Identifier: Apache-2.0
// Every specialisation of masked_loss.cuh that ships, for the executor. Little else is compiled here, so that
// changed kernels are tried fast (support/simt/mutate.py).
#include <pixmim/detail/cuda/kernels/masked_loss.cuh>

#include "patches_and_loss/kernels/kernels.hpp"

void add_loss_kernels(simt::Executor& executor) {
  PIXMIM_ADD_KERNEL(executor, masked_loss<float16, float16, float, 1>);
  PIXMIM_ADD_KERNEL(executor, masked_loss<float16, float16, float, 8>);
  PIXMIM_ADD_KERNEL(executor, masked_loss<float16, bfloat16, float, 1>);
  PIXMIM_ADD_KERNEL(executor, masked_loss<float16, bfloat16, float, 8>);
  PIXMIM_ADD_KERNEL(executor, masked_loss<float16, float, float, 1>);
  PIXMIM_ADD_KERNEL(executor, masked_loss<float16, float, float, 8>);
  PIXMIM_ADD_KERNEL(executor, masked_loss<float16, double, double, 1>);
  PIXMIM_ADD_KERNEL(executor, masked_loss<bfloat16, float16, float, 1>);
  PIXMIM_ADD_KERNEL(executor, masked_loss<bfloat16, float16, float, 8>);
  PIXMIM_ADD_KERNEL(executor, masked_loss<bfloat16, bfloat16, float, 1>);
  PIXMIM_ADD_KERNEL(executor, masked_loss<bfloat16, bfloat16, float, 8>);
  PIXMIM_ADD_KERNEL(executor, masked_loss<bfloat16, float, float, 1>);
  PIXMIM_ADD_KERNEL(executor, masked_loss<bfloat16, float, float, 8>);
  PIXMIM_ADD_KERNEL(executor, masked_loss<bfloat16, double, double, 1>);
  PIXMIM_ADD_KERNEL(executor, masked_loss<float, float16, float, 1>);
  PIXMIM_ADD_KERNEL(executor, masked_loss<float, float16, float, 4>);
  PIXMIM_ADD_KERNEL(executor, masked_loss<float, bfloat16, float, 1>);
  PIXMIM_ADD_KERNEL(executor, masked_loss<float, bfloat16, float, 4>);
  PIXMIM_ADD_KERNEL(executor, masked_loss<float, float, float, 1>);
  PIXMIM_ADD_KERNEL(executor, masked_loss<float, float, float, 4>);
  PIXMIM_ADD_KERNEL(executor, masked_loss<float, double, double, 1>);
  PIXMIM_ADD_KERNEL(executor, masked_loss<double, float16, double, 1>);
  PIXMIM_ADD_KERNEL(executor, masked_loss<double, bfloat16, double, 1>);
  PIXMIM_ADD_KERNEL(executor, masked_loss<double, float, double, 1>);
  PIXMIM_ADD_KERNEL(executor, masked_loss<double, double, double, 1>);
  PIXMIM_ADD_KERNEL(executor, sum_weights<float>);
  PIXMIM_ADD_KERNEL(executor, sum_weights<double>);
  PIXMIM_ADD_KERNEL(executor, add_costs<float>);
  PIXMIM_ADD_KERNEL(executor, add_costs<double>);
  PIXMIM_ADD_KERNEL(executor, scale_gradient<float, 1>);
  PIXMIM_ADD_KERNEL(executor, scale_gradient<float, 4>);
  PIXMIM_ADD_KERNEL(executor, scale_gradient<bfloat16, 1>);
  PIXMIM_ADD_KERNEL(executor, scale_gradient<bfloat16, 8>);
}
