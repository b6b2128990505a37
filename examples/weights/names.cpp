// SPDX-License-Identifier: Apache-2.0
#include "weights/names.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <optional>
#include <set>
#include <string_view>

namespace weights {
namespace {

/// A name in another scheme; three of them hold the thirds of the first dimension.
using Theirs = std::vector<std::string>;

/// Names, segment by segment: '#' is a number, '*' all that is left.
struct Rule {
  std::string native;
  Theirs theirs;
  std::vector<Theirs> also_read = {};  // other spellings that are found in files
};

struct Scheme {
  std::string name;
  std::string checkpoint_key;
  std::vector<Rule> rules;
};

// --- the tables ---

/// The rules of a list of blocks: native ones at `native`, theirs at `theirs`, with their names of
/// the parts.
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

std::vector<Rule> plain_encoder(const std::string& prefix) {
  return joined({{"cls_token", {prefix + "cls_token"}},
                 {"pos_embed", {prefix + "pos_embed"}},
                 {"patch_embed.proj.*", {prefix + "patch_embed.proj.*"}},
                 {"norm.*", {prefix + "norm.*"}}},
                block_rules("blocks", prefix + "blocks", timm_block));
}

Scheme mae() {
  return {"mae", "model",
          joined(joined(plain_encoder(""), {{"mask_token", {"mask_token"}},
                                            {"decoder_pos_embed", {"decoder_pos_embed"}},
                                            {"decoder_embed.*", {"decoder_embed.*"}},
                                            {"decoder_norm.*", {"decoder_norm.*"}},
                                            {"decoder_pred.*", {"decoder_pred.*"}}}),
                 block_rules("decoder_blocks", "decoder_blocks", timm_block))};
}

// timm.create_model("vit_base_patch16_224", num_classes=0) has the encoder's and no others;
// fine-tuned classifiers have a head.
Scheme timm() {
  return {"timm", "",
          joined(reading_also(plain_encoder(""), plain_encoder("backbone.")),
                 {{"fc_norm.*", {"fc_norm.*"}}, {"head.*", {"head.*"}}})};
}

std::vector<Rule> openmmlab_encoder(const std::string& prefix) {
  return joined({{"cls_token", {prefix + "cls_token"}},
                 {"pos_embed", {prefix + "pos_embed"}},
                 {"patch_embed.proj.*", {prefix + "patch_embed.projection.*"}}},
                block_rules("blocks", prefix + "layers", openmmlab_block));
}

// mmpretrain's MAE, PixMIM and MFF, and mmselfsup's; its classifiers have the backbone alone.
Scheme mmpretrain() {
  return {"mmpretrain", "state_dict",
          joined(joined(openmmlab_encoder("backbone."),
                        {{"norm.*", {"backbone.ln1.*"}},
                         {"proj_layers.#.*", {"backbone.proj_layers.#.*"}},
                         {"proj_weights", {"backbone.proj_weights"}},
                         {"mask_token", {"neck.mask_token"}},
                         {"decoder_pos_embed", {"neck.decoder_pos_embed"}},
                         {"decoder_embed.*", {"neck.decoder_embed.*"}},
                         {"decoder_norm.*", {"neck.ln1.*"}},
                         {"decoder_pred.*", {"neck.decoder_pred.*"}}}),
                 block_rules("decoder_blocks", "neck.decoder_blocks", openmmlab_block))};
}

// mmseg/models/backbones/mae.py loads into the backbone itself, with strict=False, and resizes no
// positions: convert them to the grid of the segmenter. Its final norm is off, as in the MAE paper.
Scheme mmseg() {
  return {"mmseg", "state_dict", openmmlab_encoder("")};
}

/// `vit` and `decoder`: what comes before the encoder's and the decoder's names.
std::vector<Rule> hf_rules(const std::string& vit, const std::string& layers,
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
Scheme hf() {
  auto rules = hf_rules("vit.", "encoder.layer", "decoder.decoder_layers", hf_block);
  rules =
      reading_also(rules, hf_rules("", "encoder.layer", "decoder.decoder_encoder.layer", hf_block));
  rules = reading_also(rules, hf_rules("vit.", "layers", "decoder.decoder_layers", hf5_block));
  rules = reading_also(rules, hf_rules("", "layers", "decoder.decoder_layers", hf5_block));
  return {"hf", "", rules};
}

// ViTDet's backbone has neither class token nor final norm; its pos_embed keeps the token's
// position (pretrain_use_cls_token) and is resized there.
Scheme detectron2() {
  return {"detectron2", "model",
          joined({{"pos_embed", {"backbone.net.pos_embed"}},
                  {"patch_embed.proj.*", {"backbone.net.patch_embed.proj.*"}}},
                 block_rules("blocks", "backbone.net.blocks", timm_block))};
}

const std::vector<Scheme>& schemes() {
  static const std::vector<Scheme> all = {mae(), timm(), mmpretrain(), mmseg(), hf(), detectron2()};
  return all;
}

const Scheme& scheme_of(const std::string& name) {
  for (const Scheme& scheme : schemes()) {
    if (scheme.name == name) return scheme;
  }
  C10_THROW_ERROR(Error,
                  c10::str("expected a scheme of names among ", scheme_names(), ", got ", name));
}

// --- patterns ---

std::vector<std::string_view> segments(std::string_view name) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t dot = name.find('.');
    parts.push_back(name.substr(0, dot));
    if (dot == std::string_view::npos) return parts;
    name.remove_prefix(dot + 1);
  }
}

bool is_number(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

/// What '#' and '*' stand for in `name`; nothing if the pattern does not fit.
std::optional<std::vector<std::string>> match(std::string_view pattern, std::string_view name) {
  const auto wanted = segments(pattern);
  const auto given = segments(name);
  std::vector<std::string> captured;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (i >= given.size()) return std::nullopt;
    if (wanted[i] == "*") {
      captured.emplace_back(given[i].data(), name.data() + name.size());
      return captured;
    }
    if (wanted[i] == "#" && is_number(given[i])) {
      captured.emplace_back(given[i]);
    } else if (wanted[i] != given[i]) {
      return std::nullopt;
    }
  }
  if (given.size() != wanted.size()) return std::nullopt;
  return captured;
}

std::string filled(std::string_view pattern, const std::vector<std::string>& captured) {
  std::string name;
  std::size_t next = 0;
  for (const auto part : segments(pattern)) {
    if (!name.empty()) name += '.';
    name += part == "#" || part == "*" ? captured.at(next++) : std::string(part);
  }
  return name;
}

// --- what a name is in a scheme ---

struct Found {
  const Rule* rule;
  const Theirs* theirs;
  std::size_t part;  // which of `theirs`
  std::vector<std::string> captured;
};

std::optional<Found> find(const Scheme& scheme, std::string_view name) {
  const auto in = [&](const Rule& rule, const Theirs& theirs) -> std::optional<Found> {
    for (std::size_t part = 0; part < theirs.size(); ++part) {
      if (auto captured = match(theirs[part], name)) {
        return Found{&rule, &theirs, part, std::move(*captured)};
      }
    }
    return std::nullopt;
  };
  for (const Rule& rule : scheme.rules) {
    if (auto found = in(rule, rule.theirs)) return found;
    for (const Theirs& other : rule.also_read) {
      if (auto found = in(rule, other)) return found;
    }
  }
  return std::nullopt;
}

bool starts_with(const std::string& text, std::string_view prefix) {
  return text.compare(0, prefix.size(), prefix) == 0;
}

/// Without the prefix that DistributedDataParallel or torch.compile put before all names.
Tensors unwrapped(Tensors tensors) {
  for (const std::string prefix : {"module.", "_orig_mod."}) {
    const bool everywhere = std::all_of(tensors.begin(), tensors.end(), [&](const auto& item) {
      return starts_with(item.first, prefix);
    });
    if (!everywhere) continue;
    Tensors shorter;
    for (auto& [name, tensor] : tensors) shorter.emplace(name.substr(prefix.size()), tensor);
    tensors = std::move(shorter);
  }
  return tensors;
}

/// Keys without a bias (LSMAE, BEiT: attn.q_bias, attn.v_bias) as a bias that is zero there.
Tensors with_key_bias(const Tensors& tensors) {
  constexpr std::string_view query = ".q_bias";
  Tensors result;
  for (const auto& [name, tensor] : tensors) {
    const bool is_query = name.size() > query.size() &&
                          name.compare(name.size() - query.size(), query.size(), query) == 0;
    const std::string attention =
        is_query ? name.substr(0, name.size() - query.size()) : std::string();
    const auto value = tensors.find(attention + ".v_bias");
    if (is_query && value != tensors.end()) {
      result[attention + ".qkv.bias"] =
          at::cat({tensor, at::zeros_like(tensor), value->second.to(tensor.scalar_type())});
    } else if (name.size() <= query.size() ||
               name.compare(name.size() - query.size(), query.size(), ".v_bias") != 0 ||
               tensors.count(name.substr(0, name.size() - query.size()) + ".q_bias") == 0) {
      result.emplace(name, tensor);
    }
  }
  return result;
}

/// What an encoder can do without where a scheme has no place for it: detectron2 and mmsegmentation
/// have no final norm, nobody but the classifier needs a head.
bool can_go(const std::string& native) {
  return native == "cls_token" || starts_with(native, "norm.") || starts_with(native, "fc_norm.") ||
         starts_with(native, "head.");
}

/// What only some models have.
bool is_rare(const std::string& native) {
  return starts_with(native, "proj_") || starts_with(native, "fc_norm.") ||
         starts_with(native, "head.");
}

std::string pattern_text(const Theirs& theirs) {
  std::string text = theirs[0];
  for (std::size_t i = 1; i < theirs.size(); ++i) text += " + " + theirs[i];
  return text;
}

void add(Tensors& tensors, const std::string& name, at::Tensor tensor) {
  TORCH_CHECK(tensors.emplace(name, std::move(tensor)).second, "two tensors come to the name ",
              name);
}

}  // namespace

const std::vector<std::string>& scheme_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const Scheme& scheme : schemes()) all.push_back(scheme.name);
    return all;
  }();
  return names;
}

std::string checkpoint_key(const std::string& scheme) {
  return scheme_of(scheme).checkpoint_key;
}

bool is_for_pretraining_only(const std::string& name) {
  return starts_with(name, "decoder") || name == "mask_token" ||
         starts_with(name, "proj_layers.") || name == "proj_weights" ||
         starts_with(name, "stage1_output_decode.") || starts_with(name, "stage2_output_decode.");
}

std::string detect_scheme(const Tensors& tensors) {
  const Tensors plain = unwrapped(tensors);
  std::string best = schemes().front().name;
  std::ptrdiff_t most = 0;
  for (const Scheme& scheme : schemes()) {
    const auto count = std::count_if(plain.begin(), plain.end(), [&](const auto& item) {
      return find(scheme, item.first).has_value();
    });
    if (count > most) {
      most = count;
      best = scheme.name;
    }
  }
  return best;
}

Renamed to_native(const Tensors& tensors, const std::string& name) {
  const Scheme& scheme = scheme_of(name);
  const Tensors given = unwrapped(tensors);
  Renamed result;
  std::map<std::string, std::map<std::size_t, at::Tensor>> parts;  // native name -> its thirds
  for (const auto& [theirs, tensor] : given) {
    const auto found = find(scheme, theirs);
    if (!found) {
      if (scheme.name != "mae") result.dropped.push_back(theirs);
      add(result.tensors, theirs, tensor);
      continue;
    }
    const std::string native = filled(found->rule->native, found->captured);
    const std::string pattern = pattern_text(*found->theirs);
    if (found->part == 0 && pattern != found->rule->native) {
      ++result.renamed[{pattern, found->rule->native}];
    }
    if (found->theirs->size() == 1) {
      add(result.tensors, native, tensor);
    } else {
      TORCH_CHECK(parts[native].emplace(found->part, tensor).second,
                  "two tensors come to a part of ", native);
    }
  }
  for (const auto& [native, thirds] : parts) {
    TORCH_CHECK(thirds.size() == 3, native, " comes from query, key and value, of which only ",
                thirds.size(), " are there");
    const auto& query = thirds.at(0);
    for (const auto& third : thirds) {
      TORCH_CHECK(third.second.sizes() == query.sizes() && query.dim() > 0 &&
                      third.second.scalar_type() == query.scalar_type(),
                  "query, key and value of ", native, " differ in shape or dtype");
    }
    add(result.tensors, native, at::cat({query, thirds.at(1), thirds.at(2)}));
  }
  return result;
}

Renamed from_native(const Tensors& tensors, const std::string& name, bool encoder_only) {
  const Scheme& scheme = scheme_of(name);
  const bool identity = scheme.name == "mae";
  const Tensors given = identity ? tensors : with_key_bias(tensors);
  Renamed result;
  std::set<const Rule*> used;
  std::string homeless;
  for (const auto& [native, tensor] : given) {
    const bool surplus = is_for_pretraining_only(native);
    if (surplus && encoder_only) {
      result.dropped.push_back(native);
      continue;
    }
    const Rule* rule = nullptr;
    std::vector<std::string> captured;
    for (const Rule& candidate : scheme.rules) {
      if (auto fits = match(candidate.native, native)) {
        rule = &candidate;
        captured = std::move(*fits);
        break;
      }
    }
    if (rule == nullptr) {
      if (identity) {
        add(result.tensors, native, tensor);
      } else {
        if (!surplus && !can_go(native)) homeless += (homeless.empty() ? "" : ", ") + native;
        result.dropped.push_back(native);
      }
      continue;
    }
    used.insert(rule);
    const std::string pattern = pattern_text(rule->theirs);
    if (pattern != rule->native) ++result.renamed[{rule->native, pattern}];
    if (rule->theirs.size() == 1) {
      add(result.tensors, filled(rule->theirs[0], captured), tensor);
      continue;
    }
    TORCH_CHECK(tensor.dim() > 0 && tensor.size(0) % 3 == 0, native, " of shape ", tensor.sizes(),
                " cannot be split into query, key and value");
    const auto thirds = tensor.chunk(3);
    for (std::size_t i = 0; i < 3; ++i) {
      add(result.tensors, filled(rule->theirs[i], captured), thirds[i]);
    }
  }
  TORCH_CHECK(homeless.empty(), "these parts of the encoder have no name in ", scheme.name, ": ",
              homeless);
  const bool has_decoder = std::any_of(given.begin(), given.end(), [](const auto& item) {
    return is_for_pretraining_only(item.first);
  });
  // Models without a table are not this scheme's with something missing.
  if (identity && given.count("patch_embed.proj.weight") == 0) return result;
  for (const Rule& rule : scheme.rules) {
    if (used.count(&rule) > 0 || is_rare(rule.native)) continue;
    if (is_for_pretraining_only(rule.native) && (encoder_only || !has_decoder)) continue;
    result.missing.push_back(pattern_text(rule.theirs));
  }
  return result;
}

}  // namespace weights
