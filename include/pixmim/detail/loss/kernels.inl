// SPDX-License-Identifier: Apache-2.0
// The costs of a patch and their gradient. Included once for each instruction set: see
// detail/simd/multiversion.inl.

#include "pixmim/detail/loss/gather.inl"

namespace pixmim {
inline namespace v0 {
namespace detail {
namespace PIXMIM_SIMD {

/// Values that are added in `Scalar`s; the sums of longer patches are added in double.
constexpr int64_t run = 4096;

/// The sum of `count` values, a power of two, by halves.
template <int64_t count, typename Scalar>
PIXMIM_TARGET PIXMIM_ALWAYS_INLINE Scalar sum_of(const Scalar* values) {
  if constexpr (count == 1) {
    return values[0];
  } else {
    return sum_of<count / 2>(values) + sum_of<count / 2>(values + count / 2);
  }
}

/// Four sums side by side: one would wait for each addition.
template <typename Scalar>
struct Sums {
  static constexpr int64_t count = 4;
  Vector<Scalar> parts[count];

  PIXMIM_TARGET PIXMIM_ALWAYS_INLINE void clear() {
    for (int64_t k = 0; k < count; ++k) parts[k] = Vector<Scalar>::zero();
  }
  PIXMIM_TARGET PIXMIM_ALWAYS_INLINE double total() const {
    const Vector<Scalar> all = (parts[0] + parts[1]) + (parts[2] + parts[3]);
    Scalar lanes[Vector<Scalar>::lanes];
    all.store(lanes);
    return static_cast<double>(sum_of<Vector<Scalar>::lanes>(lanes));
  }
};

struct Value {
  template <typename Scalar>
  PIXMIM_TARGET PIXMIM_ALWAYS_INLINE static Vector<Scalar> add(Vector<Scalar> value,
                                                               Vector<Scalar> /*mean*/,
                                                               Vector<Scalar> sum) {
    return sum + value;
  }
};
struct SquareAroundMean {
  template <typename Scalar>
  PIXMIM_TARGET PIXMIM_ALWAYS_INLINE static Vector<Scalar> add(Vector<Scalar> value,
                                                               Vector<Scalar> mean,
                                                               Vector<Scalar> sum) {
    const Vector<Scalar> difference = value - mean;
    return multiply_add(difference, difference, sum);
  }
};

/// The sum of `Term`s of padded values.
template <typename Term, typename Scalar>
PIXMIM_TARGET PIXMIM_ALWAYS_INLINE double sum_terms(const Scalar* values, int64_t count,
                                                    Scalar mean) {
  constexpr int64_t lanes = Vector<Scalar>::lanes;
  constexpr int64_t step = Sums<Scalar>::count * lanes;
  const Vector<Scalar> center = Vector<Scalar>::broadcast(mean);
  double total = 0;
  for (int64_t begin = 0; begin < count; begin += run) {
    const int64_t end = begin + run < count ? begin + run : count;
    Sums<Scalar> sums;
    sums.clear();
    int64_t i = begin;
    for (; i + step <= end; i += step) {
      PIXMIM_UNROLL
      for (int64_t k = 0; k < Sums<Scalar>::count; ++k) {
        const Vector<Scalar> value = Vector<Scalar>::load(values + i + k * lanes);
        sums.parts[k] = Term::add(value, center, sums.parts[k]);
      }
    }
    for (; i < end; i += lanes) {
      sums.parts[0] = Term::add(Vector<Scalar>::load(values + i), center, sums.parts[0]);
    }
    total += sums.total();
  }
  return total;
}

template <typename Scalar>
PIXMIM_TARGET Normalization<Scalar> normalization(Scalar* target, int64_t pixels) {
  const auto count = static_cast<double>(pixels);
  Normalization<Scalar> result;
  result.mean = static_cast<Scalar>(sum_terms<Value>(target, pixels, Scalar{0}) / count);
  for (int64_t i = pixels; i < padded(pixels); ++i) target[i] = result.mean;
  const double squares = sum_terms<SquareAroundMean>(target, pixels, result.mean);
  // One value has no unbiased variance (0 / 0): it is its own mean.
  const double variance = pixels > 1 ? squares / (count - 1) : 0;
  result.scale = static_cast<Scalar>(1 / std::sqrt(variance + 1e-6));
  return result;
}

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
  for (int64_t begin = 0; begin < patch.pixels; begin += run) {
    const int64_t end = begin + run < patch.pixels ? begin + run : patch.pixels;
    Sums<Scalar> sums;
    sums.clear();
    int64_t i = begin;
    for (; i + step <= end; i += step) {
      PIXMIM_UNROLL
      for (int64_t k = 0; k < Sums<Scalar>::count; ++k) {
        const int64_t at = i + k * lanes;
        sums.parts[k] = add_costs<Norm, with_gradient>(
            load_as<Scalar>(prediction + at), target + at, by, scale, gradient + at, sums.parts[k]);
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

template <typename Scalar>
PatchKernels<Scalar> patch_kernels(c10::ScalarType prediction, c10::ScalarType target) {
  PatchKernels<Scalar> result;
  visit_dtype<Scalar>(target,
                      [&](auto element) { result.gather = &gather<Scalar, decltype(element)>; });
  visit_dtype<Scalar>(prediction, [&](auto element) {
    result.squares = &costs<Square, Scalar, decltype(element)>;
    result.absolutes = &costs<Absolute, Scalar, decltype(element)>;
  });
  result.normalization = &normalization<Scalar>;
  return result;
}

}  // namespace PIXMIM_SIMD
}  // namespace detail
}  // namespace v0
}  // namespace pixmim
