// SPDX-License-Identifier: Apache-2.0
// Simple Resized Crop: the input transform of PixMIM, which keeps the foreground in view.
#pragma once

#include <ATen/core/Generator.h>
#include <c10/core/ScalarType.h>
#include <torch/arg.h>

#include <array>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "pixmim/crop_transform.hpp"
#include "pixmim/crop_window.hpp"
#include "pixmim/normalization.hpp"

namespace pixmim {
inline namespace v0 {

/// Options of SimpleResizedCrop. `SimpleResizedCropOptions(224).padding(4)`
struct SimpleResizedCropOptions {
  /* implicit */ SimpleResizedCropOptions(int64_t size) : size_(size) {}

  /// The images are not normalised by statistics: the result is in 0..1. The same as `mean({})`.
  SimpleResizedCropOptions& mean(std::nullopt_t /* none */) { return mean({}); }
  SimpleResizedCropOptions& std(std::nullopt_t /* none */) { return std({}); }

  /// Side of the square result, and of the shorter side after the resize.
  TORCH_ARG(int64_t, size);
  /// Pixels of reflection added on every side before the crop.
  TORCH_ARG(int64_t, padding) = 4;
  /// Probability of a horizontal flip.
  TORCH_ARG(double, flip) = 0.5;
  /// Kernel of the antialiased resize.
  TORCH_ARG(Interpolation, interpolation) = Interpolation::Bilinear;
  /// The Pillow to be equal to.
  TORCH_ARG(PassOrder, pass_order) = PassOrder::Pillow13;
  /// true: normalised, of `dtype`. false: uint8.
  TORCH_ARG(bool, normalize) = true;
  /// float32, or the one that the model computes in: float16, bfloat16.
  TORCH_ARG(at::ScalarType, dtype) = at::kFloat;
  /// Statistics to normalise by, in 0..1: one value a channel, one for all, or none.
  TORCH_ARG(std::vector<double>, mean) = imagenet_default_mean();
  TORCH_ARG(std::vector<double>, std) = imagenet_default_std();
  /// Images are [C,H,W], not [H,W,C].
  TORCH_ARG(bool, channels_first) = false;
};

/// Resizes the shorter side to `size`, pads by reflection, crops a square at random, flips.
///
/// RandomResizedCrop cuts 8 to 100 % of the image away before the mask hides 75 % of the rest; this
/// keeps nearly all of it. The pixels are those of Pillow and torchvision, to the bit. Where
/// LibTorch's DataLoader copies the transform for each worker, the copies draw from the same
/// generator.
///
/// Source:  arXiv 2303.02416, section 4.2; torchvision Resize, RandomCrop, RandomHorizontalFlip.
/// Example: pixmim::SimpleResizedCrop src(pixmim::SimpleResizedCropOptions(224));
///          auto input = src(photo);
class SimpleResizedCrop : public CropTransform<SimpleResizedCrop> {
 public:
  /// Throws:  c10::Error if size <= 0, padding < 0, flip is outside [0, 1], std <= 0, or mean and
  ///          std differ in length.
  explicit SimpleResizedCrop(SimpleResizedCropOptions options,
                             std::optional<at::Generator> generator = std::nullopt);

  /// Draws a window for a photo of `height` x `width` pixels.
  CropWindow sample(int64_t height, int64_t width,
                    std::optional<at::Generator> generator = std::nullopt) const;

  /// The window of sample `index`: the same for a (seed, index, epoch) in every thread and process.
  /// Throws: c10::Error if epoch >= 2^32.
  CropWindow sample(int64_t height, int64_t width, uint64_t seed, uint64_t index,
                    uint64_t epoch = 0) const;

  /// Height and width that a photo has after the resize, before the padding.
  std::array<int64_t, 2> resized(int64_t height, int64_t width) const;

  const SimpleResizedCropOptions& options() const noexcept { return options_; }

 private:
  friend class CropTransform<SimpleResizedCrop>;
  friend class detail::Cropper;
  detail::CropGeometry geometry(int64_t height, int64_t width, const CropWindow& window) const;
  template <typename Bits>
  CropWindow draw(int64_t height, int64_t width, Bits bits) const;

  SimpleResizedCropOptions options_;
  at::Generator generator_;  // undefined: the default one
};

}  // namespace v0
}  // namespace pixmim

#include "pixmim/detail/crop/simple_resized_crop.inl"
