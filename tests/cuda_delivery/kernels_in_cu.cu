// SPDX-License-Identifier: Apache-2.0
// Kernels in a translation unit of nvcc, which a trainer with a .cu of its own may start as it likes.
#include <pixmim/detail/cuda/kernels/low_pass.cuh>
#include <pixmim/detail/cuda/kernels/masked_loss.cuh>
#include <pixmim/detail/cuda/kernels/normalize_patches.cuh>
#include <pixmim/detail/cuda/kernels/ragged_crop.cuh>
#include <pixmim/detail/cuda/kernels/spectrum.cuh>
#include <pixmim/detail/cuda/kernels/token_masks.cuh>
#include <pixmim/detail/cuda/kernels/token_rows.cuh>

#include <cstdio>

namespace {

using namespace pixmim::kernels;

int failures = 0;

template <class... Parameters>
void expect_code(const char* name, void (*kernel)(Parameters...)) {
  cudaFuncAttributes attributes{};
  const cudaError_t result =
      cudaFuncGetAttributes(&attributes, reinterpret_cast<const void*>(kernel));
  const bool has_gpu = result != cudaErrorInsufficientDriver && result != cudaErrorNoDevice;
  failures += has_gpu && result != cudaSuccess ? 1 : 0;
  std::printf("%s: %s, %d registers\n", name, cudaGetErrorName(result), attributes.numRegs);
}

__global__ void fill(float* numbers) {
  numbers[block_index() * threads_a_block() + thread_index()] = 1;
}

}  // namespace

#define EXPECT_CODE(...) expect_code(#__VA_ARGS__, &__VA_ARGS__)

int main() {
  EXPECT_CODE(low_pass<64, 32, 16, float, float, true, true>);
  EXPECT_CODE(low_pass_patches<64, 32, 16, bfloat16, bfloat16, false, false, 16>);
  EXPECT_CODE(normalize_patches<float16>);
  EXPECT_CODE(masked_loss<bfloat16, float, float, 4>);
  EXPECT_CODE(add_costs<float>);
  EXPECT_CODE(crop_photos<float>);
  EXPECT_CODE(apply_gains<float, true>);
  EXPECT_CODE(draw_masks<TokenUnits>);
  EXPECT_CODE(keep_rows<Vector16>);

  // Beside the trainer's own, on any stream.
  float* numbers = nullptr;
  if (cudaMalloc(&numbers, 256 * sizeof(float)) != cudaSuccess) return failures;  // no GPU
  fill<<<1, 256>>>(numbers);
  scale_gradient<float, 4><<<1, 256>>>(reinterpret_cast<Neighbours<float, 4>*>(numbers), 64,
                                       numbers);
  return cudaDeviceSynchronize() == cudaSuccess ? failures : 1;
}
