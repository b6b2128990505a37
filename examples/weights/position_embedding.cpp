// SPDX-License-Identifier: Apache-2.0
#include "weights/position_embedding.hpp"

#include <ATen/ATen.h>

#include <cmath>

#include "vit/position_embedding.hpp"

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

enum class SinCosOrder { Mae, OpenMMLab };

/// [1,prefix+h*w,D] float32. OpenMMLab's has the row in the first half of the channels.
at::Tensor sincos(SinCosOrder order, int64_t dim, const Grid& grid, int64_t prefix) {
  at::Tensor made = vit::sincos_2d(dim, grid.height, grid.width, prefix);
  if (order == SinCosOrder::OpenMMLab) made = made.roll(dim / 2, 1);
  return made.unsqueeze(0);
}

/// The order of sines and cosines that the embedding consists of, if it does.
std::optional<SinCosOrder> sincos_order(const at::Tensor& embedding, const Grid& grid) {
  const int64_t dim = embedding.size(2);
  const int64_t prefix = embedding.size(1) - grid.patches();
  if (dim % 4 != 0 || dim == 0 || prefix < 0) return std::nullopt;
  // Rounding of 16-bit numbers; of float32, that of the angles, too.
  const double rounding = embedding.scalar_type() == at::kHalf       ? 1e-3
                          : embedding.scalar_type() == at::kBFloat16 ? 1e-2
                                                                     : 1e-4;
  for (const auto order : {SinCosOrder::Mae, SinCosOrder::OpenMMLab}) {
    const at::Tensor made = sincos(order, dim, grid, prefix);
    if (at::allclose(embedding.to(at::kFloat), made, /*rtol=*/0, rounding)) return order;
  }
  return std::nullopt;
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

at::Tensor fit_positions(const std::string& name, const at::Tensor& embedding, const Grid& from,
                         const Grid& to) {
  if (name == "decoder_pos_embed" && !(from == to)) {
    if (const auto order = sincos_order(embedding, from)) {
      return sincos(*order, embedding.size(2), to, embedding.size(1) - from.patches())
          .to(embedding.scalar_type());
    }
  }
  return resize_position_embedding(embedding, from, to);
}

void resize_positions(Tensors& tensors, const Grid& to, std::optional<Grid> from) {
  TORCH_CHECK(tensors.count("encoder.rel_pos_bias.relative_position_bias_table") == 0,
              "SimMIM's relative positions belong to one grid and cannot be resized");
  auto encoder = tensors.find("pos_embed");
  if (encoder == tensors.end()) encoder = tensors.find("encoder.pos_embed");
  TORCH_CHECK(encoder != tensors.end(), "there is no pos_embed to resize");
  const Grid old = grid_of(encoder->first, encoder->second, from);
  // Where the decoder's positions are as many, they are of the same grid.
  const auto decoder = tensors.find("decoder_pos_embed");
  if (decoder != tensors.end()) {
    check_shape(decoder->second, "decoder_pos_embed");
    const bool same = decoder->second.size(1) == encoder->second.size(1);
    const Grid its = grid_of("decoder_pos_embed", decoder->second,
                             same ? std::optional<Grid>(old) : std::nullopt);
    const Grid wanted{scaled(to.height, its.height, old.height),
                      scaled(to.width, its.width, old.width)};
    decoder->second = fit_positions(decoder->first, decoder->second, its, wanted);
  }
  encoder->second = resize_position_embedding(encoder->second, old, to);
}

}  // namespace weights
