// SPDX-License-Identifier: Apache-2.0
// The low-frequency target: what the decoder predicts in place of the raw pixels.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/arg.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "pixmim/detail/low_freq/channel_statistics.hpp"
#include "pixmim/detail/low_freq/cpu_target.hpp"
#include "pixmim/detail/low_freq/device_target.hpp"
#include "pixmim/detail/low_freq/gain_table.hpp"
#include "pixmim/detail/low_freq/scratch_pool.hpp"
#include "pixmim/detail/low_freq/table_cache.hpp"
#include "pixmim/filters.hpp"
#include "pixmim/normalization.hpp"

namespace pixmim {
inline namespace v0 {

/// Options of the target. `LowFreqTargetOptions(40).mean({0.5}).std({0.5})`
struct LowFreqTargetOptions {
  /* implicit */ LowFreqTargetOptions(double radius = 40) : radius_(radius) {}

  /// The images have no statistics: they are pixels in 0..1. Both are to be called, as `mean({})` and
  /// `std({})` are.
  LowFreqTargetOptions& mean(std::nullopt_t /* none */) { return mean({}); }
  LowFreqTargetOptions& std(std::nullopt_t /* none */) { return std({}); }

  /// Radius of the circle in frequency bins. Read where no filter is given.
  TORCH_ARG(double, radius);
  /// Mean by which the images were normalised: one value a channel, one for all, or none.
  TORCH_ARG(std::vector<double>, mean) = imagenet_default_mean();
  /// Deviation by which the images were normalised, likewise.
  TORCH_ARG(std::vector<double>, std) = imagenet_default_std();
};

/// Options of `BasicLowFreqTargetGenerator::patches`. `TargetPatchesOptions(16).norm_pix(true)`
struct TargetPatchesOptions {
  /* implicit */ TargetPatchesOptions(int64_t patch_size) : patch_size_(patch_size) {}

  /// Side of a patch in pixels.
  TORCH_ARG(int64_t, patch_size);
  /// Normalise each patch by its own mean and (unbiased) variance, as the loss can do instead.
  TORCH_ARG(bool, norm_pix) = false;
};

/// Low-passes images, keeping its tables between calls. Copies share them; any number of threads
/// may call one generator.
///
/// Example: pixmim::LowFreqTargetGenerator generator(pixmim::LowFreqTargetOptions(40));
///          auto target = generator(images);
template <typename Filter = PublishedCircle>
class BasicLowFreqTargetGenerator {
  static_assert(detail::is_filter_v<Filter>,
                "a filter has `double gain(double fy, double fx) const` or a call operator alike");

 public:
  /// A generator of `Filter{options.radius()}`: for circles and for every filter with a radius.
  /// Throws:  c10::Error if radius < 0, std <= 0, or mean and std differ in length.
  explicit BasicLowFreqTargetGenerator(const LowFreqTargetOptions& options);

  /// A generator of `filter`; `options.radius()` is not read.
  /// Throws:  c10::Error if the filter's `validate()` does, or as above.
  explicit BasicLowFreqTargetGenerator(Filter filter, LowFreqTargetOptions options = {});

  /// Low-passes `images`: the target that PixMIM's decoder learns to predict.
  ///
  /// Shape:   images [N,C,H,W] or [C,H,W], any size from 1x1, N may be 0; result the same,
  ///          contiguous.
  /// Dtype:   float16, bfloat16, float32, float64 -> same (computed in float32 or wider, but for 16-bit
  ///          images by the engine "fused": in half precision); uint8 -> float32, normalised.
  /// Units:   images normalised by `mean` and `std`, or pixels 0..255 if uint8; result normalised.
  ///          Where a filter takes the magnitude, squares must fit the dtype that is computed in:
  ///          pixels up to 1e19 for float32.
  /// Device:  any; CUDA work goes to the current stream. The first call for a size makes tables and
  ///          may synchronise, later ones do not.
  /// Grad:    none: the result never requires grad.
  /// Random:  no.
  /// Throws:  c10::Error if the rank is not 3 or 4, the dtype is another, a side is 0, the channels do
  ///          not fit mean and std (which only uint8 and the published circle need), or a gain of the
  ///          filter is not finite.
  /// Source:  arXiv 2303.02416, section 4.1; mmselfsup low_freq_generator.py.
  at::Tensor operator()(const at::Tensor& images) const;

  /// The same target in the order of patches, which is that of the decoder's prediction: the values of
  /// `patchify(generator(images), patch_size)` (to rounding, for sizes where transforms are faster)
  /// without a second pass over memory (on CUDA if "fused" serves, and without `norm_pix`).
  ///
  /// Shape:   images [N,C,H,W]; mask [N,L] or undefined; result [N,L,p*p*C], L = (H/p) * (W/p).
  /// Dtype:   as above; mask any but complex: patches where it is 0 are zero.
  /// Units:   as above; with `norm_pix` deviations of a patch: do not set it in the loss as well.
  /// Device:  any, one for both.
  /// Grad:    none.
  /// Throws:  c10::Error as above, if images is not 4-d, H or W is no multiple of patch_size, or the
  ///          mask does not fit.
  /// Source:  MAE models_mae.py patchify and forward_loss.
  /// Example: auto target = generator.patches(images, 16, token_mask.mask);
  ///          auto loss = pixmim::masked_pixel_loss(prediction, target, token_mask, 16);
  at::Tensor patches(const at::Tensor& images, const TargetPatchesOptions& options,
                     const at::Tensor& mask = {}) const;

  /// Makes what the first call for images of this shape, dtype and device would make: tables, and on CUDA
  /// compiled kernels and plans. A CUDA graph can capture the calls after it, and reads what the generator
  /// or a copy of it keeps: one of them must be there for as long as the graph runs.
  ///
  /// Throws:  c10::Error as a call does.
  /// Example: generator.prepare(images);
  ///          graph.capture_begin();
  void prepare(const at::Tensor& images) const;

  /// The same of the first call of `patches`.
  ///
  /// Throws:  c10::Error as that call does.
  /// Example: generator.prepare(images, 16);
  ///          graph.capture_begin();
  void prepare(const at::Tensor& images, const TargetPatchesOptions& options) const;

  /// Which engine serves `images`: on the CPU "basis" (products with a folded trigonometric basis) or
  /// "transforms"; on other devices "products" (LibTorch's matrix products with that basis),
  /// "transforms" (torch::fft), and where it is chosen (docs/cuda.md) "fused" (one kernel) or "cufft"
  /// (cuFFT's plans for the columns that the filter keeps). Makes the tables of their size, as a call does.
  ///
  /// Throws:  c10::Error as a call does.
  /// Example: std::cout << generator.engine(images);
  std::string engine(const at::Tensor& images) const;

  const Filter& filter() const noexcept { return filter_; }
  const LowFreqTargetOptions& options() const noexcept { return options_; }

 private:
  static constexpr bool magnitude = detail::takes_magnitude<Filter>::value;
  template <typename Scalar>
  using CpuTarget = detail::CpuTarget<magnitude, Scalar>;
  using DeviceTarget = detail::DeviceTarget<magnitude>;

  /// What copies share.
  struct Kept {
    detail::TableCache<CpuTarget<float>> single_targets;
    detail::TableCache<CpuTarget<double>> double_targets;
    detail::TableCache<DeviceTarget> device_targets;
    detail::ScratchPool pool;
  };

  void expect_images(const at::Tensor& images) const;
  detail::ChannelStatistics statistics() const { return {options_.mean(), options_.std()}; }
  template <typename Run>
  auto run_on_cpu(const at::Tensor& images, const Run& run) const;
  std::shared_ptr<const DeviceTarget> device_target(const at::Tensor& images) const;
  at::Tensor run_on_device(const at::Tensor& images) const;

  Filter filter_;
  LowFreqTargetOptions options_;
  std::shared_ptr<Kept> kept_ = std::make_shared<Kept>();
};

/// The generator of what PixMIM was trained with.
using LowFreqTargetGenerator = BasicLowFreqTargetGenerator<PublishedCircle>;

/// The published target in one line; see `BasicLowFreqTargetGenerator::operator()` for the
/// contract. Makes its tables anew: a trainer keeps a generator.
///
/// Example: auto target = pixmim::low_freq_target(images, /*radius=*/40);
inline at::Tensor low_freq_target(const at::Tensor& images,
                                  const LowFreqTargetOptions& options = {}) {
  return LowFreqTargetGenerator(options)(images);
}

/// The target of any filter in one line; `options.radius()` is not read.
///
/// Example: auto target = pixmim::low_freq_target(images, pixmim::Gaussian{20});
template <typename Filter, typename = std::enable_if_t<detail::is_filter_v<Filter>>>
at::Tensor low_freq_target(const at::Tensor& images, Filter filter,
                           const LowFreqTargetOptions& options = {}) {
  return BasicLowFreqTargetGenerator<Filter>(std::move(filter), options)(images);
}

}  // namespace v0
}  // namespace pixmim

#include "pixmim/detail/low_freq/generator.inl"
