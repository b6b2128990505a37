// SPDX-License-Identifier: Apache-2.0
// The mask makers: random (MAE), joint (LSMAE), grid (Hiera, Pixio), blockwise (BEiT), patch-aligned
// (SimMIM), and masks of what a trainer has already.
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>
#include <c10/core/TensorOptions.h>
#include <torch/arg.h>
#include <torch/expanding_array.h>

#include <cstdint>
#include <optional>

#include "pixmim/token_mask.hpp"

namespace pixmim {
inline namespace v0 {

// What the makers have in common:
//
// Ratio:   the share of masked tokens, in [0, 1]. K = int(L * (1 - ratio)) are kept, truncated in
//          double precision as the reference does (100 tokens at 0.9 keep 9).
// Device:  that of `options` (a device converts to it), the CPU by default; nothing else of
//          `options` is read. Masks are made on the device, but for `block_mask`, which is drawn on
//          the host.
// Random:  draws from `generator`, which must be on that device (on the CPU for `block_mask`), or
//          from the device's default one. Same seed, same mask, on one type of device, for any number
//          of threads. On the CPU one number of 64 bits is drawn: it is the seed of a Philox stream for
//          each sample, which shuffles without ties. Elsewhere masks come from `at::rand`, or from a kernel
//          of its own where that is chosen (docs/cuda.md).
// Throws:  c10::Error if batch or tokens are negative, another count is not positive, a sample has more
//          than 2^24 tokens, a ratio is outside [0, 1], a noise has another shape or no floating dtype,
//          or a generator is on another device (type or index).

/// Hides tokens at random, each alike likely.
///
/// Shape:   mask [batch,tokens], ids_keep [batch,K].
/// Source:  MAE models_mae.py random_masking.
/// Example: auto mask = pixmim::random_mask(64, 196, 0.75, images.device());
TokenMask random_mask(int64_t batch, int64_t tokens, double ratio,
                      const at::TensorOptions& options = {},
                      std::optional<at::Generator> generator = std::nullopt);

/// The random mask that a given noise makes: the smallest values are kept, equal ones by index.
///
/// Shape:   noise [N,L] floating; ids_keep in order of the noise, not of position.
/// Source:  MAE models_mae.py random_masking, whose argsort leaves the order of equal values open.
/// Example: auto mask = pixmim::mask_from_noise(at::rand({64, 196}), 0.75);
TokenMask mask_from_noise(const at::Tensor& noise, double ratio);

/// The TokenMask of a mask that a trainer has already.
///
/// Shape:   masked [N,L]; every sample masks as many tokens as the others. ids_keep in order of position.
/// Dtype:   bool, or real numbers of 0 and 1: true or 1 = masked.
/// Device:  that of `masked`. Waits for it: how many are masked has to be known on the host.
/// Throws:  c10::Error on another shape or dtype, on another number, more than 2^24 tokens, or if a
///          sample masks more or fewer tokens than the first: the message says which one.
/// Example: auto mask = pixmim::token_mask(bool_masked_pos);
///          auto latent = encoder(mask.visible(patch_embed(images) + pos_embed));
TokenMask token_mask(const at::Tensor& masked);

/// The TokenMask of ids that a trainer has already. Of MAE's `ids_shuffle` [N,L] these are the first K:
/// `ids_shuffle.slice(1, 0, K)`.
///
/// Shape:   ids_keep [N,K] int64, the positions of the kept tokens among `tokens`, in any order; `visible`
///          keeps it. Masked tokens are in order of position.
/// Device:  that of `ids_keep`.
/// Throws:  c10::Error on another shape or dtype or more than 2^24 tokens; on the CPU also if an id is out
///          of range, or twice in a sample.
/// Example: auto mask = pixmim::mask_from_ids(ids_shuffle.slice(1, 0, len_keep), 196);
TokenMask mask_from_ids(const at::Tensor& ids_keep, int64_t tokens);

/// Noise that depends on the seed and on each sample's own number and epoch alone, not on the batch
/// that it is in, the worker or the rank: the masks of a run that is resumed, or spread anew.
///
/// Shape:   index [N] and epoch [N] (or [], one for all) int64 >= 0, on the CPU; result [N,tokens].
/// Dtype:   float32, uniform in [0, 1), on the CPU.
/// Random:  Philox4x32-10; the crops' `sample(height, width, seed, index, epoch)` draws from other
///          streams of the same key.
/// Throws:  c10::Error on another shape, dtype or device, a number < 0, an epoch >= 2^32, or tokens
///          outside [0, 2^24].
/// Example: auto noise = pixmim::keyed_noise(batch.index, batch.epoch, 196, /*seed=*/0);
///          auto mask = pixmim::mask_from_noise(noise.to(device), 0.75);
at::Tensor keyed_noise(const at::Tensor& index, const at::Tensor& epoch, int64_t tokens,
                       uint64_t seed);

/// Hides blocks of block x block tokens together, so that a larger image is as hard as a small one.
///
/// Shape:   mask [batch,grid_h*grid_w]. Blocks at the border are cut where the grid does not
///          divide, and the last kept block where K does not.
/// Source:  LSMAE util/long_seq_patch_loader.py SampleVisiblePatchIndices (arXiv 2210.07224).
/// Example: auto mask = pixmim::joint_mask(16, 28, 28, 0.75, /*block=*/2);
TokenMask joint_mask(int64_t batch, int64_t grid_h, int64_t grid_w, double ratio, int64_t block,
                     const at::TensorOptions& options = {},
                     std::optional<at::Generator> generator = std::nullopt);

/// The joint mask that a given noise makes.
///
/// Shape:   noise [N,M] floating, M = ceil(grid_h / block) * ceil(grid_w / block), row by row.
/// Example: auto mask = pixmim::joint_mask_from_noise(at::rand({16, 196}), 28, 28, 0.75, 2);
TokenMask joint_mask_from_noise(const at::Tensor& noise, int64_t grid_h, int64_t grid_w,
                                double ratio, int64_t block);

/// Hides whole blocks of block x block tokens: the mask units of hierarchical models, or just larger holes.
///
/// Shape:   mask [batch,grid_h*grid_w]. Of the U = (grid_h / block) * (grid_w / block) blocks
///          B = int(U * (1 - ratio)) are kept, and K = B * block * block tokens. ids_keep [batch,K] has
///          them block by block, each row by row: view(batch, B, block, block) has the units.
/// Throws:  also if grid_h or grid_w is no multiple of block.
/// Source:  Hiera hiera.py get_random_mask (arXiv 2306.00989; blocks of 8 x 8), Pixio
///          models_pixio.py random_masking (arXiv 2512.15715; blocks of 4 x 4).
/// Example: auto mask = pixmim::grid_mask(64, 16, 16, 0.75, /*block=*/4);
TokenMask grid_mask(int64_t batch, int64_t grid_h, int64_t grid_w, double ratio, int64_t block,
                    const at::TensorOptions& options = {},
                    std::optional<at::Generator> generator = std::nullopt);

/// The grid mask that a given noise makes.
///
/// Shape:   noise [N,U] floating, row by row.
/// Example: auto mask = pixmim::grid_mask_from_noise(at::rand({64, 16}), 16, 16, 0.75, 4);
TokenMask grid_mask_from_noise(const at::Tensor& noise, int64_t grid_h, int64_t grid_w,
                               double ratio, int64_t block);

/// Options of `block_mask`. `BlockMaskOptions(75).min_num_patches(16)`
struct BlockMaskOptions {
  /* implicit */ BlockMaskOptions(int64_t num_masking_patches)
      : num_masking_patches_(num_masking_patches) {}

  /// How many tokens are masked, at the most.
  TORCH_ARG(int64_t, num_masking_patches);
  /// Least area of a block.
  TORCH_ARG(int64_t, min_num_patches) = 4;
  /// Greatest area of a block; none: num_masking_patches.
  TORCH_ARG(std::optional<int64_t>, max_num_patches) = std::nullopt;
  /// Least height / width of a block.
  TORCH_ARG(double, min_aspect) = 0.3;
  /// Greatest height / width of a block; none: 1 / min_aspect.
  TORCH_ARG(std::optional<double>, max_aspect) = std::nullopt;
  /// false: as BEiT, which gives up when ten tries place nothing. true: goes on to the exact
  /// number.
  TORCH_ARG(bool, exact) = false;
};

/// Hides rectangles that may overlap, until enough is hidden.
///
/// Shape:   mask [batch,grid_h*grid_w]. The samples may hide different numbers: then `ids_keep` is
///          undefined, and `visible` and `restore` throw. `exact(true)` hides the same number in
///          each.
/// Source:  BEiT masking_generator.py MaskingGenerator (microsoft/unilm), both ends of its draws
///          included. Differs with `exact(true)`: mmpretrain's way on, single tokens if blocks
///          fail.
/// Example: auto mask = pixmim::block_mask(64, 14, 14, pixmim::BlockMaskOptions(75));
TokenMask block_mask(int64_t batch, int64_t grid_h, int64_t grid_w,
                     const BlockMaskOptions& block_options, const at::TensorOptions& options = {},
                     std::optional<at::Generator> generator = std::nullopt);

/// The block masks of samples, each of which depends on the seed and on its sample's own number and epoch
/// alone, as `keyed_noise` does for the other makers.
///
/// Shape:   index [N] and epoch [N] (or [], one for all) int64 >= 0, on the CPU; mask [N,grid_h*grid_w].
/// Device:  that of `options`; drawn on the host.
/// Random:  Philox4x32-10, the stream of `keyed_noise`.
/// Throws:  also as `keyed_noise`.
/// Example: auto mask = pixmim::block_mask(batch.index, batch.epoch, 14, 14, 75, /*seed=*/0, device);
TokenMask block_mask(const at::Tensor& index, const at::Tensor& epoch, int64_t grid_h,
                     int64_t grid_w, const BlockMaskOptions& block_options, uint64_t seed,
                     const at::TensorOptions& options = {});

/// Hides squares of `mask_patch` pixels, for a model whose patches are smaller.
///
/// Shape:   mask [batch,L], L = (H / model_patch) * (W / model_patch). Of the T squares ceil(T *
///          ratio) are masked; ids_keep is in order of position.
/// Units:   image_size (one number, or height and width), mask_patch and model_patch in pixels.
/// Throws:  also if image_size is no multiple of mask_patch, or mask_patch none of model_patch.
/// Source:  SimMIM data/data_simmim.py MaskGenerator.
/// Example: auto mask = pixmim::patch_aligned_mask(64, 192, 32, 4, 0.6);
TokenMask patch_aligned_mask(int64_t batch, torch::ExpandingArray<2> image_size, int64_t mask_patch,
                             int64_t model_patch, double ratio,
                             const at::TensorOptions& options = {},
                             std::optional<at::Generator> generator = std::nullopt);

/// The patch-aligned mask that a given noise makes: the smallest values are MASKED.
///
/// Shape:   noise [N,T] floating, T = (H / mask_patch) * (W / mask_patch).
/// Example: auto mask = pixmim::patch_aligned_mask_from_noise(at::rand({64, 36}), 192, 32, 4, 0.6);
TokenMask patch_aligned_mask_from_noise(const at::Tensor& noise,
                                        torch::ExpandingArray<2> image_size, int64_t mask_patch,
                                        int64_t model_patch, double ratio);

/// Spreads a mask over a finer grid: every token becomes scale x scale cells.
///
/// Shape:   mask [N,grid_h*grid_w], grid (h, w); result [N,1,scale*grid_h,scale*grid_w].
/// Dtype:   any -> same.
/// Throws:  c10::Error if mask does not have grid_h * grid_w tokens, scale <= 0, or a side of the result
///          would be longer than 2^24.
/// Source:  ConvMAE models_convmae.py forward_encoder.
/// Example: auto stage1 = pixmim::upsample_mask(mask.mask, {14, 14}, 4);
at::Tensor upsample_mask(const at::Tensor& mask, torch::ExpandingArray<2> grid, int64_t scale);

}  // namespace v0
}  // namespace pixmim

#include "pixmim/detail/masking/makers.inl"
