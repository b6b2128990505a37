// SPDX-License-Identifier: Apache-2.0
#include "weights/scheme_tables.hpp"

namespace weights {
namespace {

/// Their names of a block's parts.
struct BlockNames {
  Theirs qkv;
  std::string proj, norm1, norm2, fc1, fc2;
};

const BlockNames timm_block = {{"attn.qkv"}, "attn.proj", "norm1", "norm2", "mlp.fc1", "mlp.fc2"};
const BlockNames openmmlab_block = {{"attn.qkv"}, "attn.proj",      "ln1",
                                    "ln2",        "ffn.layers.0.0", "ffn.layers.1"};
const BlockNames hf_block = {
    {"attention.attention.query", "attention.attention.key", "attention.attention.value"},
    "attention.output.dense",
    "layernorm_before",
    "layernorm_after",
    "intermediate.dense",
    "output.dense"};
/// transformers 5 in memory.
const BlockNames hf5_block = {{"attention.q_proj", "attention.k_proj", "attention.v_proj"},
                              "attention.o_proj",
                              "layernorm_before",
                              "layernorm_after",
                              "mlp.fc1",
                              "mlp.fc2"};

/// The rules of a list of blocks: native ones at `native`, theirs at `theirs`.
std::vector<Rule> block_rules(const std::string& native, const std::string& theirs,
                              const BlockNames& names) {
  const auto all = [](const std::string& block, const std::string& part) {
    return block + ".#." + part + ".*";
  };
  Theirs qkv;
  for (const auto& part : names.qkv) qkv.push_back(all(theirs, part));
  return {
      {all(native, "attn.qkv"), qkv},
      {all(native, "attn.proj"), {all(theirs, names.proj)}},
      {all(native, "norm1"), {all(theirs, names.norm1)}},
      {all(native, "norm2"), {all(theirs, names.norm2)}},
      {all(native, "mlp.fc1"), {all(theirs, names.fc1)}},
      {all(native, "mlp.fc2"), {all(theirs, names.fc2)}},
  };
}

std::vector<Rule> joined(std::vector<Rule> rules, const std::vector<Rule>& more) {
  rules.insert(rules.end(), more.begin(), more.end());
  return rules;
}

/// Other spellings of the same native names.
std::vector<Rule> reading_also(std::vector<Rule> rules, const std::vector<Rule>& others) {
  for (const Rule& other : others) {
    for (Rule& rule : rules) {
      if (rule.native == other.native) rule.also_read.push_back(other.theirs);
    }
  }
  return rules;
}

// --- MAE's encoder, and MAE's decoder ---

std::vector<Rule> plain_encoder(const std::string& prefix) {
  return joined({{"cls_token", {prefix + "cls_token"}},
                 {"pos_embed", {prefix + "pos_embed"}},
                 {"patch_embed.proj.*", {prefix + "patch_embed.proj.*"}},
                 {"norm.*", {prefix + "norm.*"}}},
                block_rules("blocks", prefix + "blocks", timm_block));
}

std::vector<Rule> mae_vit() {
  return joined(joined(plain_encoder(""), {{"mask_token", {"mask_token"}},
                                           {"decoder_pos_embed", {"decoder_pos_embed"}},
                                           {"decoder_embed.*", {"decoder_embed.*"}},
                                           {"decoder_norm.*", {"decoder_norm.*"}},
                                           {"decoder_pred.*", {"decoder_pred.*"}}}),
                block_rules("decoder_blocks", "decoder_blocks", timm_block));
}

// timm.create_model("vit_base_patch16_224", num_classes=0) has the encoder's and no others;
// fine-tuned classifiers have a head.
std::vector<Rule> timm_vit() {
  return joined(reading_also(plain_encoder(""), plain_encoder("backbone.")),
                {{"fc_norm.*", {"fc_norm.*"}}, {"head.*", {"head.*"}}});
}

std::vector<Rule> openmmlab_encoder(const std::string& prefix) {
  return joined({{"cls_token", {prefix + "cls_token"}},
                 {"pos_embed", {prefix + "pos_embed"}},
                 {"patch_embed.proj.*", {prefix + "patch_embed.projection.*"}}},
                block_rules("blocks", prefix + "layers", openmmlab_block));
}

// mmpretrain's MAE, PixMIM and MFF, and mmselfsup's. Classifiers have the backbone, ln2 behind an
// average of the patches (out_type="avg_featmap"), and LinearClsHead or VisionTransformerClsHead;
// linear probes have the batch normalisation of ClsBatchNormNeck before that, where the official
// MAE has a head of two.
std::vector<Rule> mmpretrain_vit() {
  const std::string probe = "neck.bn.running_mean";
  return joined(
      joined(openmmlab_encoder("backbone."), {{"norm.*", {"backbone.ln1.*"}},
                                              {"fc_norm.*", {"backbone.ln2.*"}},
                                              {"head.0.*", {"neck.bn.*"}},
                                              {"head.1.*", {"head.layers.head.*"}, {}, probe},
                                              {"head.*", {"head.fc.*"}, {{"head.layers.head.*"}}},
                                              {"proj_layers.#.*", {"backbone.proj_layers.#.*"}},
                                              {"proj_weights", {"backbone.proj_weights"}},
                                              {"mask_token", {"neck.mask_token"}},
                                              {"decoder_pos_embed", {"neck.decoder_pos_embed"}},
                                              {"decoder_embed.*", {"neck.decoder_embed.*"}},
                                              {"decoder_norm.*", {"neck.ln1.*"}},
                                              {"decoder_pred.*", {"neck.decoder_pred.*"}}}),
      block_rules("decoder_blocks", "neck.decoder_blocks", openmmlab_block));
}

// mmseg/models/backbones/mae.py loads into the backbone itself, with strict=False, and resizes no
// positions: convert them to the grid of the segmenter. Its final norm is off, as in the MAE paper.
std::vector<Rule> mmseg_vit() {
  return openmmlab_encoder("");
}

/// `vit`: what comes before the encoder's names.
std::vector<Rule> hf_vit_spelling(const std::string& vit, const std::string& layers,
                                  const std::string& decoder_layers, const BlockNames& block) {
  return joined(joined({{"cls_token", {vit + "embeddings.cls_token"}},
                        {"pos_embed", {vit + "embeddings.position_embeddings"}},
                        {"patch_embed.proj.*", {vit + "embeddings.patch_embeddings.projection.*"}},
                        {"norm.*", {vit + "layernorm.*"}},
                        {"mask_token", {"decoder.mask_token"}},
                        {"decoder_pos_embed", {"decoder.decoder_pos_embed"}},
                        {"decoder_embed.*", {"decoder.decoder_embed.*"}},
                        {"decoder_norm.*", {"decoder.decoder_norm.*"}},
                        {"decoder_pred.*", {"decoder.decoder_pred.*"}}},
                       block_rules("blocks", vit + layers, block)),
                block_rules("decoder_blocks", decoder_layers, block));
}

// The files on the hub, and transformers 4, which 5 reads as well. In memory 5 has other names, and
// its save_pretrained writes the decoder's layers under a third one. A bare ViTMAEModel lacks
// `vit.`.
std::vector<Rule> hf_vit() {
  const std::string decoder = "decoder.decoder_layers";
  auto rules = hf_vit_spelling("vit.", "encoder.layer", decoder, hf_block);
  rules = reading_also(
      rules, hf_vit_spelling("", "encoder.layer", "decoder.decoder_encoder.layer", hf_block));
  rules = reading_also(rules, hf_vit_spelling("vit.", "layers", decoder, hf5_block));
  return reading_also(rules, hf_vit_spelling("", "layers", decoder, hf5_block));
}

// ViTDet's backbone has neither class token nor final norm; its pos_embed keeps the token's
// position (pretrain_use_cls_token) and is resized there.
std::vector<Rule> detectron2_vit() {
  return joined({{"pos_embed", {"backbone.net.pos_embed"}},
                 {"patch_embed.proj.*", {"backbone.net.patch_embed.proj.*"}}},
                block_rules("blocks", "backbone.net.blocks", timm_block));
}

// --- SimMIM's encoder, which is BEiT's; the native names are those of the official SimMIM ---

struct BeitNames {
  std::string encoder;  // what comes before the names
  std::string layers;
  std::string relative_positions;
  std::string scale;  // of layers, without the number
  std::string q_bias, v_bias;
};

std::vector<Rule> beit_blocks(const BeitNames& names, const BlockNames& block) {
  const std::string native = "encoder.blocks";
  const std::string theirs = names.encoder + names.layers;
  const auto each = [&](const std::string& ours, const std::string& part) {
    return Rule{native + ".#." + ours, {theirs + ".#." + part}};
  };
  return joined(block_rules(native, theirs, block),
                {each("attn.q_bias", names.q_bias),
                 each("attn.v_bias", names.v_bias),
                 each("gamma_1", names.scale + "1"),
                 each("gamma_2", names.scale + "2"),
                 {"encoder.rel_pos_bias.relative_position_bias_table",
                  {names.encoder + names.relative_positions + ".relative_position_bias_table"}}});
}

std::vector<Rule> plain_beit(const std::string& prefix) {
  return joined(
      {{"encoder.cls_token", {prefix + "cls_token"}},
       {"encoder.pos_embed", {prefix + "pos_embed"}},
       {"encoder.patch_embed.proj.*", {prefix + "patch_embed.proj.*"}},
       {"encoder.norm.*", {prefix + "norm.*"}}},
      beit_blocks({prefix, "blocks", "rel_pos_bias", "gamma_", "attn.q_bias", "attn.v_bias"},
                  timm_block));
}

/// What the official SimMIM and BEiT have, and timm's Beit lacks.
std::vector<Rule> mask_token_and_index(const std::string& prefix) {
  return {{"encoder.mask_token", {prefix + "mask_token"}},
          {"encoder.rel_pos_bias.relative_position_index",
           {prefix + "rel_pos_bias.relative_position_index"}}};
}

std::vector<Rule> mae_beit() {
  return joined(reading_also(joined(plain_beit("encoder."), mask_token_and_index("encoder.")),
                             joined(plain_beit(""), mask_token_and_index(""))),
                {{"decoder.#.*", {"decoder.#.*"}}});
}

std::vector<Rule> mmpretrain_beit() {
  const std::string backbone = "backbone.";
  return joined(
      joined({{"encoder.cls_token", {backbone + "cls_token"}},
              {"encoder.pos_embed", {backbone + "pos_embed"}},
              {"encoder.patch_embed.proj.*", {backbone + "patch_embed.projection.*"}},
              {"encoder.norm.*", {backbone + "ln1.*"}}},
             mask_token_and_index(backbone)),
      beit_blocks({backbone, "layers", "rel_pos_bias", "gamma_", "attn.q_bias", "attn.v_bias"},
                  openmmlab_block));
}

std::vector<Rule> hf_beit_spelling(const std::string& beit, const BeitNames& names,
                                   const BlockNames& block) {
  return joined(
      {{"encoder.cls_token", {beit + "embeddings.cls_token"}},
       {"encoder.pos_embed", {beit + "embeddings.position_embeddings"}},
       {"encoder.mask_token", {beit + "embeddings.mask_token"}},
       {"encoder.patch_embed.proj.*", {beit + "embeddings.patch_embeddings.projection.*"}},
       {"encoder.norm.*", {beit + "layernorm.*"}}},
      beit_blocks(names, block));
}

// BeitModel, bare or within another: files first, then transformers 5 in memory.
std::vector<Rule> hf_beit() {
  const auto files = [](const std::string& beit) {
    return hf_beit_spelling(beit,
                            {beit, "encoder.layer", "encoder.relative_position_bias", "lambda_",
                             "attention.attention.query.bias", "attention.attention.value.bias"},
                            hf_block);
  };
  const auto memory = [](const std::string& beit) {
    return hf_beit_spelling(beit,
                            {beit, "layers", "shared_position_bias", "lambda_",
                             "attention.q_proj.bias", "attention.v_proj.bias"},
                            hf5_block);
  };
  auto rules = reading_also(files("beit."), files(""));
  return reading_also(reading_also(rules, memory("beit.")), memory(""));
}

}  // namespace

const std::vector<Scheme>& schemes() {
  static const std::vector<Scheme> all = {
      {"mae", "model", mae_vit(), mae_beit()},
      {"timm", "", timm_vit(), plain_beit("")},
      {"mmpretrain", "state_dict", mmpretrain_vit(), mmpretrain_beit()},
      {"mmseg", "state_dict", mmseg_vit(), {}},
      {"hf", "", hf_vit(), hf_beit()},
      {"detectron2", "model", detectron2_vit(), {}},
  };
  return all;
}

}  // namespace weights
