// SPDX-License-Identifier: Apache-2.0
// Position embeddings for another grid of patches.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string>

#include "weights/tensors.hpp"

namespace weights {

/// Patches down and across.
struct Grid {
  int64_t height = 0;
  int64_t width = 0;

  int64_t patches() const { return height * width; }
  friend bool operator==(const Grid& a, const Grid& b) {
    return a.height == b.height && a.width == b.width;
  }
};

/// "14x14".
std::string text(const Grid& grid);

/// A square grid of `positions`, after one class token or none; nothing if there is no such grid.
std::optional<Grid> square_grid(int64_t positions);

/// embedding [1,P+h*w,D] of grid `from` -> [1,P+H*W,D] of grid `to`: bicubic, as
/// interpolate_pos_embed of MAE's util/pos_embed.py does (align_corners false, a = -0.75); the
/// first P rows (class token) are kept. The same grid gives the same tensor. Computed in float32,
/// any dtype. Throws c10::Error if the shape does not fit `from`.
///
///     resize_position_embedding(weights.at("pos_embed"), {14, 14}, {32, 32})
at::Tensor resize_position_embedding(const at::Tensor& embedding, const Grid& from, const Grid& to);

/// The same for the embedding `name`. A decoder's that is fixed (sines and cosines, in the order of
/// the official MAE or of OpenMMLab) is made anew for `to`, as a model of that grid makes it; an
/// encoder's is resized even then, as the official fine-tuning does.
at::Tensor fit_positions(const std::string& name, const at::Tensor& embedding, const Grid& from,
                         const Grid& to);

/// pos_embed and decoder_pos_embed (native names) for the grid `to`. `from`: the encoder's grid as
/// it is, where it is not square. A decoder with a coarser grid keeps its share of the encoder's.
/// Throws c10::Error where a grid is not known, and for relative positions.
void resize_positions(Tensors& tensors, const Grid& to, std::optional<Grid> from = std::nullopt);

}  // namespace weights
