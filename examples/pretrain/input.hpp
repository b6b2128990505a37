// SPDX-License-Identifier: Apache-2.0
// What the options say about the way from photographs to the model's input.
#pragma once

#include <torch/types.h>
#include <pixmim/random_resized_crop.hpp>
#include <pixmim/simple_resized_crop.hpp>

#include <cmath>
#include <cstdint>
#include <memory>

#include "data/loader.hpp"
#include "data/source.hpp"
#include "pretrain/options.hpp"

namespace pretrain {

inline std::shared_ptr<const data::Source> open_photographs(const Options& options) {
  data::SourceOptions source;
  source.shuffle_buffer(options.shuffle_buffer);
  if (!options.list_cache) source.cache_folder({});
  return data::open_source(options.data, source);
}

/// PixMIM's Simple Resized Crop, or what it replaces.
inline data::Crop make_crop(const Options& options) {
  const auto interpolation = options.interpolation == "bicubic" ? pixmim::Interpolation::Bicubic
                                                                : pixmim::Interpolation::Bilinear;
  const auto order = options.pass_order == "pillow13" ? pixmim::PassOrder::Pillow13
                                                      : pixmim::PassOrder::HorizontalFirst;
  const auto keyed = [seed = options.seed](auto crop) -> data::Crop {
    return [crop, seed](const torch::Tensor& image, data::SampleId id, const torch::Tensor& slot) {
      crop.apply_out(slot, image,
                     crop.sample(image.size(0), image.size(1), seed, id.index, id.epoch));
    };
  };
  if (options.crop == "src") {
    return keyed(pixmim::SimpleResizedCrop(pixmim::SimpleResizedCropOptions(options.image_size)
                                               .interpolation(interpolation)
                                               .pass_order(order)));
  }
  return keyed(pixmim::RandomResizedCrop(pixmim::RandomResizedCropOptions(options.image_size)
                                             .scale({options.min_scale, 1.0})
                                             .interpolation(interpolation)
                                             .pass_order(order)));
}

inline data::DecodeOptions decode_options(const Options& options) {
  const auto decode = data::DecodeOptions().max_pixels(options.max_pixels);
  if (!options.fast_decode) return decode;
  // The smallest square box of a RandomResizedCrop is sqrt(min_scale) of the shorter side: no such
  // box is enlarged for it.
  const double smallest = options.crop == "src" ? 1 : std::sqrt(options.min_scale);
  const double side = static_cast<double>(options.image_size) / smallest;
  return data::DecodeOptions(decode).fast_short_side(static_cast<int64_t>(std::ceil(side)));
}

/// Batches from step `first_step` on.
inline data::LoaderOptions loader_options(const Options& options, int64_t first_step) {
  return data::LoaderOptions(options.batch, options.image_size)
      .workers(options.workers)
      .prefetch(options.prefetch)
      .seed(options.seed)
      .first(static_cast<uint64_t>(first_step * options.effective_batch()))
      .strict(options.strict)
      .cache_bytes(options.cache_mib << 20)
      .pinned(torch::Device(options.device).is_cuda())
      .decode(decode_options(options));
}

}  // namespace pretrain
