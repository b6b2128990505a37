// SPDX-License-Identifier: Apache-2.0
// The basis engine's result in the order of patches (a part of kernels.inl).

namespace pixmim {
inline namespace v0 {
namespace detail {
namespace PIXMIM_SIMD {

/// One patch out of rows of each channel, in the order (h, w, c). Reads and writes a few registers
/// past the end.
template <typename Scalar>
PIXMIM_TARGET inline void gather_patch(const Scalar* image, int64_t stride, int64_t channel_stride,
                                       const PatchOrder& order, Scalar* patch) {
  using V = Vector<Scalar>;
  const int64_t side = order.patch_size;
  const int64_t channels = order.channels;
  for (int64_t h = 0; h < side; ++h) {
    const Scalar* row = image + h * stride;
    Scalar* to = patch + h * side * channels;
    if (channels == 3) {
      for (int64_t w = 0; w < side; w += V::lanes) {
        store_interleaved(V::load(row + w), V::load(row + channel_stride + w),
                          V::load(row + 2 * channel_stride + w), to + 3 * w);
      }
    } else if (channels == 1) {
      for (int64_t w = 0; w < side; w += V::lanes) V::load(row + w).store(to + w);
    } else {
      for (int64_t c = 0; c < channels; ++c) {
        for (int64_t w = 0; w < side; ++w) to[w * channels + c] = row[c * channel_stride + w];
      }
    }
  }
}

/// Normalises a patch by its mean and unbiased variance (MAE models_mae.py forward_loss).
template <typename Scalar>
PIXMIM_TARGET inline void normalize_patch(Scalar* patch, int64_t size) {
  using V = Vector<Scalar>;
  const int64_t whole = size / V::lanes * V::lanes;
  V sums = V::zero();
  for (int64_t i = 0; i < whole; i += V::lanes) sums = sums + V::load(patch + i);
  Scalar sum = sums.sum();
  for (int64_t i = whole; i < size; ++i) sum += patch[i];
  Scalar mean = sum / static_cast<Scalar>(size);
  // The sum rounds by more than a patch without contrast differs from its mean.
  V differences = V::zero();
  for (int64_t i = 0; i < whole; i += V::lanes) {
    differences = differences + (V::load(patch + i) - V::broadcast(mean));
  }
  Scalar difference_sum = differences.sum();
  for (int64_t i = whole; i < size; ++i) difference_sum += patch[i] - mean;
  mean += difference_sum / static_cast<Scalar>(size);

  const V means = V::broadcast(mean);
  V squares = V::zero();
  for (int64_t i = 0; i < whole; i += V::lanes) {
    const V difference = V::load(patch + i) - means;
    squares = multiply_add(difference, difference, squares);
  }
  Scalar square = squares.sum();
  for (int64_t i = whole; i < size; ++i) square += (patch[i] - mean) * (patch[i] - mean);
  // One value has no unbiased variance (0 / 0): it is its own mean.
  const Scalar variance = square / static_cast<Scalar>(size > 1 ? size - 1 : 1);
  const Scalar scale = 1 / std::sqrt(variance + static_cast<Scalar>(1e-6));

  const V scales = V::broadcast(scale);
  for (int64_t i = 0; i < whole; i += V::lanes) {
    ((V::load(patch + i) - means) * scales).store(patch + i);
  }
  for (int64_t i = whole; i < size; ++i) patch[i] = (patch[i] - mean) * scale;
}

template <typename Scalar, typename Result>
PIXMIM_TARGET inline void convert(const Scalar* from, int64_t size, Result* to) {
  using V = Vector<Scalar>;
  int64_t i = 0;
  for (; i + V::lanes <= size; i += V::lanes) V::load(from + i).store(to + i);
  for (; i < size; ++i) to[i] = static_cast<Result>(from[i]);
}

/// Columns x .. x + columns of an image -> the patches in them whose `mask` is not zero (all, if
/// there is no mask); zeros for the others. `stage` is those columns of each channel.
template <typename Scalar, typename Result>
PIXMIM_TARGET inline void store_patches(const PatchOrder& order, const Scalar* stage,
                                        int64_t stride, int64_t height, int64_t width, int64_t x,
                                        int64_t columns, const bool* mask, Scalar* patch,
                                        Result* patches) {
  const int64_t side = order.patch_size;
  const int64_t size = side * side * order.channels;
  for (int64_t y = 0; y < height; y += side) {
    for (int64_t column = 0; column < columns; column += side) {
      const int64_t index = y / side * (width / side) + (x + column) / side;
      Result* result = patches + index * size;
      if (mask != nullptr && !mask[index]) {
        std::fill(result, result + size, Result(0));
        continue;
      }
      gather_patch(stage + y * stride + column, stride, height * stride, order, patch);
      if (order.norm_pix) normalize_patch(patch, size);
      convert(patch, size, result);
    }
  }
}

/// One image of `order.channels` -> its patches.
template <bool magnitude, typename Scalar, typename Element, typename Result>
PIXMIM_TARGET inline void filter_patches(const BasisPlan<Scalar>& plan,
                                         const BasisScratch<Scalar>& scratch,
                                         const Epilogue* epilogues, const PatchOrder& order,
                                         const Element* image, const bool* mask, Result* patches) {
  const int64_t height = plan.y.size;
  const int64_t width = plan.x.size;
  const int64_t stride = order.slab_stride(plan.shape);
  const auto rows_of = [&](int64_t channel) {
    Parts<Scalar> rows = {};
    for (std::size_t part = 0; part < (plan.has_imaginary_part() ? 2U : 1U); ++part) {
      rows[part] = scratch.rows[part] + channel * plan.rows * plan.row_stride;
    }
    return rows;
  };
  Traffic traffic;
  for (int64_t c = 0; c < order.channels; ++c) {
    const Element* channel = image + c * height * width;
    if (c + 1 < order.channels) {
      traffic.read =
          Upcoming(channel + height * width, height * width * static_cast<int64_t>(sizeof(Element)),
                   plan.analysis_steps(plan.shape.columns));
    }
    analyse(plan, scratch, channel, width, rows_of(c), traffic);
  }
  for (int64_t x = 0; x < width; x += order.slab_columns()) {
    const int64_t columns = std::min(order.slab_columns(), width - x);
    for (int64_t c = 0; c < order.channels; ++c) {
      synthesise_slab<magnitude>(plan, scratch, rows_of(c), epilogues[c], x, columns, stride,
                                 scratch.stage + c * height * stride, stride, traffic);
    }
    store_patches(order, scratch.stage, stride, height, width, x, columns, mask,
                  scratch.stage + order.channels * height * stride + plan.shape.lanes, patches);
  }
}

}  // namespace PIXMIM_SIMD
}  // namespace detail
}  // namespace v0
}  // namespace pixmim
