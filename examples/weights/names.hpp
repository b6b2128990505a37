// SPDX-License-Identifier: Apache-2.0
// What the projects of the field call the parameters of a Vision Transformer.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "weights/tensors.hpp"

namespace weights {

/// The schemes, each a table in names.cpp that is read in both directions:
///
///     mae          the official MAE's, and of examples/mae: encoder and decoder
///     timm         timm's vision_transformer: the encoder, with the same names
///     mmpretrain   OpenMMLab's models for pretraining: backbone.*, neck.*
///     mmseg        the backbone `MAE` of mmsegmentation's UPerNet: mmpretrain's without the prefix
///     hf           transformers' ViTMAEForPreTraining and ViTMAEModel: query, key and value apart
///     detectron2   ViTDet: backbone.net.*, with the class token's position, without the token
///
/// Models without a table (ConvMAE, SimMIM) have one scheme, that of their official code: `mae`
/// leaves all names as they are.
const std::vector<std::string>& scheme_names();

/// The scheme with most of these names; `mae` if none has any.
std::string detect_scheme(const Tensors& tensors);

/// Under which key the scheme's project looks for the state dict in a .pth; empty: the outermost
/// dict.
std::string checkpoint_key(const std::string& scheme);

/// Whether a parameter of this native name serves pretraining alone: decoder, mask token, fusion.
bool is_for_pretraining_only(const std::string& native_name);

struct Renamed {
  Tensors tensors;
  /// Pattern and pattern ('#' a number, '*' the rest), and how many tensors they stand for.
  std::map<std::pair<std::string, std::string>, int64_t> renamed;
  /// Names that the other scheme has no place for.
  std::vector<std::string> dropped;
  /// Patterns of the other scheme that nothing was found for.
  std::vector<std::string> missing;
};

/// From a scheme to the native names. Names that the scheme does not have are kept as they are, and
/// are in `dropped`, too, where the scheme is not `mae`. Throws c10::Error for an unknown scheme,
/// and where parts that belong together (query, key, value) are not all there.
Renamed to_native(const Tensors& tensors, const std::string& scheme);

/// From the native names to a scheme. `encoder_only` leaves out what serves pretraining alone, as
/// schemes without a decoder always do. Throws c10::Error, naming them, if parts of the encoder
/// have no place there.
///
///     weights::from_native(weights.tensors, "hf", /*encoder_only=*/false).tensors
Renamed from_native(const Tensors& tensors, const std::string& scheme, bool encoder_only);

}  // namespace weights
