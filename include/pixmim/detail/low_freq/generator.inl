// SPDX-License-Identifier: Apache-2.0
// The bodies of BasicLowFreqTargetGenerator.

#include <ATen/ops/empty.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/GradMode.h>

#include "pixmim/detail/check.hpp"
#include "pixmim/detail/cuda/stream_capture.hpp"
#include "pixmim/detail/low_freq/basis/patch_order.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {

template <typename Filter>
Filter filter_of_radius(double radius) {
  static_assert(has_radius<Filter>::value,
                "this filter has no radius: give the filter itself to the generator");
  return Filter{radius};
}

inline void expect_target_images(const at::Tensor& images) {
  constexpr auto caller = "low_freq_target";
  expect_defined(caller, "images", images);
  TORCH_CHECK(images.layout() == at::kStrided && !images.is_meta(), caller,
              ": expected images that are dense and in memory, got layout ", images.layout(),
              " on device ", images.device());
  TORCH_CHECK(images.dim() == 3 || images.dim() == 4, caller,
              ": expected images of shape [N,C,H,W] or [C,H,W], got ", images.sizes());
  TORCH_CHECK_TYPE(has_floating_dtype(images) || images.scalar_type() == at::kByte, caller,
                   ": expected images of dtype float16, bfloat16, float32, float64 or uint8, got ",
                   images.scalar_type());
  TORCH_CHECK(images.size(-1) > 0 && images.size(-2) > 0, caller,
              ": expected images of at least 1x1 pixels, got ", images.sizes());
}

/// Contiguous, and with its signs in memory.
inline at::Tensor plain(const at::Tensor& images) {
  return images.contiguous().resolve_neg();
}

/// Patches of an image, and numbers in a patch.
struct PatchGrid {
  int64_t tokens;
  int64_t numbers;
};

inline PatchGrid expect_patches(const at::Tensor& images, int64_t patch_size,
                                const at::Tensor& mask) {
  constexpr auto caller = "low_freq_target patches";
  expect_patch_size(caller, patch_size);
  expect_patches_fit(caller, images, patch_size);
  const PatchGrid grid = {images.size(2) / patch_size * (images.size(3) / patch_size),
                          images.size(1) * patch_size * patch_size};
  if (mask.defined()) {
    expect_mask(caller, mask, "images", images.device(), images.size(0), grid.tokens);
  }
  return grid;
}

}  // namespace detail

template <typename Filter>
BasicLowFreqTargetGenerator<Filter>::BasicLowFreqTargetGenerator(
    const LowFreqTargetOptions& options)
    : BasicLowFreqTargetGenerator(detail::filter_of_radius<Filter>(options.radius()), options) {}

template <typename Filter>
BasicLowFreqTargetGenerator<Filter>::BasicLowFreqTargetGenerator(Filter filter,
                                                                 LowFreqTargetOptions options)
    : filter_(std::move(filter)), options_(std::move(options)) {
  if constexpr (detail::has_validate<Filter>::value) filter_.validate();
  detail::expect_statistics("low_freq_target", options_.mean(), options_.std());
}

template <typename Filter>
void BasicLowFreqTargetGenerator<Filter>::expect_images(const at::Tensor& images) const {
  detail::expect_target_images(images);
  if (images.scalar_type() == at::kByte || magnitude) {
    detail::expect_statistics_fit("low_freq_target", options_.mean(), images.size(-3));
  }
}

/// Calls `run` with the target of the images' size, in the precision of their dtype.
template <typename Filter>
template <typename Run>
auto BasicLowFreqTargetGenerator<Filter>::run_on_cpu(const at::Tensor& images,
                                                     const Run& run) const {
  const detail::TableKey key{images.size(-2), images.size(-1), at::kFloat, images.device()};
  const auto gain = [&] { return detail::gain_table(filter_, key.height, key.width); };
  if (images.scalar_type() == at::kDouble) {
    return run(*kept_->double_targets.get(key, [&] { return CpuTarget<double>(gain()); }));
  }
  return run(*kept_->single_targets.get(key, [&] { return CpuTarget<float>(gain()); }));
}

template <typename Filter>
auto BasicLowFreqTargetGenerator<Filter>::device_target(const at::Tensor& images) const
    -> std::shared_ptr<const DeviceTarget> {
  const auto dtype = images.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const detail::TableKey key{images.size(-2), images.size(-1), dtype, images.device()};
  const auto make = [&] {
    return DeviceTarget(detail::gain_table(filter_, key.height, key.width), statistics(), dtype,
                        key.device);
  };
  return kept_->device_targets.get(key, make, detail::cuda::is_captured(key.device));
}

template <typename Filter>
at::Tensor BasicLowFreqTargetGenerator<Filter>::run_on_device(const at::Tensor& images) const {
  const at::Tensor batch = images.dim() == 3 ? images.unsqueeze(0) : images;
  return device_target(images)->filter(batch, detail::target_dtype(images)).view(images.sizes());
}

template <typename Filter>
std::string BasicLowFreqTargetGenerator<Filter>::engine(const at::Tensor& images) const {
  expect_images(images);
  const c10::DeviceGuard device_guard(images.device());
  if (!images.is_cpu()) return device_target(images)->engine(images.scalar_type());
  return run_on_cpu(images, [](const auto& target) { return std::string(target.engine()); });
}

template <typename Filter>
void BasicLowFreqTargetGenerator<Filter>::prepare(const at::Tensor& images) const {
  expect_images(images);
  const c10::NoGradGuard no_grad;
  const c10::DeviceGuard device_guard(images.device());
  if (images.is_cpu()) {
    run_on_cpu(images, [](const auto& /*target*/) {});
  } else {
    device_target(images)->prepare(images.dim() == 3 ? images.unsqueeze(0) : images);
  }
}

template <typename Filter>
void BasicLowFreqTargetGenerator<Filter>::prepare(const at::Tensor& images,
                                                  const TargetPatchesOptions& options) const {
  expect_images(images);
  detail::expect_patches(images, options.patch_size(), {});
  if (images.is_cpu()) return prepare(images);
  const c10::NoGradGuard no_grad;
  const c10::DeviceGuard device_guard(images.device());
  device_target(images)->prepare(images, options.patch_size(), options.norm_pix());
}

template <typename Filter>
at::Tensor BasicLowFreqTargetGenerator<Filter>::operator()(const at::Tensor& images) const {
  expect_images(images);
  const c10::NoGradGuard no_grad;
  const c10::DeviceGuard device_guard(images.device());
  if (images.numel() == 0) {
    return at::empty(images.sizes(), images.options().dtype(detail::target_dtype(images)));
  }
  if (!images.is_cpu()) return run_on_device(images);
  return run_on_cpu(images, [&](const auto& target) {
    const at::Tensor batch = detail::plain(images.dim() == 3 ? images.unsqueeze(0) : images);
    return target.filter(batch, statistics(), kept_->pool).view(images.sizes());
  });
}

template <typename Filter>
at::Tensor BasicLowFreqTargetGenerator<Filter>::patches(const at::Tensor& images,
                                                        const TargetPatchesOptions& options,
                                                        const at::Tensor& mask) const {
  expect_images(images);
  const detail::PatchGrid grid = detail::expect_patches(images, options.patch_size(), mask);
  const c10::NoGradGuard no_grad;
  const c10::DeviceGuard device_guard(images.device());
  if (images.numel() == 0) {
    return at::empty({images.size(0), grid.tokens, grid.numbers},
                     images.options().dtype(detail::target_dtype(images)));
  }
  const at::Tensor masked = mask.defined() ? mask.ne(0).contiguous() : at::Tensor();
  if (!images.is_cpu()) {
    return device_target(images)->patches(images, detail::target_dtype(images),
                                          options.patch_size(), options.norm_pix(), masked);
  }
  const detail::PatchOrder order = {options.patch_size(), images.size(1), options.norm_pix()};
  return run_on_cpu(images, [&](const auto& target) {
    return target.patches(detail::plain(images), statistics(), order, masked, kept_->pool);
  });
}

}  // namespace v0
}  // namespace pixmim
