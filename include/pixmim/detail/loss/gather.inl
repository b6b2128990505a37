// SPDX-License-Identifier: Apache-2.0
// Patches of the target in the order (h, w, c), in the dtype that is computed in. Included by
// kernels.inl, once for each instruction set.

namespace pixmim {
inline namespace v0 {
namespace detail {
namespace PIXMIM_SIMD {
namespace pixel_loss {

/// Values that stand beside each other.
template <typename Scalar, typename Element>
PIXMIM_TARGET PIXMIM_ALWAYS_INLINE void copy(const Element* from, int64_t count, Scalar* to) {
  constexpr int64_t lanes = Vector<Scalar>::lanes;
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) load_as<Scalar>(from + i).store(to + i);
  for (; i < count; ++i) to[i] = static_cast<Scalar>(from[i]);
}

/// A row of three planes. The last register of a row that is no whole number of them begins earlier
/// and writes some values again.
template <typename Scalar, typename Element>
PIXMIM_TARGET PIXMIM_ALWAYS_INLINE void interleave(const Element* from, int64_t plane,
                                                   int64_t count, Scalar* to) {
  constexpr int64_t lanes = Vector<Scalar>::lanes;
  for (int64_t begin = 0; begin < count; begin += lanes) {
    const int64_t i = begin + lanes <= count ? begin : count - lanes;
    store_interleaved(load_as<Scalar>(from + i), load_as<Scalar>(from + plane + i),
                      load_as<Scalar>(from + 2 * plane + i), to + 3 * i);
  }
}

template <typename Scalar, typename Element>
PIXMIM_TARGET void gather(const TargetPatches& target, int64_t offset, Scalar* to) {
  const Element* row = static_cast<const Element*>(target.data) + offset;
  const int64_t channels = target.channels;
  const int64_t row_pixels = target.columns * channels;
  const bool planes =
      channels == 3 && target.column_step == 1 && target.columns >= Vector<Scalar>::lanes;
  for (int64_t i = target.pixels(); i < padded(target.pixels()); ++i) to[i] = 0;
  for (int64_t y = 0; y < target.rows; ++y, row += target.row_step, to += row_pixels) {
    if (target.rows_are_together()) {
      copy(row, row_pixels, to);
    } else if (planes) {
      interleave(row, target.channel_step, target.columns, to);
    } else {
      for (int64_t c = 0; c < channels; ++c) {
        const Element* from = row + c * target.channel_step;
        for (int64_t x = 0; x < target.columns; ++x) {
          to[x * channels + c] = static_cast<Scalar>(from[x * target.column_step]);
        }
      }
    }
  }
}

}  // namespace pixel_loss
}  // namespace PIXMIM_SIMD
}  // namespace detail
}  // namespace v0
}  // namespace pixmim
