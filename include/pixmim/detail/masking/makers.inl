// SPDX-License-Identifier: Apache-2.0
// The bodies of the mask makers.

#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/GradMode.h>

#include <array>
#include <cmath>

#include "pixmim/detail/masking/block.hpp"
#include "pixmim/detail/masking/order.hpp"
#include "pixmim/detail/random.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {

inline int64_t divide_up(int64_t value, int64_t divisor) {
  return (value + divisor - 1) / divisor;
}

/// Each of the grid's cells as many times as it has finer ones: [N,h*w] -> [N,h*scale,w*scale].
inline at::Tensor repeat_cells(const at::Tensor& cells, int64_t grid_h, int64_t grid_w,
                               int64_t scale) {
  const int64_t batch = cells.size(0);
  return cells.reshape({batch, grid_h, 1, grid_w, 1})
      .expand({batch, grid_h, scale, grid_w, scale})
      .reshape({batch, grid_h * scale, grid_w * scale});
}

inline void expect_grid(const char* caller, int64_t grid_h, int64_t grid_w) {
  expect_positive(caller, "grid_h", grid_h);
  expect_positive(caller, "grid_w", grid_w);
}

inline void expect_block(const char* caller, int64_t grid_h, int64_t grid_w, int64_t block) {
  expect_grid(caller, grid_h, grid_w);
  expect_positive(caller, "block", block);
}

/// The grid of mask patches (h, w).
inline std::array<int64_t, 2> mask_patch_grid(const char* caller,
                                              const torch::ExpandingArray<2>& image_size,
                                              int64_t mask_patch, int64_t model_patch) {
  expect_positive(caller, "mask_patch", mask_patch);
  expect_positive(caller, "model_patch", model_patch);
  TORCH_CHECK(mask_patch % model_patch == 0, caller,
              ": expected mask_patch to be a multiple of model_patch, got ", mask_patch, " and ",
              model_patch);
  const auto height = image_size->at(0);
  const auto width = image_size->at(1);
  TORCH_CHECK(height > 0 && width > 0 && height % mask_patch == 0 && width % mask_patch == 0,
              caller, ": expected image_size to be a positive multiple of mask_patch, ", mask_patch,
              ", got ", height, "x", width);
  return {height / mask_patch, width / mask_patch};
}

inline void expect_block_options(const BlockMaskOptions& options, int64_t tokens) {
  constexpr auto caller = "block_mask";
  TORCH_CHECK(options.num_masking_patches() >= 0 && options.num_masking_patches() <= tokens, caller,
              ": expected num_masking_patches in [0, ", tokens, "], got ",
              options.num_masking_patches());
  expect_positive(caller, "min_num_patches", options.min_num_patches());
  if (options.max_num_patches().has_value()) {
    expect_positive(caller, "max_num_patches", *options.max_num_patches());
  }
  const double min_aspect = options.min_aspect();
  const double max_aspect = options.max_aspect().value_or(1 / min_aspect);
  TORCH_CHECK(min_aspect > 0 && std::isfinite(min_aspect), caller,
              ": expected a finite min_aspect > 0, got ", min_aspect);
  TORCH_CHECK(max_aspect >= min_aspect && std::isfinite(max_aspect), caller,
              ": expected a finite max_aspect >= min_aspect, ", min_aspect, ", got ", max_aspect);
}

/// Numbers >= 0 on the CPU.
inline void expect_sample_numbers(const char* caller, const char* name, const at::Tensor& numbers) {
  expect_defined(caller, name, numbers);
  TORCH_CHECK(numbers.device().is_cpu(), caller, ": expected ", name, " on the CPU, got ",
              numbers.device());
  TORCH_CHECK_TYPE(numbers.scalar_type() == at::kLong, caller, ": expected ", name,
                   " of dtype int64, got ", numbers.scalar_type());
  TORCH_CHECK(numbers.numel() == 0 || numbers.min().item<int64_t>() >= 0, caller, ": expected ",
              name, " >= 0, got ", numbers.min().item<int64_t>());
}

}  // namespace detail

inline at::Tensor keyed_noise(const at::Tensor& index, const at::Tensor& epoch, int64_t tokens,
                              uint64_t seed) {
  constexpr auto caller = "keyed_noise";
  detail::expect_sample_numbers(caller, "index", index);
  detail::expect_sample_numbers(caller, "epoch", epoch);
  TORCH_CHECK(index.dim() == 1, caller, ": expected index of shape [N], got ", index.sizes());
  TORCH_CHECK(epoch.dim() == 0 || epoch.sizes() == index.sizes(), caller,
              ": expected epoch of the shape of index, ", index.sizes(), ", or [], got ",
              epoch.sizes());
  detail::expect_positive(caller, "tokens", tokens);

  const at::Tensor indices = index.contiguous();
  const at::Tensor epochs = epoch.expand(index.sizes()).contiguous();
  at::Tensor noise = at::empty({index.size(0), tokens}, at::kFloat);
  auto* out = noise.mutable_data_ptr<float>();
  for (int64_t n = 0; n < index.size(0); ++n) {
    detail::KeyedBits bits(seed, static_cast<uint64_t>(indices.const_data_ptr<int64_t>()[n]),
                           static_cast<uint64_t>(epochs.const_data_ptr<int64_t>()[n]),
                           detail::KeyedPurpose::Mask);
    // As many bits as a float holds.
    for (int64_t i = 0; i < tokens; ++i) *out++ = static_cast<float>(bits.word() >> 8) * 0x1p-24F;
  }
  return noise;
}

inline TokenMask mask_from_noise(const at::Tensor& noise, double ratio) {
  constexpr auto caller = "mask_from_noise";
  detail::expect_noise(caller, noise);
  detail::expect_ratio(caller, ratio);
  const c10::NoGradGuard no_grad;
  const c10::DeviceGuard device_guard(noise.device());
  return detail::keep_first(detail::stable_order(noise), detail::kept_tokens(noise.size(1), ratio));
}

inline TokenMask random_mask(int64_t batch, int64_t tokens, double ratio,
                             const at::TensorOptions& options,
                             std::optional<at::Generator> generator) {
  constexpr auto caller = "random_mask";
  detail::expect_positive(caller, "tokens", tokens);
  detail::expect_ratio(caller, ratio);
  return mask_from_noise(detail::uniform_noise(caller, batch, tokens, options, generator), ratio);
}

inline TokenMask joint_mask_from_noise(const at::Tensor& noise, int64_t grid_h, int64_t grid_w,
                                       double ratio, int64_t block) {
  constexpr auto caller = "joint_mask_from_noise";
  detail::expect_block(caller, grid_h, grid_w, block);
  detail::expect_noise(caller, noise);
  detail::expect_ratio(caller, ratio);
  const int64_t blocks_h = detail::divide_up(grid_h, block);
  const int64_t blocks_w = detail::divide_up(grid_w, block);
  TORCH_CHECK(noise.size(1) == blocks_h * blocks_w, caller, ": expected noise of shape [N,",
              blocks_h * blocks_w, "], one value a block, got ", noise.sizes());

  const c10::NoGradGuard no_grad;
  const c10::DeviceGuard device_guard(noise.device());
  const auto options = noise.options().dtype(at::kLong);
  const at::Tensor y = at::arange(grid_h, options).unsqueeze(1);
  const at::Tensor x = at::arange(grid_w, options).unsqueeze(0);
  const at::Tensor block_of_token =
      y.div(block, "floor").mul(blocks_w).add(x.div(block, "floor")).flatten();
  // The reference walks a block column by column.
  const at::Tensor place_in_block = x.remainder(block).mul(block).add(y.remainder(block)).flatten();

  const at::Tensor rank_of_block = detail::inverse_order(detail::stable_order(noise));
  const at::Tensor rank_of_token =
      rank_of_block.index_select(1, block_of_token).mul_(block * block).add_(place_in_block);
  return detail::keep_first(detail::stable_order(rank_of_token),
                            detail::kept_tokens(grid_h * grid_w, ratio));
}

inline TokenMask joint_mask(int64_t batch, int64_t grid_h, int64_t grid_w, double ratio,
                            int64_t block, const at::TensorOptions& options,
                            std::optional<at::Generator> generator) {
  constexpr auto caller = "joint_mask";
  detail::expect_block(caller, grid_h, grid_w, block);
  detail::expect_ratio(caller, ratio);
  const int64_t blocks = detail::divide_up(grid_h, block) * detail::divide_up(grid_w, block);
  return joint_mask_from_noise(detail::uniform_noise(caller, batch, blocks, options, generator),
                               grid_h, grid_w, ratio, block);
}

inline TokenMask block_mask(int64_t batch, int64_t grid_h, int64_t grid_w,
                            const BlockMaskOptions& block_options, const at::TensorOptions& options,
                            std::optional<at::Generator> generator) {
  constexpr auto caller = "block_mask";
  detail::expect_batch(caller, batch);
  detail::expect_grid(caller, grid_h, grid_w);
  const int64_t tokens = grid_h * grid_w;
  detail::expect_block_options(block_options, tokens);
  detail::GeneratorBits bits(caller, generator);

  const c10::NoGradGuard no_grad;
  const int64_t count = block_options.num_masking_patches();
  const int64_t max_block = block_options.max_num_patches().value_or(count);
  const detail::BlockLimits limits{
      block_options.min_num_patches(), block_options.min_aspect(),
      block_options.max_aspect().value_or(1 / block_options.min_aspect())};
  const at::Tensor mask = at::zeros({batch, tokens}, at::kFloat);
  for (int64_t n = 0; n < batch; ++n) {
    auto* const row = mask.mutable_data_ptr<float>() + n * tokens;
    detail::paint_blocks(detail::BlockPainter(grid_h, grid_w, limits, bits, row), count, max_block,
                         block_options.exact());
  }

  const c10::DeviceGuard device_guard(options.device());
  const at::Tensor ids_shuffle = detail::stable_order(mask);
  const at::Tensor kept = mask.eq(0).sum(1);
  const bool all_equal = batch == 0 || kept.min().item<int64_t>() == kept.max().item<int64_t>();
  TokenMask result;
  result.mask = mask.to(options.device());
  result.ids_restore = detail::inverse_order(ids_shuffle).to(options.device());
  if (all_equal) {
    const int64_t count_kept = batch == 0 ? tokens - count : kept[0].item<int64_t>();
    result.ids_keep = ids_shuffle.narrow(1, 0, count_kept).contiguous().to(options.device());
  }
  return result;
}

inline TokenMask patch_aligned_mask_from_noise(const at::Tensor& noise,
                                               torch::ExpandingArray<2> image_size,
                                               int64_t mask_patch, int64_t model_patch,
                                               double ratio) {
  constexpr auto caller = "patch_aligned_mask_from_noise";
  const auto [rows, columns] = detail::mask_patch_grid(caller, image_size, mask_patch, model_patch);
  detail::expect_noise(caller, noise);
  detail::expect_ratio(caller, ratio);
  const int64_t squares = rows * columns;
  TORCH_CHECK(noise.size(1) == squares, caller, ": expected noise of shape [N,", squares,
              "], one value a mask patch, got ", noise.sizes());

  const c10::NoGradGuard no_grad;
  const c10::DeviceGuard device_guard(noise.device());
  // The reference rounds up in double: 100 squares at 0.55 hide 56.
  const auto hidden = static_cast<int64_t>(std::ceil(static_cast<double>(squares) * ratio));
  const at::Tensor square_is_hidden =
      detail::inverse_order(detail::stable_order(noise)).lt(hidden).to(at::kLong);
  const int64_t scale = mask_patch / model_patch;
  const at::Tensor token_is_hidden =
      detail::repeat_cells(square_is_hidden, rows, columns, scale).flatten(1);
  return detail::keep_first(detail::stable_order(token_is_hidden),
                            (squares - hidden) * scale * scale);
}

inline TokenMask patch_aligned_mask(int64_t batch, torch::ExpandingArray<2> image_size,
                                    int64_t mask_patch, int64_t model_patch, double ratio,
                                    const at::TensorOptions& options,
                                    std::optional<at::Generator> generator) {
  constexpr auto caller = "patch_aligned_mask";
  const auto [rows, columns] = detail::mask_patch_grid(caller, image_size, mask_patch, model_patch);
  detail::expect_ratio(caller, ratio);
  return patch_aligned_mask_from_noise(
      detail::uniform_noise(caller, batch, rows * columns, options, generator), image_size,
      mask_patch, model_patch, ratio);
}

inline at::Tensor upsample_mask(const at::Tensor& mask, torch::ExpandingArray<2> grid,
                                int64_t scale) {
  constexpr auto caller = "upsample_mask";
  detail::expect_defined(caller, "mask", mask);
  const int64_t grid_h = grid->at(0);
  const int64_t grid_w = grid->at(1);
  detail::expect_grid(caller, grid_h, grid_w);
  detail::expect_positive(caller, "scale", scale);
  TORCH_CHECK(mask.dim() == 2 && mask.size(1) == grid_h * grid_w, caller,
              ": expected mask of shape [N,", grid_h * grid_w, "] for a grid of ", grid_h, "x",
              grid_w, ", got ", mask.sizes());
  return detail::repeat_cells(mask, grid_h, grid_w, scale).unsqueeze(1);
}

}  // namespace v0
}  // namespace pixmim
