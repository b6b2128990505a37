// SPDX-License-Identifier: Apache-2.0
// Every specialisation of spectrum.cuh that ships, for the executor. Little else is compiled here, so that
// changed kernels are tried fast (support/simt/mutate.py).
#include <pixmim/detail/cuda/kernels/spectrum.cuh>

#include "low_freq_target/cufft/kernels.hpp"

void add_spectrum_kernels(simt::Executor& executor) {
  PIXMIM_ADD_KERNEL(executor, read_samples<uint8, 1>);
  PIXMIM_ADD_KERNEL(executor, read_samples<uint8, 4>);
  PIXMIM_ADD_KERNEL(executor, read_samples<float16, 1>);
  PIXMIM_ADD_KERNEL(executor, read_samples<float16, 4>);
  PIXMIM_ADD_KERNEL(executor, read_samples<bfloat16, 1>);
  PIXMIM_ADD_KERNEL(executor, read_samples<bfloat16, 4>);
  PIXMIM_ADD_KERNEL(executor, apply_gains<float, false>);
  PIXMIM_ADD_KERNEL(executor, apply_gains<float, true>);
  PIXMIM_ADD_KERNEL(executor, apply_gains<double, false>);
  PIXMIM_ADD_KERNEL(executor, apply_gains<double, true>);
  PIXMIM_ADD_KERNEL(executor, finish_target<float, float, false, 1>);
  PIXMIM_ADD_KERNEL(executor, finish_target<float, float, false, 4>);
  PIXMIM_ADD_KERNEL(executor, finish_target<float, float, true, 1>);
  PIXMIM_ADD_KERNEL(executor, finish_target<float, float, true, 4>);
  PIXMIM_ADD_KERNEL(executor, finish_target<float, float16, false, 1>);
  PIXMIM_ADD_KERNEL(executor, finish_target<float, float16, false, 4>);
  PIXMIM_ADD_KERNEL(executor, finish_target<float, float16, true, 1>);
  PIXMIM_ADD_KERNEL(executor, finish_target<float, float16, true, 4>);
  PIXMIM_ADD_KERNEL(executor, finish_target<float, bfloat16, false, 1>);
  PIXMIM_ADD_KERNEL(executor, finish_target<float, bfloat16, false, 4>);
  PIXMIM_ADD_KERNEL(executor, finish_target<float, bfloat16, true, 1>);
  PIXMIM_ADD_KERNEL(executor, finish_target<float, bfloat16, true, 4>);
  PIXMIM_ADD_KERNEL(executor, finish_target<double, double, true, 1>);
  PIXMIM_ADD_KERNEL(executor, finish_target<double, double, true, 2>);
}
