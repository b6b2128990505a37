// SPDX-License-Identifier: Apache-2.0
// Simple Resized Crop: the input transform of PixMIM, which keeps the foreground in view.
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>
#include <torch/arg.h>

#include <array>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "pixmim/crop_window.hpp"
#include "pixmim/detail/crop/dataset_transform.hpp"
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
  /// true: float32, normalised. false: uint8.
  TORCH_ARG(bool, normalize) = true;
  /// Statistics to normalise by, in 0..1: one value a channel, one for all, or none.
  TORCH_ARG(std::vector<double>, mean) = imagenet_default_mean();
  TORCH_ARG(std::vector<double>, std) = imagenet_default_std();
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
class SimpleResizedCrop : public detail::DatasetTransform<SimpleResizedCrop> {
 public:
  /// Throws:  c10::Error if size <= 0, padding < 0, flip is outside [0, 1], std <= 0, or mean and
  ///          std differ in length.
  explicit SimpleResizedCrop(SimpleResizedCropOptions options,
                             std::optional<at::Generator> generator = std::nullopt);

  /// Crops one photo at a random place.
  ///
  /// Shape:   image [H,W,C], of any strides; result [C,size,size], contiguous.
  /// Dtype:   uint8 -> float32, or uint8 with `normalize(false)`.
  /// Units:   pixels 0..255 -> normalised by `mean` and `std`.
  /// Device:  any; the result is on the same.
  /// Random:  draws from the generator of the constructor, or LibTorch's default one on the CPU.
  /// Throws:  c10::Error if the shape or the dtype is another, or mean and std do not fit C.
  at::Tensor operator()(const at::Tensor& image) const;

  /// Crops each photo at a random place of its own: N photos [H,W,C] of any sizes ->
  /// [N,C,size,size].
  /// Throws:  c10::Error as for one photo, or if `images` is empty.
  at::Tensor operator()(const std::vector<at::Tensor>& images) const;

  /// Draws a window for a photo of `height` x `width` pixels.
  CropWindow sample(int64_t height, int64_t width,
                    std::optional<at::Generator> generator = std::nullopt) const;

  /// The window of sample `index`: the same for a (seed, index, epoch) in every thread and process.
  CropWindow sample(int64_t height, int64_t width, uint64_t seed, uint64_t index,
                    uint64_t epoch = 0) const;

  /// Crops at a given place. Throws: c10::Error if the window is not inside the padded image.
  at::Tensor apply(const at::Tensor& image, const CropWindow& window) const;

  /// Crops into `out` [C,size,size], which may be a view: a place of a pinned batch, say.
  void apply_out(const at::Tensor& out, const at::Tensor& image, const CropWindow& window) const;

  /// Height and width that a photo has after the resize, before the padding.
  std::array<int64_t, 2> resized(int64_t height, int64_t width) const;

  const SimpleResizedCropOptions& options() const noexcept { return options_; }

 private:
  template <typename Bits>
  CropWindow draw(int64_t height, int64_t width, Bits bits) const;

  SimpleResizedCropOptions options_;
  std::optional<at::Generator> generator_;
};

}  // namespace v0
}  // namespace pixmim

#include "pixmim/detail/crop/simple_resized_crop.inl"
