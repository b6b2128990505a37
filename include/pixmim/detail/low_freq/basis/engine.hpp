// SPDX-License-Identifier: Apache-2.0
// The basis engine, for the instructions of this machine.
#pragma once

#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "pixmim/detail/low_freq/basis/epilogue.hpp"
#include "pixmim/detail/low_freq/basis/matrices.hpp"
#include "pixmim/detail/low_freq/basis/patch_order.hpp"
#include "pixmim/detail/low_freq/basis/plan.hpp"
#include "pixmim/detail/low_freq/basis/scratch.hpp"
#include "pixmim/detail/low_freq/basis/traffic.hpp"
#include "pixmim/detail/low_freq/scratch_pool.hpp"
#include "pixmim/detail/parallel.hpp"
#include "pixmim/detail/simd/instruction_set.hpp"

#define PIXMIM_KERNELS "pixmim/detail/low_freq/basis/kernels.inl"
#include "pixmim/detail/simd/multiversion.inl"

namespace pixmim {
inline namespace v0 {
namespace detail {

/// Filters channels by products with a trigonometric basis (basis/folded_axis.hpp, basis/plan.hpp).
template <typename Scalar>
class BasisEngine {
 public:
  explicit BasisEngine(const SpectralGain& gain) : plan_(gain, shape()) {}

  static KernelShape shape() { return PIXMIM_DISPATCH(block_shape<Scalar>); }
  double mean_gain() const { return plan_.mean_gain; }

  /// `images` [count / channels, channels, height, width], contiguous, to `results` likewise.
  template <bool magnitude, typename Element, typename Result>
  void filter(const std::vector<Epilogue>& epilogues, const Element* images, Result* results,
              int64_t count, ScratchPool& pool) const {
    const auto channels = static_cast<int64_t>(epilogues.size());
    const BasisScratchLayout<Scalar> layout(plan_, plan_.shape.columns, 1, 0);
    parallel_for(count, grain(), [&](int64_t begin, int64_t end) {
      ScratchPool::Lease memory(pool, bytes(layout));
      const BasisScratch<Scalar> scratch = layout.cut(memory.as<Scalar>());
      PIXMIM_DISPATCH(filter_channels<magnitude>(plan_, scratch, epilogues.data(), channels, images,
                                                 results, begin, end));
    });
  }

  /// The same for `count` images, to patches [count, L, D]; `mask` [count, L] or null.
  template <bool magnitude, typename Element, typename Result>
  void patches(const std::vector<Epilogue>& epilogues, const PatchOrder& order,
               const Element* images, const bool* mask, Result* results, int64_t count,
               ScratchPool& pool) const {
    const int64_t pixels = order.channels * plan_.y.size * plan_.x.size;
    const int64_t tokens = plan_.y.size / order.patch_size * (plan_.x.size / order.patch_size);
    const BasisScratchLayout<Scalar> layout(plan_, order.slab_stride(plan_.shape), order.channels,
                                            order.stage_size(plan_.y.size, plan_.shape));
    parallel_for(count, 1, [&](int64_t begin, int64_t end) {
      ScratchPool::Lease memory(pool, bytes(layout));
      const BasisScratch<Scalar> scratch = layout.cut(memory.as<Scalar>());
      for (int64_t i = begin; i < end; ++i) {
        const bool* image_mask = mask == nullptr ? nullptr : mask + i * tokens;
        PIXMIM_DISPATCH(filter_patches<magnitude>(plan_, scratch, epilogues.data(), order,
                                                  images + i * pixels, image_mask,
                                                  results + i * pixels));
      }
    });
  }

 private:
  static std::size_t bytes(const BasisScratchLayout<Scalar>& layout) {
    return static_cast<std::size_t>(layout.size()) * sizeof(Scalar);
  }

  /// Channels that are worth a thread: of about as many pixels as it filters in 20 microseconds.
  int64_t grain() const {
    constexpr int64_t pixels = 1 << 14;
    return std::max<int64_t>(1, pixels / (plan_.y.size * plan_.x.size));
  }

  BasisPlan<Scalar> plan_;
};

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
