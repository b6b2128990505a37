// SPDX-License-Identifier: Apache-2.0
// The target by LibTorch's real transforms: for large images and most of their frequencies.
#pragma once

#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/complex.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/fft_irfft2.h>
#include <ATen/ops/fft_rfft2.h>
#include <ATen/ops/hypot.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "pixmim/detail/low_freq/basis/engine.hpp"
#include "pixmim/detail/low_freq/basis/epilogue.hpp"
#include "pixmim/detail/low_freq/basis/patch_order.hpp"
#include "pixmim/detail/low_freq/half_gains.hpp"
#include "pixmim/detail/low_freq/spectral_gain.hpp"
#include "pixmim/detail/parallel.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {

/// Filters a few channels at a time, so that their spectra stay in the cache.
template <typename Scalar>
class FftEngine {
 public:
  explicit FftEngine(const SpectralGain& gain) : mean_gain_(gain.at(0, 0)) {
    const at::Tensor table = gain.to_tensor();
    real_ = real_half(table).to(scalar_type);
    if (!gain.takes_magnitude()) return;
    const at::Tensor odd = imaginary_half(table).to(scalar_type);
    // -i times the odd half: its inverse is the imaginary part.
    if (odd.any().item<bool>()) imaginary_ = at::complex(at::zeros_like(odd), odd.neg());
  }

  double mean_gain() const { return mean_gain_; }

  /// `images` [count, height, width] in any dtype -> the same in `dtype`. Channel i has epilogue
  /// i modulo their number.
  template <bool magnitude>
  at::Tensor filter(const std::vector<Epilogue>& epilogues, const at::Tensor& images,
                    c10::ScalarType dtype) const {
    const int64_t count = images.size(0);
    const int64_t pixels = images.size(1) * images.size(2);
    // As a whole there is no copy of the result.
    if (count * pixels <= few_pixels) {
      return filter_channels<magnitude>(epilogues, 0, images).to(dtype);
    }
    const int64_t chunk = std::max<int64_t>(1, cached_pixels / pixels);
    at::Tensor results = at::empty(images.sizes(), images.options().dtype(dtype));
    parallel_for((count + chunk - 1) / chunk, 1, [&](int64_t begin, int64_t end) {
      // The caller's grad mode is not that of the other threads.
      const at::AutoDispatchBelowADInplaceOrView without_autograd;
      for (int64_t i = begin * chunk; i < std::min(end * chunk, count); i += chunk) {
        const int64_t length = std::min(chunk, count - i);
        results.narrow(0, i, length)
            .copy_(filter_channels<magnitude>(epilogues, i, images.narrow(0, i, length)));
      }
    });
    return results;
  }

  /// `images` [N,C,height,width] to patches [N,L,D]; `mask` [N,L] or null.
  template <bool magnitude, typename Result>
  void patches(const std::vector<Epilogue>& epilogues, const PatchOrder& order,
               const at::Tensor& images, const bool* mask, Result* results) const {
    const int64_t height = images.size(2);
    const int64_t width = images.size(3);
    const int64_t pixels = order.channels * height * width;
    const int64_t tokens = height * width / (order.patch_size * order.patch_size);
    const int64_t lanes = BasisEngine<Scalar>::shape().lanes;
    parallel_for(images.size(0), 1, [&](int64_t begin, int64_t end) {
      const at::AutoDispatchBelowADInplaceOrView without_autograd;
      // Registers read past the end.
      const at::Tensor memory = at::empty({pixels + lanes}, scalar_type);
      const at::Tensor image = memory.narrow(0, 0, pixels).view(images.sizes().slice(1));
      const at::Tensor patch = at::empty({pixels / tokens + 4 * lanes}, scalar_type);
      for (int64_t i = begin; i < end; ++i) {
        image.copy_(filter<magnitude>(epilogues, images.select(0, i), scalar_type));
        PIXMIM_DISPATCH(store_patches(order, image.const_data_ptr<Scalar>(), width, height, width,
                                      int64_t{0}, width,
                                      mask == nullptr ? nullptr : mask + i * tokens,
                                      patch.mutable_data_ptr<Scalar>(), results + i * pixels));
      }
    });
  }

 private:
  static constexpr c10::ScalarType scalar_type = c10::CppTypeToScalarType<Scalar>::value;
  // Of a whole batch whose temporaries do no harm, and of a chunk.
  static constexpr int64_t few_pixels = 1 << 22;
  static constexpr int64_t cached_pixels = 1 << 17;

  /// `channels` [count, height, width], the first of them number `first` of the batch.
  template <bool magnitude>
  at::Tensor filter_channels(const std::vector<Epilogue>& epilogues, int64_t first,
                             const at::Tensor& channels) const {
    at::Tensor samples = channels.to(scalar_type);
    if (channels.scalar_type() == at::kByte) samples.sub_(uint8_centre);
    const at::IntArrayRef size = channels.sizes().slice(1);
    const at::Tensor spectrum = at::fft_rfft2(samples);
    at::Tensor imaginary;
    if (imaginary_.defined()) imaginary = at::fft_irfft2(spectrum.mul(imaginary_), size);
    at::Tensor result = at::fft_irfft2(spectrum.mul_(real_), size);
    for (int64_t i = 0; i < channels.size(0); ++i) {
      const auto& epilogue = epilogues[static_cast<std::size_t>(first + i) % epilogues.size()];
      at::Tensor channel = result.select(0, i);
      if (epilogue.scale != 1) channel.mul_(epilogue.scale);
      if (epilogue.shift != 0) channel.add_(epilogue.shift);
      if constexpr (magnitude) {
        if (imaginary.defined()) {
          at::hypot_out(channel, channel, imaginary.select(0, i).mul_(epilogue.scale));
        } else {
          channel.abs_();
        }
        if (epilogue.magnitude_shift != 0) channel.add_(epilogue.magnitude_shift);
      }
    }
    return result;
  }

  double mean_gain_;
  at::Tensor real_;
  at::Tensor imaginary_;
};

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
