// SPDX-License-Identifier: Apache-2.0
// How an engine has a library transform batches, whatever the library: cuFFT, or that of the tests.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/ScalarType.h>

#include <cstdint>

namespace pixmim {
inline namespace v0 {
namespace detail {
namespace cuda {

/// A batch of one-dimensional transforms: which, and where their numbers are.
struct FourierTransform {
  enum class Kind { RealToComplex, ComplexToComplex, ComplexToReal };
  /// Places of the numbers of one side, counted in numbers of their own, real or complex, type.
  struct Side {
    int64_t step;      ///< from a number of a transform to the next
    int64_t distance;  ///< from a transform to the next
  };

  Kind kind;
  c10::ScalarType dtype;  ///< of real numbers: float32 or float64
  int64_t length;  ///< in real numbers, where one side has them: the other has length / 2 + 1
  int64_t count;
  Side input;
  Side output;

  bool operator==(const FourierTransform& other) const {
    return kind == other.kind && dtype == other.dtype && length == other.length &&
           count == other.count && input == other.input && output == other.output;
  }
  friend bool operator==(const Side& a, const Side& b) {
    return a.step == b.step && a.distance == b.distance;
  }
};

/// Transforms on one device, on the stream that is current for it.
class FourierTransforms {
 public:
  virtual ~FourierTransforms() = default;

  /// Makes what run() needs, which a stream that is being captured could not do.
  virtual void prepare(const FourierTransform& transform) = 0;
  /// Starts, and does not wait. Nothing is divided by the length. A complex `input` may be the output as
  /// well; for a real output it is lost.
  virtual void run(const FourierTransform& transform, const at::Tensor& input,
                   const at::Tensor& output, bool inverse) = 0;
};

}  // namespace cuda
}  // namespace detail
}  // namespace v0
}  // namespace pixmim
