// SPDX-License-Identifier: Apache-2.0
// What a filter leaves of images before the magnitude is taken.
#pragma once

#include <ATen/core/Tensor.h>

namespace pixmim {
inline namespace v0 {
namespace detail {

/// Both [N,C,H,W]; `imaginary` is undefined where it is zero, or not asked for.
struct FilteredParts {
  at::Tensor real;
  at::Tensor imaginary;
};

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
