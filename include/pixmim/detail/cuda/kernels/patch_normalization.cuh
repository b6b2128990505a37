// SPDX-License-Identifier: Apache-2.0
// A patch by its own mean and deviation (MAE, models_mae.py, forward_loss): what a warp needs for it.
#pragma once

#include "dialect.cuh"

namespace pixmim {
namespace kernels {

/// The sum of all lanes, with the same bits in each.
PIXMIM_DEVICE double add_lanes(double value) {
  PIXMIM_UNROLLED
  for (int32 distance = 16; distance > 0; distance /= 2) value += shuffle_xor(value, distance);
  return value;
}

/// A patch's values get `mean` taken away, then `scale` multiplied.
template <class Scalar>
struct PatchNormalization {
  Scalar mean;
  Scalar scale;
};

/// To mean 0 and (unbiased) variance 1: of the `pixels` values of a warp's patch, in any memory.
template <class Scalar, class Values>
PIXMIM_DEVICE PatchNormalization<Scalar> normalization_of(const Values& values, int32 pixels) {
  const int32 lane = thread_index() % 32;
  Scalar sum = 0;
  for (int32 i = lane; i < pixels; i += 32) sum += values[i];
  Scalar mean = static_cast<Scalar>(add_lanes(sum) / pixels);
  // Sums round by more than a patch without contrast differs from its mean.
  sum = 0;
  for (int32 i = lane; i < pixels; i += 32) sum += values[i] - mean;
  mean = static_cast<Scalar>(mean + add_lanes(sum) / pixels);
  sum = 0;
  for (int32 i = lane; i < pixels; i += 32) {
    const Scalar difference = values[i] - mean;
    sum += difference * difference;
  }
  const double squares = add_lanes(sum);
  // One value has no unbiased variance (0 / 0): it is its own mean.
  const double variance = pixels > 1 ? squares / (pixels - 1) : 0;
  return {mean, 1 / square_root(static_cast<Scalar>(variance + 1e-6))};
}

}  // namespace kernels
}  // namespace pixmim
