// SPDX-License-Identifier: Apache-2.0
// The bodies of BasicLowFreqTargetGenerator.

#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/GradMode.h>

#include "pixmim/detail/check.hpp"
#include "pixmim/detail/low_freq/reference.hpp"

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
  TORCH_CHECK(images.dim() == 3 || images.dim() == 4, caller,
              ": expected images of shape [N,C,H,W] or [C,H,W], got ", images.sizes());
  TORCH_CHECK_TYPE(has_floating_dtype(images) || images.scalar_type() == at::kByte, caller,
                   ": expected images of dtype float16, bfloat16, float32, float64 or uint8, got ",
                   images.scalar_type());
  TORCH_CHECK(images.size(-1) > 0 && images.size(-2) > 0, caller,
              ": expected images of at least 1x1 pixels, got ", images.sizes());
}

/// One value a channel, shaped to broadcast over [N,C,H,W].
inline at::Tensor channel_values(const std::vector<double>& values, const TableKey& key) {
  if (values.empty()) return {};
  return at::tensor(values, at::kDouble).view({-1, 1, 1}).to(key.device, key.dtype);
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
at::Tensor BasicLowFreqTargetGenerator<Filter>::operator()(const at::Tensor& images) const {
  constexpr bool magnitude = detail::takes_magnitude<Filter>::value;
  detail::expect_target_images(images);
  const bool raw = images.scalar_type() == at::kByte;
  if (raw || magnitude) {
    detail::expect_statistics_fit("low_freq_target", options_.mean(), images.size(-3));
  }

  const c10::NoGradGuard no_grad;
  const c10::DeviceGuard device_guard(images.device());
  const auto result_dtype = raw ? at::kFloat : images.scalar_type();
  const auto dtype = result_dtype == at::kDouble ? at::kDouble : at::kFloat;
  if (images.numel() == 0) return at::empty(images.sizes(), images.options().dtype(result_dtype));

  const detail::TableKey key{images.size(-2), images.size(-1), dtype, images.device()};
  const auto tables = tables_->get(key, [&] {
    const at::Tensor gain = detail::gain_table(filter_, key.height, key.width);
    return detail::Tables{(magnitude ? gain : detail::real_half(gain)).to(key.device, dtype),
                          detail::channel_values(options_.mean(), key),
                          detail::channel_values(options_.std(), key)};
  });
  tables->record_current_stream(key.device);

  const bool normalised = tables->mean.defined();
  at::Tensor pixels = images.to(dtype);
  if (raw) pixels = pixels.div(255);
  if constexpr (magnitude) {
    if (normalised && !raw) pixels = pixels.mul(tables->std).add_(tables->mean);
    at::Tensor target = detail::filter_magnitude(pixels, tables->gain);
    if (normalised) target.sub_(tables->mean).div_(tables->std);
    return target.to(result_dtype).contiguous();
  } else {
    if (normalised && raw) pixels.sub_(tables->mean).div_(tables->std);
    return detail::filter_real(pixels, tables->gain).to(result_dtype).contiguous();
  }
}

}  // namespace v0
}  // namespace pixmim
