// SPDX-License-Identifier: Apache-2.0
// The Vision Transformers of the field, by name.
#pragma once

#include <c10/util/Exception.h>

#include <cstdint>
#include <string>

namespace vit {

struct EncoderSize {
  int64_t embed_dim;
  int64_t depth;
  int64_t num_heads;
  int64_t patch_size = 16;
};

/// tiny, small, base, large or huge; of another name `caller` complains.
inline EncoderSize encoder_size(const char* caller, const std::string& size) {
  if (size == "tiny") return {192, 12, 3};
  if (size == "small") return {384, 12, 6};
  if (size == "base") return {768, 12, 12};
  if (size == "large") return {1024, 24, 16};
  if (size == "huge") return {1280, 32, 16, 14};
  TORCH_CHECK(false, caller, ": expected size to be tiny, small, base, large or huge, got ", size);
}

/// Sets a host's options to an encoder.
template <typename Options>
Options with_encoder(Options options, const EncoderSize& encoder) {
  return options.embed_dim(encoder.embed_dim)
      .depth(encoder.depth)
      .num_heads(encoder.num_heads)
      .patch_size(encoder.patch_size);
}

}  // namespace vit
