// SPDX-License-Identifier: Apache-2.0
// The target by LibTorch's matrix products with a trigonometric basis: two for the coefficients that the
// filter keeps, two back. Nothing in it asks for a device, so tests on the CPU run every line.
#pragma once

#include <ATen/Context.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/matmul.h>
#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

#include <cstdint>

#include "pixmim/detail/low_freq/basis/folded_axis.hpp"
#include "pixmim/detail/low_freq/filtered_parts.hpp"
#include "pixmim/detail/low_freq/spectral_gain.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {

/// cos and sin of the frequencies 0 .. `highest`, cosines first: float64 [2 * (highest + 1), size].
inline at::Tensor trigonometric_basis(int64_t size, int64_t highest) {
  const BasisFunctions wave(size);
  at::Tensor basis = at::empty({2 * (highest + 1), size}, at::kDouble);
  auto* value = basis.mutable_data_ptr<double>();
  for (const bool sine : {false, true}) {
    for (int64_t frequency = 0; frequency <= highest; ++frequency) {
      for (int64_t position = 0; position < size; ++position) {
        *value++ = wave(sine, frequency, position);
      }
    }
  }
  return basis;
}

class ProductOperators {
 public:
  static constexpr const char* name = "products";

  ProductOperators(const SpectralGain& gain, c10::ScalarType dtype, c10::Device device) {
    const auto [highest_y, highest_x] = gain.reach(negligible_gain(dtype));
    const auto stored = [&](const at::Tensor& table) { return table.to(dtype).to(device); };
    basis_y_ = stored(trigonometric_basis(gain.height(), highest_y));
    basis_x_ = stored(trigonometric_basis(gain.width(), highest_x));

    // Gains of the result's wave, in the order of the tables below.
    const at::Tensor gains = at::empty({4, 2, highest_y + 1, 2, highest_x + 1}, at::kDouble);
    auto* value = gains.mutable_data_ptr<double>();
    const int64_t count = gains[0].numel();
    for (const bool sine_y : {false, true}) {
      for (int64_t y = 0; y <= highest_y; ++y) {
        for (const bool sine_x : {false, true}) {
          for (int64_t x = 0; x <= highest_x; ++x, ++value) {
            const WaveGains waves = gain.waves(y, x).of(sine_y, sine_x);
            const double norm = of_axis(y, gain.height()) * of_axis(x, gain.width());
            value[0] = norm * waves.same;
            value[count] = norm * waves.both_swapped;
            value[2 * count] = norm * waves.rows_swapped;
            value[3 * count] = norm * waves.columns_swapped;
          }
        }
      }
    }
    const auto any = [&](int64_t table) { return gains[table].any().item<bool>(); };
    same_ = stored(gains[0]);
    if (any(1)) both_swapped_ = stored(gains[1]);
    if (any(2) || any(3)) {
      rows_swapped_ = stored(gains[2]);
      columns_swapped_ = stored(gains[3]);
    }
  }

  /// `images` [N,C,H,W] in the tables' dtype; `constant` [C,1,1] is added to the real part.
  FilteredParts operator()(const at::Tensor& images, const at::Tensor& constant) const {
    // Neither autocast nor TF32: what a model's products may lose would be seen in its target.
    const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
    const at::NoTF32Guard no_tf32;
    const at::Tensor along_x = at::matmul(images, basis_x_.t());
    const at::Tensor coefficients = at::matmul(basis_y_, along_x);
    const at::Tensor waves = coefficients.view({images.size(0), images.size(1), same_.size(0),
                                                same_.size(1), same_.size(2), same_.size(3)});
    at::Tensor real = waves.mul(same_);
    if (both_swapped_.defined()) real.addcmul_(waves.flip({2, 4}), both_swapped_);
    if (constant.defined()) {
      real.select(5, 0).select(4, 0).select(3, 0).select(2, 0).add_(constant.flatten());
    }
    FilteredParts parts;
    parts.real = synthesis(real.view(coefficients.sizes()));
    if (rows_swapped_.defined()) {
      at::Tensor imaginary = waves.flip({2}).mul(rows_swapped_);
      imaginary.addcmul_(waves.flip({4}), columns_swapped_);
      parts.imaginary = synthesis(imaginary.view(coefficients.sizes()));
    }
    return parts;
  }

  template <typename Visit>
  void each_table(const Visit& visit) const {
    for (const at::Tensor& table :
         {basis_y_, basis_x_, same_, both_swapped_, rows_swapped_, columns_swapped_}) {
      visit(table);
    }
  }

 private:
  /// Of a wave and its mirror image together, over the number of samples.
  static double of_axis(int64_t frequency, int64_t size) {
    return (frequency == 0 || 2 * frequency == size ? 1.0 : 2.0) / static_cast<double>(size);
  }

  at::Tensor synthesis(const at::Tensor& coefficients) const {
    return at::matmul(at::matmul(basis_y_.t(), coefficients), basis_x_);
  }

  at::Tensor basis_y_;
  at::Tensor basis_x_;
  // Gains by coefficient [2,Y,2,X], see WaveGains; most filters need the first only.
  at::Tensor same_;
  at::Tensor both_swapped_;
  at::Tensor rows_swapped_;
  at::Tensor columns_swapped_;
};

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
