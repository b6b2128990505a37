// SPDX-License-Identifier: Apache-2.0
// Registers from and to elements of any floating dtype. Included by kernels.inl, once for each instruction set.

namespace pixmim {
inline namespace v0 {
namespace detail {
namespace PIXMIM_SIMD {
namespace pixel_loss {

/// A register of `Scalar`s from elements of any floating dtype.
template <typename Scalar, typename Element>
PIXMIM_TARGET PIXMIM_ALWAYS_INLINE Vector<Scalar> load_as(const Element* from) {
  if constexpr (std::is_same_v<Scalar, float> || std::is_same_v<Scalar, Element>) {
    return Vector<Scalar>::load(from);
  } else {
    // float64 beside another dtype is rare: no instructions of its own.
    Scalar wide[Vector<Scalar>::lanes];
    for (int64_t i = 0; i < Vector<Scalar>::lanes; ++i) wide[i] = static_cast<Scalar>(from[i]);
    return Vector<Scalar>::load(wide);
  }
}

template <typename Scalar, typename Element>
PIXMIM_TARGET PIXMIM_ALWAYS_INLINE void store_as(Vector<Scalar> values, Element* to) {
  if constexpr (std::is_same_v<Scalar, float> || std::is_same_v<Scalar, Element>) {
    values.store(to);
  } else {
    Scalar wide[Vector<Scalar>::lanes];
    values.store(wide);
    for (int64_t i = 0; i < Vector<Scalar>::lanes; ++i) {
      to[i] = static_cast<Element>(static_cast<float>(wide[i]));
    }
  }
}

}  // namespace pixel_loss
}  // namespace PIXMIM_SIMD
}  // namespace detail
}  // namespace v0
}  // namespace pixmim
