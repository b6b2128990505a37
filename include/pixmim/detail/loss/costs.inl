// SPDX-License-Identifier: Apache-2.0
// The costs of a patch and their gradient. Included by kernels.inl, once for each instruction set.

namespace pixmim {
inline namespace v0 {
namespace detail {
namespace PIXMIM_SIMD {
namespace pixel_loss {

/// What a difference costs: L2.
struct Square {
  template <typename Scalar>
  PIXMIM_TARGET PIXMIM_ALWAYS_INLINE static Vector<Scalar> slope(Vector<Scalar> difference) {
    return difference;
  }
};
/// L1.
struct Absolute {
  template <typename Scalar>
  PIXMIM_TARGET PIXMIM_ALWAYS_INLINE static Vector<Scalar> slope(Vector<Scalar> difference) {
    return difference.sign();
  }
};

/// Adds the costs of a register of differences; writes their gradient.
template <typename Norm, bool with_gradient, typename Scalar, typename Gradient>
PIXMIM_TARGET PIXMIM_ALWAYS_INLINE Vector<Scalar> add_costs(
    Vector<Scalar> prediction, const Scalar* target, const Normalization<Scalar>& by,
    Scalar gradient_scale, Gradient* gradient, Vector<Scalar> sum) {
  using Register = Vector<Scalar>;
  const Register wanted =
      (Register::load(target) - Register::broadcast(by.mean)) * Register::broadcast(by.scale);
  const Register difference = prediction - wanted;
  // The square of a difference, or its absolute value.
  const Register slope = Norm::slope(difference);
  if constexpr (with_gradient) {
    store_as(slope * Register::broadcast(gradient_scale), gradient);
  }
  return multiply_add(difference, slope, sum);
}

template <typename Norm, bool with_gradient, typename Scalar, typename Prediction,
          typename Gradient>
PIXMIM_TARGET PIXMIM_ALWAYS_INLINE double sum_costs(const MaskedPatch<Scalar>& patch) {
  constexpr int64_t lanes = Vector<Scalar>::lanes;
  constexpr int64_t step = Sums<Scalar>::count * lanes;
  const auto* prediction = static_cast<const Prediction*>(patch.prediction);
  auto* gradient = static_cast<Gradient*>(patch.gradient);
  const Scalar* target = patch.target;
  const Normalization<Scalar> by = patch.normalization;
  const Scalar scale = patch.gradient_scale;
  double total = 0;
  for (int64_t begin = 0; begin < patch.pixels; begin += added_narrow) {
    const int64_t end = begin + added_narrow < patch.pixels ? begin + added_narrow : patch.pixels;
    Sums<Scalar> sums;
    sums.clear();
    int64_t i = begin;
    for (; i + step <= end; i += step) {
      PIXMIM_UNROLL
      for (int64_t k = 0; k < Sums<Scalar>::count; ++k) {
        const int64_t j = i + k * lanes;
        sums.parts[k] = add_costs<Norm, with_gradient>(load_as<Scalar>(prediction + j), target + j,
                                                       by, scale, gradient + j, sums.parts[k]);
      }
    }
    for (; i + lanes <= end; i += lanes) {
      sums.parts[0] = add_costs<Norm, with_gradient>(load_as<Scalar>(prediction + i), target + i,
                                                     by, scale, gradient + i, sums.parts[0]);
    }
    if (i < end) {
      // The target is padded with its mean and this with 0: no difference.
      const auto size = static_cast<std::size_t>(end - i);
      Prediction last[lanes] = {};
      Gradient last_gradient[lanes];
      std::memcpy(last, prediction + i, size * sizeof(Prediction));
      sums.parts[0] = add_costs<Norm, with_gradient>(load_as<Scalar>(last), target + i, by, scale,
                                                     last_gradient, sums.parts[0]);
      if constexpr (with_gradient) {
        std::memcpy(gradient + i, last_gradient, size * sizeof(Gradient));
      }
    }
    total += sums.total();
  }
  return total;
}

template <typename Norm, typename Scalar, typename Prediction>
PIXMIM_TARGET double costs(const MaskedPatch<Scalar>& patch) {
  using Gradient = typename GradientOf<Prediction>::Type;
  return patch.gradient == nullptr ? sum_costs<Norm, false, Scalar, Prediction, Gradient>(patch)
                                   : sum_costs<Norm, true, Scalar, Prediction, Gradient>(patch);
}

}  // namespace pixel_loss
}  // namespace PIXMIM_SIMD
}  // namespace detail
}  // namespace v0
}  // namespace pixmim
