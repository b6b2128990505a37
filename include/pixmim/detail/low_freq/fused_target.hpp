// SPDX-License-Identifier: Apache-2.0
// The target by one kernel (detail/cuda/kernels/low_pass.cuh): its tables, and its launch.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>
#include <c10/util/SmallVector.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>

#include "pixmim/detail/cuda/element_name.hpp"
#include "pixmim/detail/cuda/kernels/low_pass_shape.cuh"
#include "pixmim/detail/cuda/launcher.hpp"
#include "pixmim/detail/low_freq/basis/folded_axis.hpp"
#include "pixmim/detail/low_freq/channel_statistics.hpp"
#include "pixmim/detail/low_freq/epilogue_table.hpp"
#include "pixmim/detail/low_freq/spectral_gain.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {

/// For one size and filter on one device. Computes in half precision for 16-bit images, in sums of two
/// half-precision numbers for others.
class FusedTarget {
 public:
  static constexpr const char* name = "fused";

  /// Whether the kernel takes such images: sides are multiples of 32, few frequencies are kept, the filter
  /// is even in y and in x or its magnitude is taken.
  static bool serves(const SpectralGain& gain, c10::ScalarType dtype,
                     const cuda::Launcher& launcher) {
    if (dtype == at::kDouble) return false;
    if (gain.height() % 32 != 0 || gain.width() % 32 != 0 || gain.height() > largest_side) {
      return false;
    }
    const int waves = waves_within(reach_of(gain));
    if (waves > most_waves) return false;
    if (!gain.takes_magnitude() && !is_even_in_each_axis(gain)) return false;
    return static_cast<std::size_t>(shape_of(gain, waves, is_exact(dtype)).shared_bytes) <=
           launcher.shared_bytes_per_block();
  }

  FusedTarget(const SpectralGain& gain, const ChannelStatistics& statistics, c10::Device device,
              cuda::Launcher& launcher)
      : height_(gain.height()),
        width_(gain.width()),
        reach_(reach_of(gain)),
        waves_(waves_within(reach_)),
        magnitude_(gain.takes_magnitude()),
        launcher_(&launcher) {
    basis_y_ = basis(height_).to(device);
    basis_x_ = height_ == width_ ? basis_y_ : basis(width_).to(device);
    // Half precision reaches to 65504: no coefficient grows by its gain.
    int exponent = 0;
    std::frexp(std::max(gain.largest(), std::abs(gain.at(0, 0))), &exponent);
    const double gain_scale = std::ldexp(1.0, exponent);
    gains_ = gains(gain, 1 / gain_scale).to(device);
    of_pixels_ = epilogues(statistics, false, gain.at(0, 0), gain_scale).to(device);
    of_bytes_ = epilogues(statistics, true, gain.at(0, 0), gain_scale).to(device);
  }

  /// Compiles what filter() launches for images of `dtype`.
  void prepare(c10::ScalarType dtype) const { launcher_->prepare(kernel(dtype)); }
  /// Compiles what patches() launches.
  void prepare(c10::ScalarType dtype, int64_t patch_size, bool norm_pix) const {
    launcher_->prepare(patch_kernel(dtype, patch_size, norm_pix));
    if (norm_pix) launcher_->prepare(normalization_kernel(dtype));
  }

  /// `images` [N,C,H,W], contiguous and not empty.
  at::Tensor filter(const at::Tensor& images) const {
    const auto dtype = images.scalar_type();
    const at::Tensor target = at::empty(images.sizes(), images.options().dtype(target_of(dtype)));
    launch(kernel(dtype), images, target, {});
    return target;
  }

  /// The same in patches [N,L,p*p*C], zero where `masked` [N,L] (contiguous bool, or undefined) is
  /// false. Normalised ones are computed as those of float32 images are: to divide by a small deviation
  /// magnifies errors.
  at::Tensor patches(const at::Tensor& images, int64_t patch_size, bool norm_pix,
                     const at::Tensor& masked) const {
    using cuda::Argument;
    const auto dtype = images.scalar_type();
    const int64_t channels = images.size(1);
    const int64_t tokens = height_ / patch_size * (width_ / patch_size);
    const int64_t pixels = patch_size * patch_size * channels;
    const auto empty = [&](c10::ScalarType of) {
      return at::empty({images.size(0), tokens, pixels}, images.options().dtype(of));
    };
    const at::Tensor target = empty(target_of(dtype));
    const bool in_place = !norm_pix || target.scalar_type() == at::kFloat;
    const at::Tensor filtered = in_place ? target : empty(at::kFloat);
    const Argument mask = Argument::reads(masked);
    const Argument has_mask = Argument::value(masked.defined() ? 1 : 0);
    launch(patch_kernel(dtype, patch_size, norm_pix), images, filtered,
           {Argument::value(static_cast<int>(channels)), mask, has_mask});
    if (!norm_pix) return target;
    const int64_t count = images.size(0) * tokens;
    launcher_->launch(
        normalization_kernel(dtype),
        {(count + normalized_by_block - 1) / normalized_by_block, 32 * normalized_by_block},
        {Argument::reads(filtered), in_place ? Argument::updates(target) : Argument::writes(target),
         Argument::value(static_cast<long long>(count)), Argument::value(static_cast<int>(pixels)),
         mask, has_mask});
    return target;
  }

  template <typename Visit>
  void each_table(const Visit& visit) const {
    for (const at::Tensor& table : {basis_y_, basis_x_, gains_, of_pixels_, of_bytes_}) {
      visit(table);
    }
  }

 private:
  // Of threads, and of registers.
  static constexpr int64_t largest_side = 1024;
  static constexpr int most_waves = 64;
  /// A warp a patch.
  static constexpr int normalized_by_block = 8;

  static bool is_exact(c10::ScalarType dtype) { return dtype == at::kFloat || dtype == at::kByte; }
  static std::string element(c10::ScalarType dtype) { return cuda::element_name(dtype); }

  static c10::ScalarType target_of(c10::ScalarType images) {
    return images == at::kByte ? at::kFloat : images;
  }

  /// The specialisations for images of `dtype`.
  cuda::Kernel kernel(c10::ScalarType dtype) const {
    return low_pass("low_pass", dtype, target_of(dtype), is_exact(dtype), "");
  }
  cuda::Kernel patch_kernel(c10::ScalarType dtype, int64_t patch_size, bool norm_pix) const {
    return low_pass("low_pass_patches", dtype, norm_pix ? at::kFloat : target_of(dtype),
                    norm_pix || is_exact(dtype), ", " + std::to_string(patch_size));
  }
  cuda::Kernel low_pass(const std::string& name, c10::ScalarType input, c10::ScalarType output,
                        bool exact, const std::string& more) const {
    cuda::Kernel kernel;
    kernel.file = "low_pass.cuh";
    kernel.name = name + "<" + std::to_string(height_) + ", " + std::to_string(width_) + ", " +
                  std::to_string(waves_) + ", " + element(input) + ", " + element(output) + ", " +
                  (exact ? "true" : "false") + ", " + (magnitude_ ? "true" : "false") + more + ">";
    kernel.shared_bytes = static_cast<std::size_t>(shape(exact).shared_bytes);
    return kernel;
  }
  static cuda::Kernel normalization_kernel(c10::ScalarType images) {
    cuda::Kernel kernel;
    kernel.file = "normalize_patches.cuh";
    kernel.name = "normalize_patches<" + element(target_of(images)) + ">";
    return kernel;
  }

  /// Of a kernel of low_pass.cuh; `more` are its last arguments.
  void launch(const cuda::Kernel& kernel, const at::Tensor& images, const at::Tensor& target,
              std::initializer_list<cuda::Argument> more) const {
    using cuda::Argument;
    const at::Tensor pixels = is_aligned(images) ? images : images.clone();
    const at::Tensor& epilogues = images.scalar_type() == at::kByte ? of_bytes_ : of_pixels_;
    const int64_t channels = images.size(0) * images.size(1);
    c10::SmallVector<Argument, 11> arguments = {
        Argument::reads(pixels),
        Argument::writes(target),
        Argument::value(static_cast<long long>(channels)),
        Argument::reads(basis_y_),
        Argument::reads(basis_x_),
        Argument::reads(gains_),
        Argument::reads(epilogues),
        Argument::value(static_cast<int>(epilogues.size(0)))};
    arguments.append(more.begin(), more.end());
    launcher_->launch(
        kernel, {std::min(channels, launcher_->multiprocessors()), shape(true).threads}, arguments);
  }

  /// The highest frequencies that are kept, in y and in x.
  using Reach = std::pair<int64_t, int64_t>;
  static Reach reach_of(const SpectralGain& gain) {
    return gain.reach(negligible_gain(at::kFloat));
  }
  static int waves_within(const Reach& reach) {
    return static_cast<int>(std::max(reach.first, reach.second) / 16 + 1) * 16;
  }
  static kernels::LowPassShape shape_of(const SpectralGain& gain, int waves, bool exact) {
    return {static_cast<int>(gain.height()), static_cast<int>(gain.width()), waves, exact,
            gain.takes_magnitude()};
  }
  kernels::LowPassShape shape(bool exact) const {
    return {static_cast<int>(height_), static_cast<int>(width_), waves_, exact, magnitude_};
  }

  static bool is_even_in_each_axis(const SpectralGain& gain) {
    for (int64_t y = 0; y <= gain.height() / 2; ++y) {
      for (int64_t x = 0; x <= gain.width() / 2; ++x) {
        if (gain.waves(y, x).both_swapped != 0) return false;
      }
    }
    return true;
  }

  /// Four pixels are read at once.
  static bool is_aligned(const at::Tensor& images) {
    const auto address = reinterpret_cast<std::uintptr_t>(images.const_data_ptr());
    return address % (4 * static_cast<std::uintptr_t>(images.element_size())) == 0;
  }

  /// Orthonormal cosines, then sines, of half an axis: [2 (high, low), 2 * waves, stride] in the places of
  /// the kernel.
  at::Tensor basis(int64_t size) const {
    const int64_t highest = std::min(std::max(reach_.first, reach_.second), size / 2);
    const int64_t stride = size == height_ ? shape(true).stride_y : shape(true).stride_x;
    const BasisFunctions wave(size);
    const at::Tensor exact = at::zeros({2 * waves_, stride}, at::kDouble);
    auto* const numbers = exact.mutable_data_ptr<double>();
    for (int64_t k = 0; k < 2 * waves_; ++k) {
      const bool sine = k >= waves_;
      const int64_t frequency = k % waves_;
      if (frequency > highest) continue;
      const double norm = std::sqrt((frequency == 0 || 2 * frequency == size ? 1.0 : 2.0) /
                                    static_cast<double>(size));
      for (int64_t place = 0; place < size / 2; ++place) {
        const int64_t in_group = place % 16;
        const int64_t sample =
            place - in_group + in_group % 8 / 2 * 4 + in_group / 8 * 2 + in_group % 2;
        numbers[k * stride + place] = norm * wave(sine, frequency, sample);
      }
    }
    const at::Tensor high = exact.to(at::kHalf);
    return at::cat({high, exact.sub(high.to(at::kDouble)).to(at::kHalf)})
        .view({2, 2 * waves_, stride});
  }

  /// float32 [2 * waves, 2 * waves], or the four WaveGains of each.
  at::Tensor gains(const SpectralGain& gain, double scale) const {
    const auto [highest_y, highest_x] = reach_;
    const int64_t numbers = magnitude_ ? 4 : 1;
    const at::Tensor table = at::zeros({2 * waves_, 2 * waves_, numbers}, at::kFloat);
    auto* const values = table.mutable_data_ptr<float>();
    for (int64_t row = 0; row < 2 * waves_; ++row) {
      const int64_t y = row % waves_;
      if (y > highest_y) continue;
      for (int64_t column = 0; column < 2 * waves_; ++column) {
        const int64_t x = column % waves_;
        if (x > highest_x) continue;
        const WaveGains waves = gain.waves(y, x).of(row >= waves_, column >= waves_);
        auto* const value = values + (row * 2 * waves_ + column) * numbers;
        value[0] = static_cast<float>(scale * waves.same);
        if (!magnitude_) continue;
        value[1] = static_cast<float>(scale * waves.both_swapped);
        value[2] = static_cast<float>(scale * waves.rows_swapped);
        value[3] = static_cast<float>(scale * waves.columns_swapped);
      }
    }
    return table;
  }

  /// Of gains that are divided by `gain_scale`: float32 [channels, 3].
  at::Tensor epilogues(const ChannelStatistics& statistics, bool bytes, double mean_gain,
                       double gain_scale) const {
    const at::Tensor table = epilogue_table(statistics, bytes, magnitude_, mean_gain);
    table.select(1, 0).div_(gain_scale);
    table.select(1, 1).mul_(gain_scale);
    return table.to(at::kFloat);
  }

  int64_t height_;
  int64_t width_;
  Reach reach_;
  int waves_;
  bool magnitude_;
  cuda::Launcher* launcher_;
  at::Tensor basis_y_;
  at::Tensor basis_x_;
  at::Tensor gains_;
  at::Tensor of_pixels_;
  at::Tensor of_bytes_;
};

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
