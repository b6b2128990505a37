// SPDX-License-Identifier: Apache-2.0
// Sums over a patch, and its normalisation. Included by kernels.inl, once for each instruction set.

namespace pixmim {
inline namespace v0 {
namespace detail {
namespace PIXMIM_SIMD {
namespace pixel_loss {

/// Values that are added in `Scalar`s; the sums of longer patches are added in double.
constexpr int64_t added_narrow = 4096;

/// Four sums side by side: one would wait for each addition.
template <typename Scalar>
struct Sums {
  static constexpr int64_t count = 4;
  Vector<Scalar> parts[count];

  PIXMIM_TARGET PIXMIM_ALWAYS_INLINE void clear() {
    for (int64_t k = 0; k < count; ++k) parts[k] = Vector<Scalar>::zero();
  }
  PIXMIM_TARGET PIXMIM_ALWAYS_INLINE double total() const {
    return static_cast<double>(((parts[0] + parts[1]) + (parts[2] + parts[3])).sum());
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
struct Difference {
  template <typename Scalar>
  PIXMIM_TARGET PIXMIM_ALWAYS_INLINE static Vector<Scalar> add(Vector<Scalar> value,
                                                               Vector<Scalar> mean,
                                                               Vector<Scalar> sum) {
    return sum + (value - mean);
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
  for (int64_t begin = 0; begin < count; begin += added_narrow) {
    const int64_t end = begin + added_narrow < count ? begin + added_narrow : count;
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
  // Sums round by more than a patch without contrast differs from its mean.
  const double correction = sum_terms<Difference>(target, pixels, result.mean) / count;
  result.mean = static_cast<Scalar>(static_cast<double>(result.mean) + correction);
  for (int64_t i = pixels; i < padded(pixels); ++i) target[i] = result.mean;
  const double squares = sum_terms<SquareAroundMean>(target, pixels, result.mean);
  // One value has no unbiased variance (0 / 0): it is its own mean.
  const double variance = pixels > 1 ? squares / (count - 1) : 0;
  result.scale = static_cast<Scalar>(1 / std::sqrt(variance + 1e-6));
  return result;
}

}  // namespace pixel_loss
}  // namespace PIXMIM_SIMD
}  // namespace detail
}  // namespace v0
}  // namespace pixmim
