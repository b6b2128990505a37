// SPDX-License-Identifier: Apache-2.0
#include "weights/position_embedding.hpp"

#include <ATen/ATen.h>

#include <cmath>

namespace weights {
namespace {

bool is_square(int64_t number) {
  const auto root = static_cast<int64_t>(std::lround(std::sqrt(static_cast<double>(number))));
  return root > 0 && root * root == number;
}

void check_shape(const at::Tensor& embedding, const std::string& name) {
  TORCH_CHECK(embedding.dim() == 3 && embedding.size(0) == 1 && embedding.size(1) > 0, name,
              ": expected positions of shape [1,L,D], got ", embedding.sizes());
}

/// The grid of the embedding: the given one, or a square.
Grid grid_of(const std::string& name, const at::Tensor& embedding, std::optional<Grid> given) {
  check_shape(embedding, name);
  if (!given) given = square_grid(embedding.size(1));
  TORCH_CHECK(given.has_value(), name, " has ", embedding.size(1),
              " positions, which are no square: name its grid");
  return *given;
}

int64_t scaled(int64_t to, int64_t part, int64_t whole) {
  TORCH_CHECK(to * part % whole == 0, "decoder_pos_embed: its grid is ", part, "/", whole,
              " of the encoder's, and ", to, " patches have no such share");
  return to * part / whole;
}

}  // namespace

std::string text(const Grid& grid) {
  return std::to_string(grid.height) + "x" + std::to_string(grid.width);
}

std::optional<Grid> square_grid(int64_t positions) {
  for (const int64_t patches : {positions - 1, positions}) {
    if (!is_square(patches)) continue;
    const auto side = static_cast<int64_t>(std::lround(std::sqrt(static_cast<double>(patches))));
    return Grid{side, side};
  }
  return std::nullopt;
}

at::Tensor resize_position_embedding(const at::Tensor& embedding, const Grid& from,
                                     const Grid& to) {
  check_shape(embedding, "resize_position_embedding");
  TORCH_CHECK(to.height > 0 && to.width > 0 && from.height > 0 && from.width > 0,
              "resize_position_embedding: expected grids of positive sides, got ", text(from),
              " and ", text(to));
  const int64_t prefix = embedding.size(1) - from.patches();
  TORCH_CHECK(prefix >= 0, "resize_position_embedding: a grid of ", text(from), " needs ",
              from.patches(), " positions, got ", embedding.size(1));
  if (from == to) return embedding;
  const int64_t dim = embedding.size(2);
  const at::Tensor grid = embedding.slice(1, prefix)
                              .to(at::kFloat)
                              .reshape({1, from.height, from.width, dim})
                              .permute({0, 3, 1, 2});
  const at::Tensor resized = at::upsample_bicubic2d(grid, {to.height, to.width},
                                                    /*align_corners=*/false)
                                 .permute({0, 2, 3, 1})
                                 .reshape({1, to.patches(), dim})
                                 .to(embedding.scalar_type());
  return at::cat({embedding.slice(1, 0, prefix), resized}, 1);
}

void resize_positions(Tensors& tensors, const Grid& to, std::optional<Grid> from) {
  const auto encoder = tensors.find("pos_embed");
  TORCH_CHECK(encoder != tensors.end(), "there is no pos_embed to resize");
  const Grid old = grid_of("pos_embed", encoder->second, from);
  // Where the decoder's positions are as many, they are of the same grid.
  const auto decoder = tensors.find("decoder_pos_embed");
  if (decoder != tensors.end()) {
    check_shape(decoder->second, "decoder_pos_embed");
    const bool same = decoder->second.size(1) == encoder->second.size(1);
    const Grid its = grid_of("decoder_pos_embed", decoder->second,
                             same ? std::optional<Grid>(old) : std::nullopt);
    const Grid wanted{scaled(to.height, its.height, old.height),
                      scaled(to.width, its.width, old.width)};
    decoder->second = resize_position_embedding(decoder->second, its, wanted);
  }
  encoder->second = resize_position_embedding(encoder->second, old, to);
}

}  // namespace weights
