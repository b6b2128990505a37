// SPDX-License-Identifier: Apache-2.0
// What the two crops share: checks, the choice of the engine, batches over threads.
#pragma once

#include <ATen/MemoryOverlap.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/ScalarType.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "pixmim/detail/check.hpp"
#include "pixmim/detail/crop/cuda_crop.hpp"
#include "pixmim/detail/crop/cuda_engine.hpp"
#include "pixmim/detail/crop/engine.hpp"
#include "pixmim/detail/crop/geometry.hpp"
#include "pixmim/detail/crop/operators.hpp"
#include "pixmim/detail/crop/pixel_values.hpp"
#include "pixmim/detail/crop/workspace.hpp"
#include "pixmim/detail/large_pages.hpp"
#include "pixmim/detail/parallel.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {

inline void expect_photo_size(const char* caller, int64_t height, int64_t width) {
  TORCH_CHECK(height > 0 && width > 0, caller, ": expected an image of at least 1x1 pixels, got ",
              height, "x", width);
}

inline void expect_probability(const char* caller, const char* name, double value) {
  TORCH_CHECK(value >= 0 && value <= 1, caller, ": expected ", name, " in [0, 1], got ", value);
}

/// The options that both crops have, resolved and checked; from images and geometries to pixels.
class Cropper {
 public:
  template <typename Options>
  Cropper(const char* caller, const Options& options)
      : caller_(caller),
        size_(options.size()),
        channels_first_(options.channels_first()),
        normalize_(options.normalize()),
        dtype_(normalize_ ? options.dtype() : at::kByte),
        mean_(options.mean()),
        std_(options.std()) {
    expect_positive(caller, "size", size_);
    constexpr int64_t largest = int64_t{1} << 24;
    TORCH_CHECK(size_ <= largest, caller, ": expected size <= ", largest, ", got ", size_);
    expect_probability(caller, "flip", options.flip());
    expect_statistics(caller, mean_, std_);
    for (const double value : std_) {
      TORCH_CHECK(static_cast<float>(value) > 0, caller, ": expected std > 0 in float32, got ",
                  value);
    }
    for (const double value : mean_) {
      TORCH_CHECK(std::isfinite(static_cast<float>(value)), caller,
                  ": expected mean to be finite in float32, got ", value);
    }
    TORCH_CHECK(options.dtype() == at::kFloat || options.dtype() == at::kHalf ||
                    options.dtype() == at::kBFloat16,
                caller, ": expected dtype float32, float16 or bfloat16, got ", options.dtype(),
                " (uint8: normalize(false))");
    TORCH_CHECK(normalize_ || options.dtype() == at::kFloat, caller,
                ": expected no dtype with normalize(false), which keeps uint8, got ",
                options.dtype());
    values_.emplace(mean_, std_);
    divide_ = PIXMIM_DISPATCH(crop::divides_exactly(*values_));
  }

  /// The image as [H,W,C], checked.
  at::Tensor photo(const at::Tensor& image) const {
    expect_defined(caller_, "image", image);
    TORCH_CHECK(image.dim() == 3, caller_, ": expected an image of shape ",
                channels_first_ ? "[C,H,W]" : "[H,W,C]", ", got ", image.sizes());
    TORCH_CHECK_TYPE(image.scalar_type() == at::kByte, caller_,
                     ": expected an image of dtype uint8, got ", image.scalar_type());
    TORCH_CHECK(image.numel() > 0, caller_,
                ": expected an image of at least 1x1 pixels and one channel, got ", image.sizes());
    const at::Tensor result = channels_first_ ? image.permute({1, 2, 0}) : image;
    if (normalize_) {
      expect_layout(image);
      expect_statistics_fit(caller_, mean_, result.size(2));
    }
    return result;
  }

  /// Throws if the image would fit mean and std in the other layout alone.
  void expect_layout(const at::Tensor& image) const {
    const auto count = static_cast<int64_t>(mean_.size());
    const bool fits = image.size(channels_first_ ? 0 : 2) == count;
    const bool other_fits = image.size(channels_first_ ? 2 : 0) == count;
    TORCH_CHECK(count <= 1 || fits || !other_fits, caller_, ": expected an image of shape ",
                channels_first_ ? "[C,H,W]" : "[H,W,C]", ", got ", image.sizes(),
                " (channels_first(", channels_first_ ? "false" : "true", ") takes the other one)");
  }

  /// Photos of one number of channels, on one device.
  std::vector<at::Tensor> photos(const std::vector<at::Tensor>& images) const {
    TORCH_CHECK(!images.empty(), caller_, ": expected at least one image, got an empty list");
    std::vector<at::Tensor> results;
    results.reserve(images.size());
    for (const at::Tensor& image : images) {
      results.push_back(photo(image));
      TORCH_CHECK(results.back().size(2) == results.front().size(2), caller_,
                  ": expected images with one number of channels, got ", results.front().size(2),
                  " and ", results.back().size(2));
      TORCH_CHECK(image.device() == images.front().device(), caller_,
                  ": expected images on one device, got ", images.front().device(), " and ",
                  image.device());
    }
    return results;
  }

  /// How each photo is cropped.
  template <typename Crop>
  std::vector<CropGeometry> geometries(const std::vector<at::Tensor>& photos,
                                       const std::vector<CropWindow>& windows,
                                       const Crop& crop) const {
    TORCH_CHECK(windows.size() == photos.size(), caller_, ": expected as many windows as images, ",
                photos.size(), ", got ", windows.size());
    std::vector<CropGeometry> results;
    results.reserve(photos.size());
    for (std::size_t i = 0; i < photos.size(); ++i) {
      results.push_back(crop.geometry(photos[i].size(0), photos[i].size(1), windows[i]));
    }
    return results;
  }

  at::Tensor empty(const at::Tensor& photo) const {
    return at::empty({photo.size(2), size_, size_}, photo.options().dtype(dtype_));
  }

  at::Tensor empty(const std::vector<at::Tensor>& photos) const {
    const std::vector<int64_t> shape = {static_cast<int64_t>(photos.size()), photos[0].size(2),
                                        size_, size_};
    if (photos[0].is_cpu()) return empty_in_large_pages(shape, dtype_);
    return at::empty(shape, photos[0].options().dtype(dtype_));
  }

  /// Crops one photo into `out` [C,size,size]. On the CPU nothing is allocated.
  void crop(const at::Tensor& photo, const CropGeometry& geometry, const at::Tensor& out) const {
    expect_out(out, {photo.size(2), size_, size_}, photo);
    if (!out.is_cpu()) return crop_on_device({photo}, {geometry}, out.unsqueeze(0));
    if (!has_whole_rows(out)) {
      const at::Tensor rows = empty(photo);
      crop(photo, geometry, rows);
      out.copy_(rows);
      return;
    }
    CropWorkspaces::Lease workspace(*workspaces_);
    crop_photo(pixels_of(photo), geometry,
               place_of(out, out.mutable_data_ptr(), out.stride(0), out.stride(1)), *workspace);
  }

  /// Crops each photo into its part of `out` [N,C,size,size].
  void crop(const std::vector<at::Tensor>& photos, const std::vector<CropGeometry>& geometries,
            const at::Tensor& out) const {
    const auto count = static_cast<int64_t>(photos.size());
    expect_out(out, {count, photos[0].size(2), size_, size_}, photos[0]);
    if (!out.is_cpu()) return crop_on_device(photos, geometries, out);
    if (!has_whole_rows(out)) {
      const at::Tensor rows = empty(photos);
      crop(photos, geometries, rows);
      out.copy_(rows);
      return;
    }
    auto* const data = static_cast<char*>(out.mutable_data_ptr());
    const int64_t image_bytes = out.stride(0) * static_cast<int64_t>(out.element_size());
    // Below this many pixels a thread costs more than it brings.
    constexpr int64_t pixels_a_thread = int64_t{1} << 15;
    parallel_for(count, std::max<int64_t>(1, pixels_a_thread / (size_ * size_)),
                 [&](int64_t begin, int64_t end) {
                   CropWorkspaces::Lease workspace(*workspaces_);
                   for (int64_t i = begin; i < end; ++i) {
                     crop_photo(pixels_of(photos[static_cast<std::size_t>(i)]),
                                geometries[static_cast<std::size_t>(i)],
                                place_of(out, data + i * image_bytes, out.stride(1), out.stride(2)),
                                *workspace);
                   }
                 });
  }

 private:
  void expect_out(const at::Tensor& out, at::IntArrayRef shape, const at::Tensor& photo) const {
    expect_on_device(caller_, "out", out, "the image", photo.device());
    TORCH_CHECK(out.sizes() == shape, caller_, ": expected out of shape ", shape, ", got ",
                out.sizes());
    TORCH_CHECK_TYPE(out.scalar_type() == dtype_, caller_, ": expected out of dtype ", dtype_,
                     ", got ", out.scalar_type());
    TORCH_CHECK(at::has_internal_overlap(out) != at::MemOverlap::Yes, caller_,
                ": expected out with memory of its own for each element, got strides ",
                out.strides());
  }

  /// The engine writes along rows: not into a channels-last tensor.
  bool has_whole_rows(const at::Tensor& out) const { return out.stride(-1) == 1 || size_ == 1; }

  void crop_on_device(const std::vector<at::Tensor>& photos,
                      const std::vector<CropGeometry>& geometries, const at::Tensor& out) const {
    if (auto* const launcher = crop_launcher(out.device())) {
      const PixelValues* const values = normalize_ ? &*values_ : nullptr;
      if (cuda::crop_photos(*launcher, photos, geometries, values, out)) return;
    }
    for (std::size_t i = 0; i < photos.size(); ++i) {
      crop_by_operators_into(out.select(0, static_cast<int64_t>(i)), photos[i], geometries[i]);
    }
  }

  void crop_by_operators_into(const at::Tensor& out, const at::Tensor& photo,
                              const CropGeometry& geometry) const {
    const c10::DeviceGuard device_guard(out.device());
    const at::Tensor pixels = crop_by_operators(photo, geometry);
    out.copy_(normalize_ ? normalize_by_operators(pixels, mean_, std_, dtype_) : pixels);
  }

  static Photo pixels_of(const at::Tensor& photo) {
    const auto* memory = static_cast<const uint8_t*>(photo.storage().data());
    return {photo.const_data_ptr<uint8_t>(),
            photo.size(2),
            photo.stride(0),
            photo.stride(1),
            photo.stride(2),
            memory + photo.storage().nbytes()};
  }

  CropOutput place_of(const at::Tensor& out, void* data, int64_t channel_stride,
                      int64_t row_stride) const {
    const auto element = static_cast<int64_t>(out.element_size());
    return {static_cast<char*>(data),
            size_,
            channel_stride * element,
            row_stride * element,
            dtype_,
            normalize_ ? &*values_ : nullptr,
            divide_};
  }

  const char* caller_;
  int64_t size_;
  bool channels_first_;
  bool normalize_;
  at::ScalarType dtype_;
  std::vector<double> mean_;
  std::vector<double> std_;
  std::optional<PixelValues> values_;
  bool divide_ = false;
  std::shared_ptr<CropWorkspaces> workspaces_ = std::make_shared<CropWorkspaces>();
};

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
