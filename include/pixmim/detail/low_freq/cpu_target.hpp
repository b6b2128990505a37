// SPDX-License-Identifier: Apache-2.0
// The target on the CPU, for one size and filter: the faster engine and its tables.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/ScalarType.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <type_traits>
#include <vector>

#include "pixmim/detail/large_pages.hpp"
#include "pixmim/detail/low_freq/basis/engine.hpp"
#include "pixmim/detail/low_freq/basis/epilogue.hpp"
#include "pixmim/detail/low_freq/channel_statistics.hpp"
#include "pixmim/detail/low_freq/cost_model.hpp"
#include "pixmim/detail/low_freq/fft_engine.hpp"
#include "pixmim/detail/low_freq/scratch_pool.hpp"
#include "pixmim/detail/low_freq/spectral_gain.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {

/// Of the target of `images`.
inline c10::ScalarType target_dtype(const at::Tensor& images) {
  return images.scalar_type() == at::kByte ? at::kFloat : images.scalar_type();
}

/// Computes in `Scalar`: float for 16-bit and float32 images and bytes, double for float64.
template <bool magnitude, typename Scalar>
class CpuTarget {
 public:
  explicit CpuTarget(const SpectralGain& gain) {
    const auto [highest_y, highest_x] = gain.reach(BasisPlan<Scalar>::negligible);
    const EngineCosts costs = engine_costs<Scalar>(
        gain.height(), gain.width(), highest_y, highest_x, magnitude, BasisEngine<Scalar>::shape());
    if (costs.basis < costs.fft) {
      basis_.emplace(gain);
    } else {
      fft_.emplace(gain);
    }
  }

  bool uses_basis() const { return basis_.has_value(); }
  const char* engine() const { return uses_basis() ? "basis" : "transforms"; }

  /// `images` [N,C,H,W], contiguous and not empty; the result is of `dtype`.
  at::Tensor filter(const at::Tensor& images, const ChannelStatistics& statistics,
                    ScratchPool& pool) const {
    const std::vector<Epilogue> epilogues = epilogues_of(images, statistics);
    const int64_t count = images.size(0) * images.size(1);
    if (!uses_basis()) {
      const at::Tensor channels = images.view({count, images.size(2), images.size(3)});
      return fft_->template filter<magnitude>(epilogues, channels, target_dtype(images))
          .view(images.sizes());
    }
    const at::Tensor result = empty_in_large_pages(images.sizes(), target_dtype(images));
    visit(images, [&](const auto* from, auto* kind) {
      using Result = std::remove_pointer_t<decltype(kind)>;
      basis_->template filter<magnitude>(epilogues, from, result.mutable_data_ptr<Result>(), count,
                                         pool);
    });
    return result;
  }

  /// The same in patches [N,L,D]; `mask` [N,L] contiguous bool, or undefined.
  at::Tensor patches(const at::Tensor& images, const ChannelStatistics& statistics,
                     const PatchOrder& order, const at::Tensor& mask, ScratchPool& pool) const {
    const int64_t side = order.patch_size;
    const at::Tensor result =
        empty_in_large_pages({images.size(0), images.size(2) / side * (images.size(3) / side),
                              side * side * order.channels},
                             target_dtype(images));
    const std::vector<Epilogue> epilogues = epilogues_of(images, statistics);
    const bool* masked = mask.defined() ? mask.const_data_ptr<bool>() : nullptr;
    visit(images, [&](const auto* from, auto* kind) {
      using Result = std::remove_pointer_t<decltype(kind)>;
      auto* to = result.mutable_data_ptr<Result>();
      if (uses_basis()) {
        basis_->template patches<magnitude>(epilogues, order, from, masked, to, images.size(0),
                                            pool);
      } else {
        fft_->template patches<magnitude>(epilogues, order, images, masked, to);
      }
    });
    return result;
  }

 private:
  std::vector<Epilogue> epilogues_of(const at::Tensor& images,
                                     const ChannelStatistics& statistics) const {
    const double mean_gain = uses_basis() ? basis_->mean_gain() : fft_->mean_gain();
    std::vector<Epilogue> epilogues;
    const bool bytes = images.scalar_type() == at::kByte;
    for (std::size_t c = 0; c < static_cast<std::size_t>(images.size(1)); ++c) {
      // Linear filters of normalised images need no statistics: those that there are may not fit.
      epilogues.push_back(bytes || magnitude ? Epilogue::of(bytes, magnitude, statistics.mean_of(c),
                                                            statistics.deviation_of(c), mean_gain)
                                             : Epilogue());
    }
    return epilogues;
  }

  /// Calls `run` with the images' data and a null pointer to the result's type.
  template <typename Run>
  static void visit(const at::Tensor& images, const Run& run) {
    if constexpr (std::is_same_v<Scalar, double>) {
      run(images.const_data_ptr<double>(), static_cast<double*>(nullptr));
    } else {
      switch (images.scalar_type()) {
        case at::kByte:
          return run(images.const_data_ptr<uint8_t>(), static_cast<float*>(nullptr));
        case at::kHalf:
          return run(images.const_data_ptr<at::Half>(), static_cast<at::Half*>(nullptr));
        case at::kBFloat16:
          return run(images.const_data_ptr<at::BFloat16>(), static_cast<at::BFloat16*>(nullptr));
        default:
          return run(images.const_data_ptr<float>(), static_cast<float*>(nullptr));
      }
    }
  }

  // One of the two.
  std::optional<BasisEngine<Scalar>> basis_;
  std::optional<FftEngine<Scalar>> fft_;
};

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
