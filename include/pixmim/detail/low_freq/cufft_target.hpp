// SPDX-License-Identifier: Apache-2.0
// The target by a library's transforms, of which only those are made that the filter keeps. Its kernels:
// detail/cuda/kernels/spectrum.cuh.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "pixmim/detail/cuda/element_name.hpp"
#include "pixmim/detail/cuda/fourier_transforms.hpp"
#include "pixmim/detail/cuda/launcher.hpp"
#include "pixmim/detail/low_freq/channel_statistics.hpp"
#include "pixmim/detail/low_freq/epilogue_table.hpp"
#include "pixmim/detail/low_freq/half_gains.hpp"
#include "pixmim/detail/low_freq/spectral_gain.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {

/// For one size and filter on one device: rows become half spectra, which are written column by column; the
/// columns that are kept lie together, and are transformed, filtered and transformed back where they are.
/// Computes in `dtype`: float for 16-bit and float32 images and bytes, double for float64.
class CufftTarget {
 public:
  static constexpr const char* name = "cufft";

  /// Whether there is something to transform in both axes, and pixels can be counted.
  static bool serves(const SpectralGain& gain) {
    constexpr int64_t largest_side = 1 << 15;
    return std::min(gain.height(), gain.width()) > 1 &&
           std::max(gain.height(), gain.width()) <= largest_side;
  }

  /// Spectra are larger than images: a batch goes through in parts whose spectra have at most so many bytes.
  static constexpr int64_t most_spectrum_bytes = int64_t{1} << 28;

  CufftTarget(const SpectralGain& gain, const ChannelStatistics& statistics, c10::ScalarType dtype,
              c10::Device device, cuda::Launcher& launcher, cuda::FourierTransforms& transforms,
              int64_t spectrum_bytes = most_spectrum_bytes)
      : height_(gain.height()),
        width_(gain.width()),
        columns_(gain.width() / 2 + 1),
        magnitude_(gain.takes_magnitude()),
        dtype_(dtype),
        launcher_(&launcher),
        transforms_(&transforms) {
    // Even, so that a part begins where a complex number could.
    const int64_t channel_bytes =
        2 * columns_ * height_ * static_cast<int64_t>(c10::elementSize(dtype));
    channels_at_once_ = std::max<int64_t>(spectrum_bytes / channel_bytes / 2 * 2, 2);
    kept_ = gain.reach(negligible_gain(dtype)).second + 1;
    const at::Tensor table = gain.to_tensor();
    // Transforms there and back multiply by the number of pixels.
    const auto stored = [&](const at::Tensor& half) {
      return half.narrow(1, 0, kept_)
          .t()
          .div(static_cast<double>(height_ * width_))
          .to(dtype)
          .contiguous()
          .to(device);
    };
    even_ = stored(real_half(table));
    if (magnitude_) {
      const at::Tensor odd = imaginary_half(table);
      if (odd.any().item<bool>()) odd_ = stored(odd);
    }
    const auto epilogues = [&](bool bytes) {
      return epilogue_table(statistics, bytes, magnitude_, gain.at(0, 0)).to(dtype).to(device);
    };
    of_pixels_ = epilogues(false);
    of_bytes_ = epilogues(true);
  }

  /// Makes plans and compiles kernels for `images` of this shape and dtype.
  void prepare(const at::Tensor& images) const {
    const int64_t channels = images.size(0) * images.size(1);
    for (int64_t first = 0; first < channels; first += channels_at_once_) {
      const Transforms plans = transforms(std::min(channels - first, channels_at_once_));
      for (const auto& plan : {plans.rows, plans.columns, plans.rows_back}) {
        transforms_->prepare(plan);
      }
    }
    for (const int64_t pack : {int64_t{1}, largest_pack(images.scalar_type())}) {
      if (images.scalar_type() != dtype_) {
        launcher_->prepare(reading_kernel(images.scalar_type(), pack));
      }
      if (has_epilogue(images.scalar_type())) {
        launcher_->prepare(
            finishing_kernel(dtype_, result_dtype(images.scalar_type()), magnitude_, pack));
      }
    }
    launcher_->prepare(gains_kernel(dtype_, odd_.defined()));
  }

  /// `images` [N,C,H,W], contiguous and not empty.
  at::Tensor filter(const at::Tensor& images) const {
    at::Tensor target =
        at::empty(images.sizes(), images.options().dtype(result_dtype(images.scalar_type())));
    const at::Tensor channels = images.view({-1, height_, width_});
    const at::Tensor results = target.view({-1, height_, width_});
    for (int64_t first = 0; first < channels.size(0); first += channels_at_once_) {
      const int64_t count = std::min(channels.size(0) - first, channels_at_once_);
      filter_channels(channels.narrow(0, first, count), results.narrow(0, first, count), first);
    }
    return target;
  }

  /// All specialisations that there are.
  static std::vector<cuda::Kernel> kernels() {
    std::vector<cuda::Kernel> all;
    for (const auto dtype : {at::kFloat, at::kDouble}) {
      for (const bool has_odd : {false, true}) all.push_back(gains_kernel(dtype, has_odd));
    }
    for (const int64_t pack : {int64_t{1}, largest_pack(at::kFloat)}) {
      for (const auto images : {at::kByte, at::kHalf, at::kBFloat16}) {
        all.push_back(reading_kernel(images, pack));
      }
      for (const auto target : {at::kFloat, at::kHalf, at::kBFloat16}) {
        for (const bool magnitude : {false, true}) {
          all.push_back(finishing_kernel(at::kFloat, target, magnitude, pack));
        }
      }
    }
    for (const int64_t pack : {int64_t{1}, largest_pack(at::kDouble)}) {
      all.push_back(finishing_kernel(at::kDouble, at::kDouble, true, pack));
    }
    return all;
  }

  template <typename Visit>
  void each_table(const Visit& visit) const {
    for (const at::Tensor& table : {even_, odd_, of_pixels_, of_bytes_}) visit(table);
  }

 private:
  static constexpr int threads = 256;
  // The most that a multiprocessor holds at once.
  static constexpr int64_t blocks_a_multiprocessor = 8;

  struct Transforms {
    cuda::FourierTransform rows;
    cuda::FourierTransform columns;
    cuda::FourierTransform rows_back;
  };

  /// Spectra are [columns, channels, height].
  Transforms transforms(int64_t channels) const {
    using Kind = cuda::FourierTransform::Kind;
    const int64_t rows = channels * height_;
    return {{Kind::RealToComplex, dtype_, width_, rows, {1, width_}, {rows, 1}},
            {Kind::ComplexToComplex, dtype_, height_, kept_ * channels, {1, height_}, {1, height_}},
            {Kind::ComplexToReal, dtype_, width_, rows, {rows, 1}, {1, width_}}};
  }

  c10::ScalarType result_dtype(c10::ScalarType images) const {
    return images == at::kByte ? at::kFloat : images;
  }
  bool has_epilogue(c10::ScalarType images) const { return magnitude_ || images != dtype_; }

  /// `first`: which channel of its image comes first.
  void filter_channels(const at::Tensor& images, const at::Tensor& target, int64_t first) const {
    using cuda::Argument;
    const int64_t channels = images.size(0);
    const auto dtype = images.scalar_type();
    const at::Tensor& epilogues = dtype == at::kByte ? of_bytes_ : of_pixels_;
    const auto empty = [&](at::IntArrayRef sizes) {
      return at::empty(sizes, images.options().dtype(dtype_));
    };

    const at::Tensor filtered = target.scalar_type() == dtype_ ? target : empty(images.sizes());
    at::Tensor samples = images;
    if (dtype != dtype_) {
      read_samples(images, filtered);
      samples = filtered;
    } else if (!begins_at(images, 2)) {
      samples = images.clone();
    }

    const Transforms plans = transforms(channels);
    const at::Tensor spectrum = empty({columns_, channels, height_, 2});
    transforms_->run(plans.rows, samples, spectrum, false);
    transforms_->run(plans.columns, spectrum, spectrum, false);
    const at::Tensor odd_part = odd_.defined() ? empty(spectrum.sizes()) : at::Tensor();
    launcher_->launch(
        gains_kernel(dtype_, odd_.defined()), {blocks(columns_ * channels), threads},
        {Argument::updates(spectrum), Argument::writes(odd_part), Argument::reads(even_),
         Argument::reads(odd_), Argument::reads(epilogues), number(epilogues.size(0)),
         number(first), number(channels), number(columns_), number(kept_), number(height_)});
    const auto back = [&](const at::Tensor& part, const at::Tensor& to) {
      transforms_->run(plans.columns, part, part, true);
      transforms_->run(plans.rows_back, part, to, true);
    };
    back(spectrum, filtered);
    at::Tensor imaginary;
    if (odd_part.defined()) {
      imaginary = empty(images.sizes());
      back(odd_part, imaginary);
    }
    if (has_epilogue(dtype)) finish(filtered, imaginary, target, epilogues, first);
  }

  /// `pixels` to `samples`.
  void read_samples(const at::Tensor& pixels, const at::Tensor& samples) const {
    using cuda::Argument;
    const int64_t pack = pack_of({pixels, samples}, pixels.numel());
    const int64_t packs = pixels.numel() / pack;
    launcher_->launch(reading_kernel(pixels.scalar_type(), pack),
                      {blocks((packs + threads - 1) / threads), threads},
                      {Argument::reads(pixels), Argument::writes(samples),
                       Argument::value(static_cast<long long>(packs))});
  }

  void finish(const at::Tensor& filtered, const at::Tensor& imaginary, const at::Tensor& target,
              const at::Tensor& epilogues, int64_t first) const {
    using cuda::Argument;
    const bool in_place = target.scalar_type() == dtype_;
    const int64_t pack = pack_of({filtered, target}, height_ * width_);
    const int64_t packs = height_ * width_ / pack;
    constexpr int64_t packs_a_piece = 8 * threads;
    const int64_t pieces = (packs + packs_a_piece - 1) / packs_a_piece;
    launcher_->launch(
        finishing_kernel(dtype_, target.scalar_type(), magnitude_, pack),
        {blocks(target.size(0) * pieces), threads},
        {Argument::reads(in_place ? at::Tensor() : filtered), Argument::reads(imaginary),
         in_place ? Argument::updates(target) : Argument::writes(target),
         Argument::reads(epilogues), number(epilogues.size(0)), number(first),
         number(target.size(0)), number(packs), number(packs_a_piece)});
  }

  int64_t blocks(int64_t units) const {
    return std::min(units, blocks_a_multiprocessor * launcher_->multiprocessors());
  }

  static cuda::Argument number(int64_t value) {
    return cuda::Argument::value(static_cast<int>(value));
  }

  static bool begins_at(const at::Tensor& memory, int64_t elements) {
    const auto address = reinterpret_cast<std::uintptr_t>(memory.const_data_ptr());
    return address % static_cast<std::uintptr_t>(elements * memory.element_size()) == 0;
  }
  /// Numbers of `dtype_` that are read at once, at most 16 bytes.
  static int64_t largest_pack(c10::ScalarType images) { return images == at::kDouble ? 2 : 4; }
  static int64_t pack_of(at::ArrayRef<at::Tensor> memories, int64_t row) {
    const int64_t pack = largest_pack(memories[0].scalar_type());
    const bool fits = row % pack == 0 &&
                      std::all_of(memories.begin(), memories.end(), [&](const at::Tensor& memory) {
                        return begins_at(memory, pack);
                      });
    return fits ? pack : 1;
  }

  static std::string element(c10::ScalarType dtype) { return cuda::element_name(dtype); }
  static cuda::Kernel kernel(const std::string& specialisation) {
    cuda::Kernel kernel;
    kernel.file = "spectrum.cuh";
    kernel.name = specialisation;
    return kernel;
  }
  static cuda::Kernel reading_kernel(c10::ScalarType pixels, int64_t pack) {
    return kernel("read_samples<" + element(pixels) + ", " + std::to_string(pack) + ">");
  }
  static cuda::Kernel gains_kernel(c10::ScalarType dtype, bool has_odd) {
    return kernel("apply_gains<" + element(dtype) + ", " + flag(has_odd) + ">");
  }
  static cuda::Kernel finishing_kernel(c10::ScalarType dtype, c10::ScalarType target,
                                       bool magnitude, int64_t pack) {
    return kernel("finish_target<" + element(dtype) + ", " + element(target) + ", " +
                  flag(magnitude) + ", " + std::to_string(pack) + ">");
  }
  static std::string flag(bool is_set) { return is_set ? "true" : "false"; }

  int64_t height_;
  int64_t width_;
  int64_t columns_;
  int64_t kept_;
  int64_t channels_at_once_;
  bool magnitude_;
  c10::ScalarType dtype_;
  cuda::Launcher* launcher_;
  cuda::FourierTransforms* transforms_;
  // [kept, height], over the number of pixels.
  at::Tensor even_;
  at::Tensor odd_;
  // [channels, 3]: constant, scale, shift.
  at::Tensor of_pixels_;
  at::Tensor of_bytes_;
};

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
