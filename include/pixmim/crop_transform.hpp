// SPDX-License-Identifier: Apache-2.0
// What every crop does once its window is drawn: one photo, a batch, a data set.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <utility>
#include <vector>

#include "pixmim/crop_window.hpp"
#include "pixmim/detail/crop/dataset_transform.hpp"

namespace pixmim {
inline namespace v0 {

namespace detail {
class Cropper;
struct CropGeometry;
}  // namespace detail

/// The interface that SimpleResizedCrop and RandomResizedCrop share. On the CPU only the pixels that
/// the crop shows are computed, and memory beside the result is kept from call to call. Safe to
/// call from several threads; copies share that memory.
///
/// Shape:   an image [H,W,C] of any strides, or [C,H,W] with `channels_first(true)`; any C. The
///          result [C,size,size].
/// Dtype:   uint8 -> float32, float16 or bfloat16 as `dtype` says, or uint8 with
///          `normalize(false)`.
/// Units:   pixels 0..255 -> normalised by `mean` and `std`, rounded as torchvision's ToTensor and
///          Normalize in float32.
/// Device:  any; the result is on the same.
/// Random:  what has no window draws one from the generator of the constructor, or from LibTorch's
///          default one on the CPU.
/// Throws:  c10::Error if the shape or the dtype is another, mean and std do not fit C, or a window
///          is not inside the image.
template <typename Crop>
class CropTransform : public detail::DatasetTransform<Crop> {
 public:
  /// Crops one photo at a random place.
  at::Tensor operator()(const at::Tensor& image) const;

  /// Crops each photo at a random place of its own, over LibTorch's threads: N photos of any sizes
  /// and one C -> [N,C,size,size]. A batch of one is `std::vector<at::Tensor>{photo}`; braces alone
  /// are the photo. Throws: c10::Error also if `images` is empty.
  at::Tensor operator()(const std::vector<at::Tensor>& images) const;

  /// Crops at a given place.
  at::Tensor apply(const at::Tensor& image, const CropWindow& window) const;
  at::Tensor apply(const std::vector<at::Tensor>& images,
                   const std::vector<CropWindow>& windows) const;

  /// Crops into `out`, of the result's shape, dtype and device, and of any strides: a pinned batch, say,
  /// or a place in one.
  void apply_out(const at::Tensor& out, const at::Tensor& image, const CropWindow& window) const;
  void apply_out(const at::Tensor& out, const std::vector<at::Tensor>& images,
                 const std::vector<CropWindow>& windows) const;

 protected:
  explicit CropTransform(std::shared_ptr<const detail::Cropper> cropper)
      : cropper_(std::move(cropper)) {}

 private:
  const Crop& self() const { return static_cast<const Crop&>(*this); }
  std::vector<CropWindow> sample_each(const std::vector<at::Tensor>& photos) const;
  at::Tensor crop(const at::Tensor& photo, const CropWindow& window) const;
  at::Tensor crop(const std::vector<at::Tensor>& photos,
                  const std::vector<CropWindow>& windows) const;

  std::shared_ptr<const detail::Cropper> cropper_;
};

}  // namespace v0
}  // namespace pixmim

#include "pixmim/detail/crop/crop_transform.inl"
