// SPDX-License-Identifier: Apache-2.0
// From a file of weights into a module.
#pragma once

#include <torch/nn/module.h>

#include <filesystem>
#include <string>
#include <vector>

#include "weights/position_embedding.hpp"
#include "weights/tensors.hpp"

namespace weights {

/// Reads any file: .safetensors, .pth of torch.save, pretrain's checkpoint.pt. What it is shows in
/// its first bytes, not in its name. Throws c10::Error, naming the file, if it is damaged or none of
/// them, and says what it seems to be.
Weights read_file(const std::filesystem::path& path);

/// `LoadOptions().encoder_only(true)`
struct LoadOptions {
  /// Leave the decoder (and what else serves pretraining alone) as it is, whether the weights have
  /// one or not.
  TORCH_ARG(bool, encoder_only) = false;
  /// Grids of pos_embed, where they are not square: of the weights, and of the module.
  TORCH_ARG(std::optional<Grid>, from_grid) = std::nullopt;
  TORCH_ARG(std::optional<Grid>, grid) = std::nullopt;
};

struct LoadReport {
  std::string scheme;                // of the file's names
  std::vector<std::string> loaded;   // names of the module
  std::vector<std::string> resized;  // of these: positions of another grid
  std::vector<std::string> left;     // of the module, which `encoder_only` leaves as they are
};

/// Copies `given` (names of the module) into its parameters and buffers, in their dtype and on
/// their device. Positions (names that end in pos_embed) are resized where their number differs, or
/// their grid is given and differs; the bias of attention is joined or split (key_bias.hpp).
///
/// Throws c10::Error before anything is changed: if parameters are missing in `given` or tensors
/// are unexpected, which lists them by name; if shapes differ, with both shapes; and if the weights
/// are an encoder's and the module has a decoder, which names the option that allows it.
///
///     weights::load_into(*model, weights::read_file("vit.safetensors").tensors);
LoadReport load_into(torch::nn::Module& module, const Tensors& given,
                     const LoadOptions& options = {});

/// The same from a file of any format and scheme of names (names.hpp), with the path in messages:
/// what a trainer starts from.
///
///     weights::initialize(*model, "mae_pretrain_vit_base.pth", LoadOptions().encoder_only(true));
LoadReport initialize(torch::nn::Module& module, const std::filesystem::path& path,
                      const LoadOptions& options = {});

}  // namespace weights
