// SPDX-License-Identifier: Apache-2.0
// The ImageNet statistics that image models normalise with by default.
#pragma once

#include <vector>

namespace pixmim {
inline namespace v0 {

/// Channel means (red, green, blue) of ImageNet, pixels in 0..1: timm's `IMAGENET_DEFAULT_MEAN`.
inline std::vector<double> imagenet_default_mean() {
  return {0.485, 0.456, 0.406};
}

/// Channel deviations of ImageNet, pixels in 0..1: timm's `IMAGENET_DEFAULT_STD`.
inline std::vector<double> imagenet_default_std() {
  return {0.229, 0.224, 0.225};
}

}  // namespace v0
}  // namespace pixmim
