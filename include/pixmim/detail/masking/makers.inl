// SPDX-License-Identifier: Apache-2.0
// The bodies of the mask makers: what is checked, and who computes.

#include <ATen/ops/empty.h>
#include <ATen/ops/rand.h>
#include <c10/core/Device.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/GradMode.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "pixmim/detail/check.hpp"
#include "pixmim/detail/masking/cuda_engine.hpp"
#include "pixmim/detail/masking/cuda_masks.hpp"
#if PIXMIM_HAS_KERNELS
#include "pixmim/detail/masking/cuda_generator.hpp"
#endif
#include "pixmim/detail/masking/engine.hpp"
#include "pixmim/detail/masking/given_masks.hpp"
#include "pixmim/detail/masking/operators.hpp"
#include "pixmim/detail/masking/sample_keys.hpp"
#include "pixmim/detail/masking/upsample.hpp"
#include "pixmim/detail/random.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {

/// Of a sample: the engine numbers tokens in 32 bits, and float32 noise has no more values.
constexpr int64_t most_tokens = int64_t{1} << 24;

inline void expect_not_negative(const char* caller, const char* name, int64_t value) {
  TORCH_CHECK(value >= 0, caller, ": expected ", name, " >= 0, got ", value);
}

inline void expect_tokens(const char* caller, int64_t tokens) {
  expect_not_negative(caller, "tokens", tokens);
  TORCH_CHECK(tokens <= most_tokens, caller, ": expected at most ", most_tokens,
              " tokens a sample, got ", tokens);
}

inline void expect_noise(const char* caller, const at::Tensor& noise) {
  expect_defined(caller, "noise", noise);
  TORCH_CHECK_TYPE(has_floating_dtype(noise), caller, ": expected noise of a floating dtype, got ",
                   noise.scalar_type());
  TORCH_CHECK(noise.dim() == 2, caller, ": expected noise of shape [N,L], got ", noise.sizes());
}

/// `what`: "block", "mask patch".
inline void expect_noise_of(const char* caller, const at::Tensor& noise, int64_t units,
                            const char* what) {
  TORCH_CHECK(noise.size(1) == units, caller, ": expected noise of shape [N,", units,
              "], one value a ", what, ", got ", noise.sizes());
}

inline void expect_grid(const char* caller, int64_t grid_h, int64_t grid_w) {
  expect_positive(caller, "grid_h", grid_h);
  expect_positive(caller, "grid_w", grid_w);
  TORCH_CHECK(grid_w <= most_tokens / grid_h, caller, ": expected at most ", most_tokens,
              " tokens a sample, got a grid of ", grid_h, "x", grid_w);
}

inline void expect_block(const char* caller, int64_t grid_h, int64_t grid_w, int64_t block) {
  expect_grid(caller, grid_h, grid_w);
  expect_positive(caller, "block", block);
}

inline void expect_whole_blocks(const char* caller, int64_t grid_h, int64_t grid_w, int64_t block) {
  expect_block(caller, grid_h, grid_w, block);
  TORCH_CHECK(grid_h % block == 0 && grid_w % block == 0, caller,
              ": expected grid_h and grid_w to be multiples of block, ", block, ", got ", grid_h,
              "x", grid_w);
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
  expect_grid(caller, height / model_patch, width / model_patch);
  return {height / mask_patch, width / mask_patch};
}

inline PaintPlan paint_plan(const char* caller, int64_t grid_h, int64_t grid_w,
                            const BlockMaskOptions& options) {
  expect_grid(caller, grid_h, grid_w);
  const int64_t tokens = grid_h * grid_w;
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
  const int64_t count = options.num_masking_patches();
  return {grid_h,
          grid_w,
          count,
          options.min_num_patches(),
          options.max_num_patches().value_or(count),
          min_aspect,
          max_aspect,
          options.exact()};
}

/// How many of `count` stay. MAE truncates in double: no rounding, no float32 ratio.
inline int64_t kept_of(int64_t count, double ratio) {
  return static_cast<int64_t>(static_cast<double>(count) * (1 - ratio));
}

inline BlockPlan joint_plan(int64_t grid_h, int64_t grid_w, double ratio, int64_t block) {
  // A larger block is one block, too. The reference walks a block column by column.
  return {grid_h, grid_w, std::min(block, std::max(grid_h, grid_w)), BlockWalk::ColumnByColumn,
          kept_of(grid_h * grid_w, ratio)};
}

inline BlockPlan grid_plan(int64_t grid_h, int64_t grid_w, double ratio, int64_t block) {
  const int64_t units = grid_h / block * (grid_w / block);
  return {grid_h, grid_w, block, BlockWalk::RowByRow, kept_of(units, ratio) * block * block};
}

inline SquarePlan square_plan(const std::array<int64_t, 2>& squares, int64_t scale, double ratio) {
  // The reference rounds up in double: 100 squares at 0.55 hide 56.
  const auto count = static_cast<double>(squares[0] * squares[1]);
  return {squares[0], squares[1], scale, static_cast<int64_t>(std::ceil(count * ratio))};
}

template <typename Plan>
TokenMask masks_from_noise(const at::Tensor& noise, const Plan& plan) {
  if (noise.is_cpu()) return masks_from_noise_on_cpu(noise, plan);
  cuda::Launcher* const launcher = masking_launcher(noise.device());
  if (launcher != nullptr && cuda::noise_fits(noise.scalar_type()) &&
      cuda::masks_fit(*launcher, plan)) {
    return cuda::masks_from_noise(*launcher, noise, plan);
  }
  return masks_from_noise_by_operators(noise, plan);
}

/// A device without an index is the current one of its type.
inline at::Device with_index(const at::Device& device) {
  return device.has_index() ? device : c10::impl::VirtualGuardImpl(device.type()).getDevice();
}

inline void expect_generator(const char* caller, const std::optional<at::Generator>& generator,
                             const at::Device& device) {
  if (!generator.has_value() || !generator->defined()) return;
  const at::Device own = generator->device();
  TORCH_CHECK(
      own.type() == device.type() && (own.is_cpu() || with_index(own) == with_index(device)),
      caller, ": expected a generator on the device of the mask, ", device, ", got one on ", own);
}

template <typename Plan>
TokenMask drawn_masks(const char* caller, int64_t batch, const Plan& plan,
                      const at::TensorOptions& options,
                      const std::optional<at::Generator>& generator) {
  expect_not_negative(caller, "batch", batch);
  const at::Device device = options.device();
  expect_generator(caller, generator, device);
  if (device.is_cpu()) {
    const uint64_t seed = GeneratorBits(caller, generator)();
    return masks_on_cpu(DrawnOrders(seed, plan.units()), batch, plan);
  }
#if PIXMIM_HAS_KERNELS
  if (device.is_cuda()) {
    const at::Device place = with_index(device);
    cuda::Launcher* const launcher = masking_launcher(place);
    if (launcher != nullptr && cuda::masks_fit(*launcher, plan)) {
      const c10::DeviceGuard device_guard(place);
      return cuda::drawn_masks(*launcher, cuda::advance_generator(generator, place, plan.units()),
                               batch, plan, place);
    }
  }
#endif
  // float32 whatever the options say: a narrower dtype would make many values equal.
  return masks_from_noise_by_operators(
      at::rand({batch, plan.units()}, generator, at::TensorOptions(device).dtype(at::kFloat)),
      plan);
}

}  // namespace detail

inline at::Tensor keyed_noise(const at::Tensor& index, const at::Tensor& epoch, int64_t tokens,
                              uint64_t seed) {
  constexpr auto caller = "keyed_noise";
  const detail::SampleKeys keys(caller, index, epoch, seed);
  detail::expect_tokens(caller, tokens);
  at::Tensor noise = at::empty({keys.samples(), tokens}, at::kFloat);
  auto* const values = noise.mutable_data_ptr<float>();
  detail::parallel_for(
      keys.samples(), detail::samples_a_part(tokens), [&](int64_t begin, int64_t end) {
        std::vector<uint32_t> words = detail::room_for_words(tokens);
        for (int64_t n = begin; n < end; ++n) {
          detail::philox_words(keys.stream(n), tokens, words.data());
          // As many bits as a float holds: an int holds them, and is converted faster than an unsigned.
          for (int64_t i = 0; i < tokens; ++i) {
            const auto bits = static_cast<int32_t>(words[static_cast<std::size_t>(i)] >> 8);
            values[n * tokens + i] = static_cast<float>(bits) * 0x1p-24F;
          }
        }
      });
  return noise;
}

inline TokenMask mask_from_noise(const at::Tensor& noise, double ratio) {
  constexpr auto caller = "mask_from_noise";
  detail::expect_noise(caller, noise);
  detail::expect_ratio(caller, ratio);
  const int64_t tokens = noise.size(1);
  detail::expect_tokens(caller, tokens);
  return detail::masks_from_noise(noise, detail::TokenPlan{tokens, detail::kept_of(tokens, ratio)});
}

inline TokenMask token_mask(const at::Tensor& masked) {
  constexpr auto caller = "token_mask";
  detail::expect_defined(caller, "masked", masked);
  TORCH_CHECK_TYPE(!masked.is_complex(), caller, ": expected a mask of a real dtype, got ",
                   masked.scalar_type());
  TORCH_CHECK(masked.dim() == 2, caller, ": expected a mask of shape [N,L], got ", masked.sizes());
  detail::expect_tokens(caller, masked.size(1));
  const c10::NoGradGuard no_grad;
  const c10::DeviceGuard device_guard(masked.device());
  const at::Tensor hidden = masked.ne(0);
  const at::Tensor strange = masked.masked_select(masked.ne(hidden));
  TORCH_CHECK_VALUE(strange.numel() == 0, caller,
                    ": expected a mask of 0 (kept) and 1 (masked), got ",
                    strange[0].item<double>());
  return detail::mask_of_hidden(caller, hidden);
}

inline TokenMask mask_from_ids(const at::Tensor& ids_keep, int64_t tokens) {
  constexpr auto caller = "mask_from_ids";
  detail::expect_defined(caller, "ids_keep", ids_keep);
  TORCH_CHECK_TYPE(ids_keep.scalar_type() == at::kLong, caller,
                   ": expected ids_keep of dtype int64, got ", ids_keep.scalar_type());
  detail::expect_tokens(caller, tokens);
  TORCH_CHECK(ids_keep.dim() == 2 && ids_keep.size(1) <= tokens, caller,
              ": expected ids_keep of shape [N,K] with K <= ", tokens, " tokens, got ",
              ids_keep.sizes());
  const c10::DeviceGuard device_guard(ids_keep.device());
  return detail::mask_of_kept(caller, ids_keep, tokens);
}

inline TokenMask random_mask(int64_t batch, int64_t tokens, double ratio,
                             const at::TensorOptions& options,
                             std::optional<at::Generator> generator) {
  constexpr auto caller = "random_mask";
  detail::expect_tokens(caller, tokens);
  detail::expect_ratio(caller, ratio);
  return detail::drawn_masks(
      caller, batch, detail::TokenPlan{tokens, detail::kept_of(tokens, ratio)}, options, generator);
}

inline TokenMask joint_mask_from_noise(const at::Tensor& noise, int64_t grid_h, int64_t grid_w,
                                       double ratio, int64_t block) {
  constexpr auto caller = "joint_mask_from_noise";
  detail::expect_block(caller, grid_h, grid_w, block);
  detail::expect_noise(caller, noise);
  detail::expect_ratio(caller, ratio);
  const auto plan = detail::joint_plan(grid_h, grid_w, ratio, block);
  detail::expect_noise_of(caller, noise, plan.units(), "block");
  return detail::masks_from_noise(noise, plan);
}

inline TokenMask joint_mask(int64_t batch, int64_t grid_h, int64_t grid_w, double ratio,
                            int64_t block, const at::TensorOptions& options,
                            std::optional<at::Generator> generator) {
  constexpr auto caller = "joint_mask";
  detail::expect_block(caller, grid_h, grid_w, block);
  detail::expect_ratio(caller, ratio);
  return detail::drawn_masks(caller, batch, detail::joint_plan(grid_h, grid_w, ratio, block),
                             options, generator);
}

inline TokenMask grid_mask_from_noise(const at::Tensor& noise, int64_t grid_h, int64_t grid_w,
                                      double ratio, int64_t block) {
  constexpr auto caller = "grid_mask_from_noise";
  detail::expect_whole_blocks(caller, grid_h, grid_w, block);
  detail::expect_noise(caller, noise);
  detail::expect_ratio(caller, ratio);
  const auto plan = detail::grid_plan(grid_h, grid_w, ratio, block);
  detail::expect_noise_of(caller, noise, plan.units(), "block");
  return detail::masks_from_noise(noise, plan);
}

inline TokenMask grid_mask(int64_t batch, int64_t grid_h, int64_t grid_w, double ratio,
                           int64_t block, const at::TensorOptions& options,
                           std::optional<at::Generator> generator) {
  constexpr auto caller = "grid_mask";
  detail::expect_whole_blocks(caller, grid_h, grid_w, block);
  detail::expect_ratio(caller, ratio);
  return detail::drawn_masks(caller, batch, detail::grid_plan(grid_h, grid_w, ratio, block),
                             options, generator);
}

inline TokenMask block_mask(int64_t batch, int64_t grid_h, int64_t grid_w,
                            const BlockMaskOptions& block_options, const at::TensorOptions& options,
                            std::optional<at::Generator> generator) {
  constexpr auto caller = "block_mask";
  detail::expect_not_negative(caller, "batch", batch);
  const auto plan = detail::paint_plan(caller, grid_h, grid_w, block_options);
  const uint64_t seed = detail::GeneratorBits(caller, generator)();
  const auto stream_of = [seed](int64_t sample) {
    return detail::mask_stream(seed, static_cast<uint64_t>(sample), 0);
  };
  return detail::painted_masks_on_cpu(stream_of, batch, plan).to(options.device());
}

inline TokenMask block_mask(const at::Tensor& index, const at::Tensor& epoch, int64_t grid_h,
                            int64_t grid_w, const BlockMaskOptions& block_options, uint64_t seed,
                            const at::TensorOptions& options) {
  constexpr auto caller = "block_mask";
  const detail::SampleKeys keys(caller, index, epoch, seed);
  const auto plan = detail::paint_plan(caller, grid_h, grid_w, block_options);
  const auto stream_of = [&keys](int64_t sample) { return keys.stream(sample); };
  return detail::painted_masks_on_cpu(stream_of, keys.samples(), plan).to(options.device());
}

inline TokenMask patch_aligned_mask_from_noise(const at::Tensor& noise,
                                               torch::ExpandingArray<2> image_size,
                                               int64_t mask_patch, int64_t model_patch,
                                               double ratio) {
  constexpr auto caller = "patch_aligned_mask_from_noise";
  const auto squares = detail::mask_patch_grid(caller, image_size, mask_patch, model_patch);
  detail::expect_noise(caller, noise);
  detail::expect_ratio(caller, ratio);
  const auto plan = detail::square_plan(squares, mask_patch / model_patch, ratio);
  detail::expect_noise_of(caller, noise, plan.units(), "mask patch");
  return detail::masks_from_noise(noise, plan);
}

inline TokenMask patch_aligned_mask(int64_t batch, torch::ExpandingArray<2> image_size,
                                    int64_t mask_patch, int64_t model_patch, double ratio,
                                    const at::TensorOptions& options,
                                    std::optional<at::Generator> generator) {
  constexpr auto caller = "patch_aligned_mask";
  const auto squares = detail::mask_patch_grid(caller, image_size, mask_patch, model_patch);
  detail::expect_ratio(caller, ratio);
  return detail::drawn_masks(caller, batch,
                             detail::square_plan(squares, mask_patch / model_patch, ratio), options,
                             generator);
}

inline at::Tensor upsample_mask(const at::Tensor& mask, torch::ExpandingArray<2> grid,
                                int64_t scale) {
  constexpr auto caller = "upsample_mask";
  detail::expect_defined(caller, "mask", mask);
  const int64_t grid_h = grid->at(0);
  const int64_t grid_w = grid->at(1);
  detail::expect_grid(caller, grid_h, grid_w);
  detail::expect_positive(caller, "scale", scale);
  TORCH_CHECK(scale <= detail::most_tokens / std::max(grid_h, grid_w), caller,
              ": expected a finer grid with sides of at most ", detail::most_tokens, ", got ",
              grid_h, "x", grid_w, " times ", scale);
  TORCH_CHECK(mask.dim() == 2 && mask.size(1) == grid_h * grid_w, caller,
              ": expected mask of shape [N,", grid_h * grid_w, "] for a grid of ", grid_h, "x",
              grid_w, ", got ", mask.sizes());
  const bool differentiable = c10::GradMode::is_enabled() && mask.requires_grad();
  const at::Tensor fine = mask.is_cpu() && mask.element_size() <= 8 && !differentiable
                              ? detail::repeat_cells_on_cpu(mask, grid_h, grid_w, scale)
                              : detail::repeat_cells(mask, grid_h, grid_w, scale);
  return fine.unsqueeze(1);
}

}  // namespace v0
}  // namespace pixmim
