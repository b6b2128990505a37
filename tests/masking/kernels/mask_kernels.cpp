// SPDX-License-Identifier: Apache-2.0
// Every specialisation of token_masks.cuh that ships, for the executor. Little else is compiled here, so that
// changed kernels are tried fast (support/simt/mutate.py).
#include <pixmim/detail/cuda/kernels/token_masks.cuh>

#include "masking/kernels/kernels.hpp"

void add_mask_kernels(simt::Executor& executor) {
  PIXMIM_ADD_KERNEL(executor, masks_of_noise<float, TokenUnits>);
  PIXMIM_ADD_KERNEL(executor, masks_of_noise<float, BlockUnits>);
  PIXMIM_ADD_KERNEL(executor, masks_of_noise<float, SquareUnits>);
  PIXMIM_ADD_KERNEL(executor, masks_of_noise<float16, TokenUnits>);
  PIXMIM_ADD_KERNEL(executor, masks_of_noise<float16, BlockUnits>);
  PIXMIM_ADD_KERNEL(executor, masks_of_noise<float16, SquareUnits>);
  PIXMIM_ADD_KERNEL(executor, masks_of_noise<bfloat16, TokenUnits>);
  PIXMIM_ADD_KERNEL(executor, masks_of_noise<bfloat16, BlockUnits>);
  PIXMIM_ADD_KERNEL(executor, masks_of_noise<bfloat16, SquareUnits>);
  PIXMIM_ADD_KERNEL(executor, draw_masks<TokenUnits>);
  PIXMIM_ADD_KERNEL(executor, draw_masks<BlockUnits>);
  PIXMIM_ADD_KERNEL(executor, draw_masks<SquareUnits>);
}
