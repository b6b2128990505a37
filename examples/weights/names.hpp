// SPDX-License-Identifier: Apache-2.0
// What the projects of the field call the parameters of a Vision Transformer.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "weights/tensors.hpp"

namespace weights {

/// The schemes, each a table in scheme_tables.cpp that is read in both directions:
///
///     mae          the official MAE's, and of examples/mae: encoder and decoder
///     timm         timm's vision_transformer: the encoder, with the same names
///     mmpretrain   OpenMMLab's models for pretraining: backbone.*, neck.*; and its classifiers
///     mmseg        the backbone `MAE` of mmsegmentation's UPerNet: mmpretrain's without the prefix
///     hf           transformers' ViTMAEForPreTraining and ViTMAEModel: query, key and value apart
///     detectron2   ViTDet: backbone.net.*, with the class token's position, without the token
///
/// SimMIM's encoder is BEiT's: under the native names (`encoder.*`, as in the official SimMIM) of
/// mae, and timm's Beit, mmpretrain's BEiT, transformers' BeitModel. ConvMAE has the names of its
/// official code and no others; `mae` leaves all names as they are.
const std::vector<std::string>& scheme_names();

/// The schemes that have a model for these weights (native names).
std::vector<std::string> possible_schemes(const Tensors& native);

/// The scheme with most of these names; `mae` if none has any. Prefixes that all names share are
/// seen through: module., _orig_mod., and, if the scheme has none of its own there, model.,
/// encoder., backbone., student., teacher. Throws c10::Error, naming both, for two models in one
/// file.
std::string detect_scheme(const Tensors& tensors);

/// Under which key the scheme's project looks for the state dict in a .pth; empty: the outermost
/// dict.
std::string checkpoint_key(const std::string& scheme);

/// Whether the scheme has names for MAE's decoder.
bool has_decoder(const std::string& scheme);

/// Whether a parameter of this native name serves pretraining alone: decoder, mask token, fusion.
bool is_for_pretraining_only(const std::string& native_name);

struct Renamed {
  Tensors tensors;
  /// Pattern and pattern ('#' a number, '*' the rest), and how many tensors they stand for.
  std::map<std::pair<std::string, std::string>, int64_t> renamed;
  /// Names whose tensors are left out: what the other scheme has no place for, what serves
  /// pretraining alone if the encoder is asked for, buffers of OpenMMLab that are no weights.
  std::vector<std::string> dropped;
  /// Names that the scheme does not have, kept as they are.
  std::vector<std::string> unknown;
  /// Patterns of the other scheme that nothing was found for.
  std::vector<std::string> missing;
};

/// From a scheme to the native names. With `encoder_only` nothing is asked of what serves
/// pretraining alone. Throws c10::Error for an unknown scheme, for two models in one, and where
/// parts that belong together (query, key, value) are not all there; a bias may lack the key's:
/// it becomes q_bias and v_bias.
Renamed to_native(const Tensors& tensors, const std::string& scheme, bool encoder_only = false);

/// From the native names to a scheme. `encoder_only` leaves out what serves pretraining alone, as
/// schemes without a decoder always do. Throws c10::Error, naming them, if parts have no place
/// there: of the encoder, or of a decoder that is not MAE's (LSMAE's between sizes, MFF's fusion);
/// and for models that the scheme has none of, naming the schemes that do.
///
///     weights::from_native(weights.tensors, "hf", /*encoder_only=*/false).tensors
Renamed from_native(const Tensors& tensors, const std::string& scheme, bool encoder_only);

}  // namespace weights
