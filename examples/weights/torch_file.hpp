// SPDX-License-Identifier: Apache-2.0
// The files of torch.save (.pth, .pt, .bin), and of torch::serialize.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "weights/mapped_file.hpp"
#include "weights/tensors.hpp"

namespace weights {

/// Maps the file and reads the tensors of its state dict: zip archives as torch.save writes them
/// since PyTorch 1.6, the plain pickles from before (OpenMMLab still publishes those), and archives
/// of torch::serialize, such as pretrain's checkpoint.pt.
///
/// The state dict is what stands under `state_dict`, `model` or `module`, else the outermost dict.
/// What stands beside it (optimizer, args, epoch) is looked over, and nothing in the file is ever
/// called: classes and functions are names, those not on a short list (tensors, their storages and
/// dtypes, OrderedDict, argparse.Namespace, paths, numpy's numbers, configurations of yacs and
/// OpenMMLab, ...) are refused by name. Tensors may
/// be of every dtype, share storages and have strides.
///
/// Throws c10::Error, naming the file, for all that is malformed: compressed or cut zips, sizes and
/// strides that leave their storage, unknown opcodes. Nothing is allocated on what a file only
/// claims.
///
///     const weights::Weights weights = weights::read_torch_file("mae_pretrain_vit_base.pth");
///     weights.tensors.at("blocks.0.attn.qkv.weight");
Weights read_torch_file(const std::filesystem::path& path);

/// The same of a file that is open already, without its path in messages.
Weights read_torch_file(const std::shared_ptr<MappedFile>& file);

/// Writes what torch.load(path, weights_only=True) reads as {key: OrderedDict of the tensors}, or
/// as that OrderedDict if `key` is empty. Whole or not at all.
///
///     weights::write_torch_file("vit.pth", weights.tensors, "model");
void write_torch_file(const std::filesystem::path& path, const Tensors& tensors,
                      const std::string& key);

}  // namespace weights
