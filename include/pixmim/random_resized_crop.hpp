// SPDX-License-Identifier: Apache-2.0
// RandomResizedCrop: the usual input transform, which SimpleResizedCrop replaces in pretraining.
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

/// Options of RandomResizedCrop. MAE: `RandomResizedCropOptions(224).scale({0.2, 1.0})`
struct RandomResizedCropOptions {
  using Range = std::array<double, 2>;

  /* implicit */ RandomResizedCropOptions(int64_t size) : size_(size) {}

  /// The images are not normalised by statistics: the result is in 0..1. The same as `mean({})`.
  RandomResizedCropOptions& mean(std::nullopt_t /* none */) { return mean({}); }
  RandomResizedCropOptions& std(std::nullopt_t /* none */) { return std({}); }

  /// Side of the square result.
  TORCH_ARG(int64_t, size);
  /// Least and greatest share of the image's area in the box.
  TORCH_ARG(Range, scale) = {0.08, 1.0};
  /// Least and greatest width / height of the box.
  TORCH_ARG(Range, ratio) = {3.0 / 4.0, 4.0 / 3.0};
  /// Probability of a horizontal flip.
  TORCH_ARG(double, flip) = 0.5;
  /// Kernel of the antialiased resize.
  TORCH_ARG(Interpolation, interpolation) = Interpolation::Bicubic;
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

/// Cuts a random box, resizes it to `size` x `size`, flips: torchvision's, to the bit, and with the
/// interface of SimpleResizedCrop (there are the shapes, dtypes and devices).
///
/// Source:  torchvision transforms.RandomResizedCrop on Pillow; the default interpolation is MAE's.
/// Example: const auto options = pixmim::RandomResizedCropOptions(224).scale({0.2, 1.0});
///          pixmim::RandomResizedCrop crop(options);
///          auto input = crop(photo);
class RandomResizedCrop : public CropTransform<RandomResizedCrop> {
 public:
  /// Throws:  c10::Error if size <= 0, scale or ratio are not 0 < least <= greatest, flip is
  ///          outside [0, 1], std <= 0, or mean and std differ in length.
  explicit RandomResizedCrop(RandomResizedCropOptions options,
                             std::optional<at::Generator> generator = std::nullopt);

  /// Draws a box: ten tries, then the largest centred one of an allowed ratio, as torchvision.
  CropWindow sample(int64_t height, int64_t width,
                    std::optional<at::Generator> generator = std::nullopt) const;

  /// The box of sample `index`: the same for a (seed, index, epoch) in every thread and process.
  /// Throws: c10::Error if epoch >= 2^32.
  CropWindow sample(int64_t height, int64_t width, uint64_t seed, uint64_t index,
                    uint64_t epoch = 0) const;

  const RandomResizedCropOptions& options() const noexcept { return options_; }

 private:
  friend class CropTransform<RandomResizedCrop>;
  friend class detail::Cropper;
  detail::CropGeometry geometry(int64_t height, int64_t width, const CropWindow& window) const;
  template <typename Bits>
  CropWindow draw(int64_t height, int64_t width, Bits bits) const;

  RandomResizedCropOptions options_;
  at::Generator generator_;  // undefined: the default one
};

}  // namespace v0
}  // namespace pixmim

#include "pixmim/detail/crop/random_resized_crop.inl"
