// SPDX-License-Identifier: Apache-2.0
// The target on devices other than the CPU, for one size and filter: the engine and its tables.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/addcmul.h>
#include <ATen/ops/hypot.h>
#include <ATen/ops/tensor.h>
#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "pixmim/detail/cuda/default_engines.hpp"
#include "pixmim/detail/cuda/launcher_of.hpp"
#include "pixmim/detail/cuda/transforms_of.hpp"
#include "pixmim/detail/low_freq/basis/epilogue.hpp"
#include "pixmim/detail/low_freq/channel_statistics.hpp"
#include "pixmim/detail/low_freq/cufft_target.hpp"
#include "pixmim/detail/low_freq/epilogue_table.hpp"
#include "pixmim/detail/low_freq/filtered_parts.hpp"
#include "pixmim/detail/low_freq/fused_target.hpp"
#include "pixmim/detail/low_freq/product_operators.hpp"
#include "pixmim/detail/low_freq/spectral_gain.hpp"
#include "pixmim/detail/low_freq/transform_operators.hpp"
#include "pixmim/detail/patch_operators.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {

/// Whether products are the faster of the two, by arithmetic: no GPU has been asked. A device is taken
/// to do 10 operations in the time in which it moves a byte (about an H100, an H200, an A100 in single
/// precision; cards without high-bandwidth memory do more, which speaks for products).
inline bool products_are_faster(const SpectralGain& gain, c10::ScalarType dtype) {
  // In double precision most cards compute slowly, and transforms compute little.
  if (dtype == at::kDouble) return false;
  constexpr double operations_a_byte = 10;
  const auto [highest_y, highest_x] = gain.reach(negligible_gain(dtype));
  const auto waves_y = static_cast<double>(2 * (highest_y + 1));
  const auto waves_x = static_cast<double>(2 * (highest_x + 1));
  const auto height = static_cast<double>(gain.height());
  const auto width = static_cast<double>(gain.width());
  const double parts = gain.takes_magnitude() ? 2 : 1;
  const double operations =
      (1 + parts) * 2 * (height * width * waves_x + waves_y * height * waves_x);
  const double product_bytes =
      4 * (height * width * (1 + parts) + (1 + parts) * 2 * height * waves_x);
  // A real transform reads an image, writes half a spectrum, and goes over that once more; the inverse
  // likewise, after a copy of the spectrum and its product with the gains.
  const double transform_bytes = 4 * height * width * (4 + 10 * parts);
  return product_bytes + operations / operations_a_byte < transform_bytes;
}

/// Images [N,C,H,W] in patches [N,L,p*p*C], zero where `masked` [N,L] is false.
inline at::Tensor patches_of_target(const at::Tensor& images, int64_t patch_size, bool norm_pix,
                                    const at::Tensor& masked) {
  at::Tensor patches = cut_into_patches(images, patch_size);
  if (norm_pix) patches = normalize_each_patch(patches).to(images.scalar_type());
  if (masked.defined()) patches = patches.masked_fill(masked.logical_not().unsqueeze(2), 0);
  return patches;
}

/// Computes in `dtype`: float for 16-bit and float32 images and bytes, double for float64.
template <bool magnitude>
class DeviceTarget {
 public:
  /// The engine that detail/cuda/default_engines.hpp chooses, or operators where it does not serve.
  DeviceTarget(const SpectralGain& gain, const ChannelStatistics& statistics, c10::ScalarType dtype,
               c10::Device device)
      : DeviceTarget(gain, statistics, dtype, device, products_are_faster(gain, dtype)) {
    if (!device.is_cuda()) return;
    const auto engine = cuda::engine_on_cuda(cuda::Component::Target);
    if (engine == cuda::Engine::Operators) return;
    auto* const launcher = cuda::launcher_of(device);
    if (launcher == nullptr) return;
    if (engine == cuda::Engine::Fused) {
      use_kernels(gain, statistics, *launcher);
    } else if (auto* const transforms = cuda::transforms_of(device)) {
      use_transforms(gain, statistics, *launcher, *transforms);
    }
  }

  DeviceTarget(const SpectralGain& gain, const ChannelStatistics& statistics, c10::ScalarType dtype,
               c10::Device device, bool by_products)
      : dtype_(dtype),
        device_(device),
        operators_(by_products ? Operators(ProductOperators(gain, dtype, device))
                               : Operators(TransformOperators(gain, dtype, device))),
        of_pixels_(statistics, false, gain.at(0, 0), dtype, device),
        of_bytes_(statistics, true, gain.at(0, 0), dtype, device) {}

  /// Takes the fused kernel for the images that it serves.
  void use_kernels(const SpectralGain& gain, const ChannelStatistics& statistics,
                   cuda::Launcher& launcher) {
    for (const auto dtype : {at::kFloat, at::kByte, at::kHalf, at::kBFloat16}) {
      if (dtype_ == at::kFloat && FusedTarget::serves(gain, dtype, launcher)) {
        fused_dtypes_.push_back(dtype);
      }
    }
    if (!fused_dtypes_.empty()) fused_.emplace(gain, statistics, device_, launcher);
  }

  /// Takes cuFFT where it serves.
  void use_transforms(const SpectralGain& gain, const ChannelStatistics& statistics,
                      cuda::Launcher& launcher, cuda::FourierTransforms& transforms) {
    if (!CufftTarget::serves(gain)) return;
    cufft_.emplace(gain, statistics, dtype_, device_, launcher, transforms);
  }

  const char* engine(c10::ScalarType images) const {
    if (is_fused(images)) return FusedTarget::name;
    if (cufft_.has_value()) return CufftTarget::name;
    return std::visit([](const auto& operators) { return operators.name; }, operators_);
  }

  /// Makes what `filter` launches for images of this shape and dtype.
  void prepare(const at::Tensor& images) const {
    if (is_fused(images.scalar_type())) {
      fused_->prepare(images.scalar_type());
    } else if (cufft_.has_value()) {
      cufft_->prepare(images);
    } else if (images.numel() > 0) {
      filter(images, at::kFloat);  // LibTorch makes its own plans and handles when they are needed
    }
  }
  /// Makes what `patches` launches.
  void prepare(const at::Tensor& images, int64_t patch_size, bool norm_pix) const {
    const auto dtype = images.scalar_type();
    if (!patches_are_fused(dtype, norm_pix)) return prepare(images);
    fused_->prepare(dtype, patch_size, norm_pix);
  }

  /// `images` [N,C,H,W]; the result is of `result_dtype`.
  at::Tensor filter(const at::Tensor& images, c10::ScalarType result_dtype) const {
    record_current_stream();
    if (is_fused(images.scalar_type())) return fused_->filter(images.contiguous().resolve_neg());
    if (cufft_.has_value()) return cufft_->filter(images.contiguous().resolve_neg());
    const bool bytes = images.scalar_type() == at::kByte;
    const EpilogueTables& epilogue = bytes ? of_bytes_ : of_pixels_;
    at::Tensor samples = images.to(dtype_);
    if (bytes) samples.sub_(uint8_centre);
    FilteredParts parts = std::visit(
        [&](const auto& operators) { return operators(samples, epilogue.constant); }, operators_);
    at::Tensor target = parts.real;
    if constexpr (magnitude) {
      if (parts.imaginary.defined()) {
        at::hypot_out(target, target, parts.imaginary);
      } else {
        target.abs_();
      }
    }
    if (epilogue.scale.defined()) at::addcmul_out(target, epilogue.shift, target, epilogue.scale);
    return target.to(result_dtype).contiguous();
  }

  /// The same in patches [N,L,p*p*C]; `masked` [N,L] contiguous bool, or undefined.
  at::Tensor patches(const at::Tensor& images, c10::ScalarType result_dtype, int64_t patch_size,
                     bool norm_pix, const at::Tensor& masked) const {
    if (!patches_are_fused(images.scalar_type(), norm_pix)) {
      return patches_of_target(filter(images, result_dtype), patch_size, norm_pix, masked);
    }
    record_current_stream();
    return fused_->patches(images.contiguous().resolve_neg(), patch_size, norm_pix, masked);
  }

 private:
  using Operators = std::variant<TransformOperators, ProductOperators>;

  bool is_fused(c10::ScalarType images) const {
    return std::find(fused_dtypes_.begin(), fused_dtypes_.end(), images) != fused_dtypes_.end();
  }
  /// Normalised patches are computed in single precision.
  bool patches_are_fused(c10::ScalarType images, bool norm_pix) const {
    return is_fused(images) && (!norm_pix || is_fused(at::kFloat));
  }

  /// scale * |filtered + constant| + shift, [C,1,1] or [1,1,1]; undefined where nothing is to be done.
  struct EpilogueTables {
    EpilogueTables(const ChannelStatistics& statistics, bool bytes, double mean_gain,
                   c10::ScalarType dtype, c10::Device device) {
      if (!bytes && !(magnitude && !statistics.mean.empty())) return;
      const at::Tensor table = epilogue_table(statistics, bytes, magnitude, mean_gain);
      const auto column = [&](int64_t which) {
        return table.select(1, which).reshape({-1, 1, 1}).to(dtype).to(device);
      };
      constant = column(0);
      scale = column(1);
      shift = column(2);
    }

    at::Tensor constant;
    at::Tensor scale;
    at::Tensor shift;
  };

  /// Tells the caching allocator that the current stream reads the tables too: another stream may
  /// have made them, and the cache may drop them while this one still works.
  void record_current_stream() const {
    if (!device_.is_cuda()) return;
    const auto stream = c10::impl::VirtualGuardImpl(device_.type()).getStream(device_);
    const auto record = [&](const at::Tensor& table) {
      if (table.defined()) table.record_stream(stream);
    };
    std::visit([&](const auto& operators) { operators.each_table(record); }, operators_);
    if (fused_.has_value()) fused_->each_table(record);
    if (cufft_.has_value()) cufft_->each_table(record);
    for (const EpilogueTables* tables : {&of_pixels_, &of_bytes_}) {
      for (const at::Tensor& table : {tables->constant, tables->scale, tables->shift})
        record(table);
    }
  }

  c10::ScalarType dtype_;
  c10::Device device_;
  Operators operators_;
  EpilogueTables of_pixels_;
  EpilogueTables of_bytes_;
  std::optional<FusedTarget> fused_;
  std::vector<c10::ScalarType> fused_dtypes_;
  std::optional<CufftTarget> cufft_;
};

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
