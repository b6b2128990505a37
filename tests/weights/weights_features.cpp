// SPDX-License-Identifier: Apache-2.0
// Latents and predictions of the MAE example with the weights of a file: the C++ side of
// against_python.py.
//
//     weights_features WEIGHTS INPUT OUTPUT
//     weights_features --time WEIGHTS COUNT
//
// INPUT: safetensors with images [N,3,H,W], noise [N,L], and int64 scalars patch_size, num_heads,
// decoder_num_heads. OUTPUT: safetensors with latent (nothing masked), and, where the weights have
// a decoder, masked_latent and prediction at a mask ratio of 0.75. --time prints how long it takes
// to map the file, and to read every number after that.

#include <torch/torch.h>
#include <pixmim/masking.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <string>

#include "mae/mae.hpp"
#include "weights/load.hpp"
#include "weights/names.hpp"
#include "weights/safetensors.hpp"

namespace {

int64_t count_blocks(const weights::Tensors& native, const std::string& list) {
  int64_t count = 0;
  while (native.count(list + "." + std::to_string(count) + ".norm1.weight") > 0) ++count;
  return count;
}

mae::MaskedAutoencoderOptions options_of(const weights::Tensors& native,
                                         const weights::Tensors& input) {
  const auto number = [&](const char* name) { return input.at(name).item<int64_t>(); };
  const auto& images = input.at("images");
  auto options = mae::MaskedAutoencoderOptions()
                     .image_size({images.size(2), images.size(3)})
                     .patch_size(number("patch_size"))
                     .num_heads(number("num_heads"))
                     .decoder_num_heads(number("decoder_num_heads"))
                     .embed_dim(native.at("pos_embed").size(2))
                     .depth(count_blocks(native, "blocks"));
  if (native.count("decoder_pos_embed") > 0) {
    options.decoder_embed_dim(native.at("decoder_pos_embed").size(2))
        .decoder_depth(count_blocks(native, "decoder_blocks"));
  } else {
    options.decoder_embed_dim(4 * number("decoder_num_heads")).decoder_depth(1);
  }
  return options;
}

void run(const char* path, const char* input_path, const char* output_path) {
  const torch::NoGradGuard no_grad;
  const auto given = weights::read_file(path).tensors;
  const auto native = weights::to_native(given, weights::detect_scheme(given)).tensors;
  const auto input = weights::read_safetensors(input_path).tensors;
  const bool decoder = native.count("decoder_pos_embed") > 0;
  mae::MaskedAutoencoder model(options_of(native, input));
  weights::initialize(*model, path, weights::LoadOptions().encoder_only(!decoder));
  model->eval();

  weights::Tensors output;
  const auto& images = input.at("images");
  const auto& noise = input.at("noise");
  // Every patch, in its place.
  const auto order = torch::arange(noise.size(1), torch::kFloat).expand(noise.sizes()).contiguous();
  output["latent"] = model->forward_encoder(images, pixmim::mask_from_noise(order, 0));
  if (decoder) {
    const auto mask = pixmim::mask_from_noise(noise, 0.75);
    output["masked_latent"] = model->forward_encoder(images, mask);
    output["prediction"] = model->forward_decoder(output["masked_latent"], mask);
  }
  weights::write_safetensors(output_path, output);
}

void time_reading(const char* path, int count) {
  using Clock = std::chrono::steady_clock;
  const auto milliseconds = [](Clock::duration time) {
    return std::chrono::duration<double, std::milli>(time).count();
  };
  double mapped = 1e9;
  double used = 1e9;
  for (int i = 0; i < count; ++i) {
    const auto start = Clock::now();
    const auto weights = weights::read_file(path);
    const auto there = Clock::now();
    for (const auto& item : weights.tensors) item.second.clone();
    mapped = std::min(mapped, milliseconds(there - start));
    used = std::min(used, milliseconds(Clock::now() - start));
  }
  std::printf("  weights::read_file %-12s%8.2f ms, %.2f ms with a copy of all numbers\n",
              std::filesystem::path(path).extension().c_str(), mapped, used);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: weights_features WEIGHTS INPUT OUTPUT\n");
    return 2;
  }
  try {
    if (std::string(argv[1]) == "--time") {
      time_reading(argv[2], std::stoi(argv[3]));
      return 0;
    }
    run(argv[1], argv[2], argv[3]);
    return 0;
  } catch (const c10::Error& error) {
    std::fprintf(stderr, "weights_features: %s\n", error.what_without_backtrace());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "weights_features: %s\n", error.what());
  }
  return 1;
}
