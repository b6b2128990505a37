// SPDX-License-Identifier: Apache-2.0
// What the model sees, hides, paints and was asked for, side by side as PNG.
#pragma once

#include <torch/nn/functional.h>
#include <torch/types.h>
#include <pixmim/normalization.hpp>
#include <pixmim/patches.hpp>

#include <cstdint>
#include <filesystem>
#include <vector>

#include "data/decode.hpp"

namespace pretrain {

/// ImageNet-normalised [N,3,H,W] -> pixels 0..1.
inline torch::Tensor to_pixels(const torch::Tensor& images) {
  const auto values = [](const std::vector<double>& list) {
    return torch::tensor(list, torch::kFloat).view({1, -1, 1, 1});
  };
  return images.cpu().to(torch::kFloat) * values(pixmim::imagenet_default_std()) +
         values(pixmim::imagenet_default_mean());
}

/// Writes a table of pictures: a row for each of N, a column for each of `columns`, pixels 0..1
/// [N,3,H,W], small ones enlarged.
inline void write_table(const std::filesystem::path& path,
                        const std::vector<torch::Tensor>& columns) {
  constexpr int64_t gap = 8;
  constexpr int64_t least_side = 192;
  const int64_t scale = std::max<int64_t>(1, least_side / columns.front().size(2));
  std::vector<torch::Tensor> tiles;
  for (const auto& column : columns) {
    const auto large = column.clamp(0, 1).repeat_interleave(scale, 2).repeat_interleave(scale, 3);
    tiles.push_back(torch::constant_pad_nd(large, {0, gap, 0, gap}, 1));
  }
  const auto rows = torch::cat(tiles, 3);  // [N,3,H,W of all columns]
  const auto table = torch::cat(rows.unbind(0), 1).permute({1, 2, 0});
  data::write_png(path, (table * 255).round().to(torch::kByte));
}

/// image | masked | reconstruction | target. `hidden` [N,1,H,W] is 1 where the model saw nothing:
/// there its `prediction` [N,L,p*p*3] is shown, with norm_pix undone by the statistics of the
/// target's own patches; elsewhere the image.
inline void write_reconstructions(const std::filesystem::path& path, const torch::Tensor& images,
                                  const torch::Tensor& target, const torch::Tensor& prediction,
                                  const torch::Tensor& hidden, int64_t patch_size, bool norm_pix) {
  const torch::ExpandingArray<2> grid({images.size(2) / patch_size, images.size(3) / patch_size});
  auto painted = prediction.to(torch::kFloat);
  if (norm_pix) {
    const auto [variance, mean] = torch::var_mean(pixmim::patchify(target, patch_size), {2},
                                                  /*unbiased=*/true, /*keepdim=*/true);
    painted = painted * (variance + 1e-6).sqrt() + mean;
  }
  const auto pixels = to_pixels(images);
  const auto seen = pixels * (1 - hidden);
  const auto painted_pixels = to_pixels(pixmim::unpatchify(painted, patch_size, grid));
  constexpr double grey = 0.5;
  write_table(path,
              {pixels, seen + grey * hidden, seen + painted_pixels * hidden, to_pixels(target)});
}

/// image | target | what the target leaves out, around grey.
inline void write_targets(const std::filesystem::path& path, const torch::Tensor& images,
                          const torch::Tensor& target) {
  const auto pixels = to_pixels(images);
  const auto kept = to_pixels(target);
  write_table(path, {pixels, kept, pixels - kept + 0.5});
}

}  // namespace pretrain
