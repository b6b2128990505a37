// SPDX-License-Identifier: Apache-2.0
// Patches of a target by their own means and deviations, a warp a patch.
//
// Why apart from the filter: a block of low_pass.cuh has one channel, a patch's variance is over all, and
// the filtered numbers of a block are more than its registers. What needs no tensor of normalised patches
// is masked_loss.cuh: it normalises what it reads.
#pragma once

#include "dialect.cuh"
#include "patch_normalization.cuh"

namespace pixmim {
namespace kernels {

/// `patches` [patch_count, pixels] -> `normalized`, which may be the same memory. Where `has_mask` is not 0
/// and `mask` [patch_count] is, zeros.
template <class Output>
PIXMIM_KERNEL(256)
normalize_patches(Global<const float> patches, Global<Output> normalized, int64 patch_count,
                  int32 pixels, Global<const uint8> mask, int32 has_mask) {
  const int64 patch = block_index() * (threads_a_block() / 32) + thread_index() / 32;
  if (patch >= patch_count) return;
  const auto from = patches + patch * pixels;
  const auto to = normalized + patch * pixels;
  const int32 lane = thread_index() % 32;
  if (has_mask != 0 && mask[patch] == 0) {
    for (int32 i = lane; i < pixels; i += 32) to[i] = round_to<Output>(0.0f);
    return;
  }
  // A lane writes only what no other reads.
  const auto by = normalization_of<float>(from, pixels);
  for (int32 i = lane; i < pixels; i += 32) {
    to[i] = round_to<Output>((from[i] - by.mean) * by.scale);
  }
}

}  // namespace kernels
}  // namespace pixmim
