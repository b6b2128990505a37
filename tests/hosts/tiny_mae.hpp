// SPDX-License-Identifier: Apache-2.0
// The MAE that a file of numbers was made with.
#pragma once

#include <string>

#include "mae/mae.hpp"
#include "support/golden.hpp"

namespace hosts {

inline mae::MaskedAutoencoder tiny_mae(const support::Golden& golden) {
  const auto cfg = [&](const char* name) { return golden.integer(std::string("cfg.") + name); };
  return mae::MaskedAutoencoder(mae::MaskedAutoencoderOptions()
                                    .image_size(cfg("img_size"))
                                    .patch_size(cfg("patch_size"))
                                    .embed_dim(cfg("embed_dim"))
                                    .depth(cfg("depth"))
                                    .num_heads(cfg("num_heads"))
                                    .decoder_embed_dim(cfg("decoder_embed_dim"))
                                    .decoder_depth(cfg("decoder_depth"))
                                    .decoder_num_heads(cfg("decoder_num_heads")));
}

}  // namespace hosts
