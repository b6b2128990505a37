// SPDX-License-Identifier: Apache-2.0
// What hosts ask of image sizes and images.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>
#include <torch/expanding_array.h>

#include <cstdint>

namespace vit {

/// Throws unless the patches fill the image, and there is one.
inline void expect_whole_patches(const char* caller, const torch::ExpandingArray<2>& image_size,
                                 int64_t patch_size) {
  const int64_t height = image_size->at(0);
  const int64_t width = image_size->at(1);
  TORCH_CHECK(patch_size > 0 && height % patch_size == 0 && width % patch_size == 0 &&
                  height / patch_size * (width / patch_size) > 0,
              caller, ": expected image_size to be a multiple of patch_size, ", patch_size,
              ", got ", image_size);
}

/// Throws unless images are [N,in_chans,H,W] of the size that the positions are for.
inline void expect_images(const char* caller, const at::Tensor& images, int64_t in_chans,
                          const torch::ExpandingArray<2>& image_size) {
  const int64_t height = image_size->at(0);
  const int64_t width = image_size->at(1);
  TORCH_CHECK(images.dim() == 4 && images.size(1) == in_chans && images.size(2) == height &&
                  images.size(3) == width,
              caller, ": expected images of shape [N,", in_chans, ",", height, ",", width,
              "], got ", images.sizes());
}

}  // namespace vit
