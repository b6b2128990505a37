// SPDX-License-Identifier: Apache-2.0
// The grid of patches that a host's options make.
#pragma once

#include <cstddef>
#include <cstdint>

namespace vit {

/// What options with image_size() and patch_size() derive from: `struct Options : PatchGrid<Options>`.
template <typename Options>
struct PatchGrid {
  int64_t grid_h() const { return side(0); }
  int64_t grid_w() const { return side(1); }
  int64_t num_patches() const { return grid_h() * grid_w(); }

 private:
  int64_t side(std::size_t axis) const {
    const auto& options = static_cast<const Options&>(*this);
    return options.image_size()->at(axis) / options.patch_size();
  }
};

}  // namespace vit
