// SPDX-License-Identifier: Apache-2.0
// The loss over the masked patches and its gradient: prediction and target are read once, and the gradient
// written once.
//
//     sum_weights     sums of 4096 weights of the mask each
//     masked_loss     a warp a patch: cost and gradient; a sum of costs a block
//     add_costs       the loss
//     scale_gradient  backward: by the factor that comes from above, where that is not 1
//
// Nothing depends on the order in which blocks run: all sums are added in the order of the patches.
#pragma once

#include "dialect.cuh"
#include "elements.cuh"
#include "loss_target.cuh"
#include "patch_normalization.cuh"

namespace pixmim {
namespace kernels {

PIXMIM_DEVICE double to_number(double value) {
  return value;
}
template <class Element>
PIXMIM_DEVICE float to_number(Element value) {
  return to_float(value);
}
template <class Element>
PIXMIM_DEVICE Element from_number(double value) {
  return round_to<Element>(static_cast<float>(value));
}
template <>
PIXMIM_DEVICE double from_number<double>(double value) {
  return value;
}

/// The gradient of float16 stays float32 until a loss scale has multiplied it: 1 / pixels would be lost.
template <class Prediction>
struct GradientOf {
  using Type = Prediction;
};
template <>
struct GradientOf<float16> {
  using Type = float;
};

/// The sum of one value a warp, the first warp's first: for thread 0. `memory` has room for them.
PIXMIM_DEVICE double add_warps(double value, Shared<double> memory) {
  if (thread_index() % 32 == 0) memory[thread_index() / 32] = value;
  synchronize_block();
  if (thread_index() > 0) return 0;
  const int32 warps = threads_a_block() / 32;
  for (int32 warp = 1; warp < warps; ++warp) value += memory[warp];
  return value;
}

/// sums[b] = the sum of weights[4096 b] to weights[4096 b + 4095].
template <class Weight>
PIXMIM_KERNEL(256)
sum_weights(Global<const Weight> weights, int32 count, Global<double> sums) {
  constexpr int32 a_thread = 16;
  const Shared<double> memory = shared_memory<double>(0, threads_a_block() / 32);
  const int64 first = block_index() * threads_a_block() * a_thread + thread_index();
  double sum = 0;
  PIXMIM_UNROLLED
  for (int32 i = 0; i < a_thread; ++i) {
    const int64 at = first + i * threads_a_block();
    if (at < count) sum += to_number(weights[at]);
  }
  sum = add_warps(add_lanes(sum), memory);
  if (thread_index() == 0) sums[block_index()] = sum;
}

/// What costs are divided by: the sum of all weights, times the values of a patch. Where nothing is masked
/// the costs are 0, and any divisor but 0 will do.
PIXMIM_DEVICE double divisor_of(Global<const double> weight_sums, int32 sums_count, int32 pixels) {
  double total = 0;
  for (int32 i = thread_index() % 32; i < sums_count; i += 32) total += weight_sums[i];
  total = add_lanes(total);
  return (total == 0 ? 1 : total) * pixels;
}

/// A lane's way through a patch, so that the lanes of a warp read neighbours: along a row, or along
/// several where these are short.
struct PatchWalk {
  int32 columns;
  int32 rows;
  int32 channels;
  int32 rows_at_once;
  int32 first_column;
  int32 column;
  int32 row;
  int32 channel;

  PIXMIM_DEVICE explicit PatchWalk(const LossTarget& target)
      : columns(target.columns), rows(target.rows), channels(target.channels) {
    const int32 lane = thread_index() % 32;
    const bool short_rows = columns < 32;
    rows_at_once = short_rows ? 32 / columns : 1;
    first_column = short_rows ? lane % columns : lane;
    column = first_column;
    row = short_rows ? lane / columns : 0;
    channel = row < rows_at_once ? 0 : channels;
    wrap();
  }

  PIXMIM_DEVICE bool is_over() const { return channel >= channels; }
  PIXMIM_DEVICE void advance() {
    column += 32;
    if (column < columns) return;
    column = first_column;
    row += rows_at_once;
    wrap();
  }
  PIXMIM_DEVICE int64 source(const LossTarget& target) const {
    return channel * target.channel_step + row * target.row_step + column * target.column_step;
  }
  /// In the patch as the prediction has it: (row, column, channel).
  PIXMIM_DEVICE int32 place() const { return (row * columns + column) * channels + channel; }

 private:
  PIXMIM_DEVICE void wrap() {
    while (row >= rows && channel < channels) {
      row -= rows;
      ++channel;
    }
  }
};

/// Writes the values of a patch of the target.
template <class Target, class Scalar>
PIXMIM_DEVICE void gather_patch(Global<const Target> patch, const LossTarget& target,
                                Shared<Scalar> to) {
  constexpr int32 in_flight = 8;  // loads that wait for memory together
  PatchWalk walk(target);
  while (!walk.is_over()) {
    Target values[in_flight];
    int32 places[in_flight];
    PIXMIM_UNROLLED
    for (int32 i = 0; i < in_flight; ++i) {
      places[i] = -1;
      if (walk.is_over()) continue;
      values[i] = patch[walk.source(target)];
      places[i] = walk.place();
      walk.advance();
    }
    PIXMIM_UNROLLED
    for (int32 i = 0; i < in_flight; ++i) {
      if (places[i] >= 0) to[places[i]] = static_cast<Scalar>(to_number(values[i]));
    }
  }
}

/// The lane's part of the cost of a patch, and of its gradient if that is not null. `squares`: L2, else L1.
template <class Gradient, class Prediction, class Scalar, int32 pack>
PIXMIM_DEVICE double cost_of(Global<const Neighbours<Prediction, pack>> prediction,
                             Shared<const Neighbours<Scalar, pack>> target,
                             const PatchNormalization<Scalar>& by, bool squares,
                             Scalar gradient_scale, int32 packs,
                             Global<Neighbours<Gradient, pack>> gradient) {
  constexpr int32 in_flight = 3;  // a patch of 16x16x3 is 3 or 6 packs a lane
  double total = 0;
  for (int32 first = thread_index() % 32; first < packs; first += in_flight * 32) {
    Neighbours<Prediction, pack> predicted[in_flight];
    PIXMIM_UNROLLED
    for (int32 i = 0; i < in_flight; ++i) {
      if (first + i * 32 < packs) predicted[i] = prediction[first + i * 32];
    }
    Scalar sum = 0;
    PIXMIM_UNROLLED
    for (int32 i = 0; i < in_flight; ++i) {
      const int32 at = first + i * 32;
      if (at >= packs) continue;
      const Neighbours<Scalar, pack> wanted = target[at];
      Neighbours<Gradient, pack> slopes;
      PIXMIM_UNROLLED
      for (int32 k = 0; k < pack; ++k) {
        const Scalar difference = static_cast<Scalar>(to_number(predicted[i].values[k])) -
                                  (wanted.values[k] - by.mean) * by.scale;
        const Scalar sign = static_cast<Scalar>((difference > 0) - (difference < 0));
        // The square of a difference, or its absolute value.
        const Scalar slope = squares ? difference : sign;
        sum += difference * slope;
        slopes.values[k] = from_number<Gradient>(slope * gradient_scale);
      }
      if (gradient) gradient[at] = slopes;
    }
    total += sum;
  }
  return total;
}

/// `prediction` [N, length, packs] with steps in packs; `weights` [N, length]: where one is 0 nothing else is
/// read. `gradient` [N, length, packs] or null. costs[b] = the sum of the block's weighted costs. Shared
/// memory: `target_bytes` a warp (multiples of 16), then a number a warp.
template <class Prediction, class Target, class Scalar, int32 pack>
PIXMIM_KERNEL(256)
masked_loss(Global<const Neighbours<Prediction, pack>> prediction, int64 image_step,
            int64 patch_step, int32 packs, Global<const Target> target, LossTarget places,
            Global<const Scalar> weights, int32 length, int32 patches,
            Global<const double> weight_sums, int32 sums_count, int32 target_bytes, bool squares,
            bool norm_pix,
            Global<Neighbours<typename GradientOf<Prediction>::Type, pack>> gradient,
            Global<double> costs) {
  using Gradient = typename GradientOf<Prediction>::Type;
  const int32 warps = threads_a_block() / 32;
  const int32 warp = thread_index() / 32;
  const int32 pixels = packs * pack;
  const double divisor = divisor_of(weight_sums, sums_count, pixels);
  const int64 index = block_index() * warps + warp;
  double cost = 0;
  if (index < patches) {
    const int32 image = static_cast<int32>(index) / length;
    const int32 patch = static_cast<int32>(index) - image * length;
    const double weight = weights[index];
    const auto own_gradient = gradient ? gradient + index * packs : gradient;
    if (weight != 0) {
      const auto values = shared_memory<Scalar>(warp * target_bytes, pixels);
      gather_patch<Target, Scalar>(
          target + (image * places.image_step + patch / places.across * places.down_step +
                    patch % places.across * places.across_step),
          places, values);
      synchronize_warp();
      PatchNormalization<Scalar> by = {0, 1};
      if (norm_pix) by = normalization_of<Scalar>(values, pixels);
      const double gradient_scale = (squares ? 2 : 1) * weight / divisor;
      cost = weight * add_lanes(cost_of<Gradient, Prediction, Scalar, pack>(
                          prediction + (image * image_step + patch * patch_step),
                          reinterpret<const Neighbours<Scalar, pack>>(values), by, squares,
                          static_cast<Scalar>(gradient_scale), packs, own_gradient));
    } else if (gradient) {
      for (int32 i = thread_index() % 32; i < packs; i += 32) {
        own_gradient[i] = Neighbours<Gradient, pack>{};
      }
    }
  }
  cost = add_warps(cost, shared_memory<double>(warps * target_bytes, warps));
  if (thread_index() == 0) costs[block_index()] = cost;
}

/// loss[0] = the sum of `count` costs, divided: one block.
template <class Scalar>
PIXMIM_KERNEL(1024)
add_costs(Global<const double> costs, int32 count, Global<const double> weight_sums,
          int32 sums_count, int32 pixels, Global<Scalar> loss) {
  constexpr int32 in_flight = 8;
  const int32 threads = threads_a_block();
  const Shared<double> memory = shared_memory<double>(0, threads / 32);
  const double divisor = divisor_of(weight_sums, sums_count, pixels);
  double sum = 0;
  for (int32 first = thread_index(); first < count; first += in_flight * threads) {
    PIXMIM_UNROLLED
    for (int32 i = 0; i < in_flight; ++i) {
      if (i * threads < count - first) sum += costs[first + i * threads];
    }
  }
  sum = add_warps(add_lanes(sum), memory);
  if (thread_index() == 0) loss[0] = static_cast<Scalar>(sum / divisor);
}

/// gradient *= factor[0]. Costs nothing where that is 1, as it is but for loss scales.
template <class Gradient, int32 pack>
PIXMIM_KERNEL(256)
scale_gradient(Global<Neighbours<Gradient, pack>> gradient, int64 packs,
               Global<const float> factor) {
  const float by = factor[0];
  if (by == 1) return;
  const int64 step = block_count() * threads_a_block();
  for (int64 i = block_index() * threads_a_block() + thread_index(); i < packs; i += step) {
    Neighbours<Gradient, pack> values = gradient[i];
    PIXMIM_UNROLLED
    for (int32 k = 0; k < pack; ++k) {
      values.values[k] = round_to<Gradient>(to_float(values.values[k]) * by);
    }
    gradient[i] = values;
  }
}

}  // namespace kernels
}  // namespace pixmim
