// SPDX-License-Identifier: Apache-2.0
#include "weights/names.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string_view>

#include "weights/key_bias.hpp"
#include "weights/scheme_tables.hpp"

namespace weights {
namespace {

bool starts_with(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

const Scheme& scheme_of(const std::string& name) {
  for (const Scheme& scheme : schemes()) {
    if (scheme.name == name) return scheme;
  }
  C10_THROW_ERROR(Error,
                  c10::str("expected a scheme of names among ", scheme_names(), ", got ", name));
}

// --- patterns ---

/// Takes the first segment off.
std::string_view take_segment(std::string_view& name) {
  const std::size_t dot = name.find('.');
  const std::string_view first = name.substr(0, dot);
  name = dot == std::string_view::npos ? std::string_view() : name.substr(dot + 1);
  return first;
}

bool is_number(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

/// What '#' and '*' stand for in `name`; nothing if the pattern does not fit.
std::optional<std::vector<std::string>> match(std::string_view pattern, std::string_view name) {
  std::vector<std::string> captured;
  while (!pattern.empty() && !name.empty()) {
    if (pattern == "*") {
      captured.emplace_back(name);
      return captured;
    }
    const std::string_view wanted = take_segment(pattern);
    const std::string_view given = take_segment(name);
    if (wanted == "#" && is_number(given)) {
      captured.emplace_back(given);
    } else if (wanted != given) {
      return std::nullopt;
    }
  }
  if (!pattern.empty() || !name.empty()) return std::nullopt;
  return captured;
}

std::string filled(std::string_view pattern, const std::vector<std::string>& captured) {
  std::string name;
  std::size_t next = 0;
  while (!pattern.empty()) {
    const std::string_view part = take_segment(pattern);
    if (!name.empty()) name += '.';
    name += part == "#" || part == "*" ? captured.at(next++) : std::string(part);
  }
  return name;
}

// --- which table ---

bool any_name(const Tensors& tensors, const std::function<bool(std::string_view)>& is) {
  return std::any_of(tensors.begin(), tensors.end(),
                     [&is](const auto& item) { return is(item.first); });
}

bool has_names_below(const Tensors& tensors, std::string_view prefix) {
  return any_name(tensors, [prefix](std::string_view name) { return starts_with(name, prefix); });
}

/// ConvMAE has a scheme of its own, which no other project reads.
bool is_convmae(const Tensors& native) {
  return has_names_below(native, "blocks1.");
}

/// Native names of the SimMIM kind.
bool is_native_beit(const Tensors& native) {
  return has_names_below(native, "encoder.");
}

/// BEiT's encoder, of any scheme: by what no other encoder has.
bool is_beit(const Tensors& theirs) {
  return any_name(theirs, [](std::string_view name) {
    if (name == "encoder.mask_token") return true;
    const std::string_view last = name.substr(name.rfind('.') + 1);
    return last == "relative_position_bias_table" || last == "gamma_1" || last == "lambda_1";
  });
}

// --- what a name is in a scheme ---

struct Found {
  const Rule* rule;
  const Theirs* theirs;
  std::size_t part;  // which of `theirs`
  std::vector<std::string> captured;
};

std::optional<Found> find(const std::vector<Rule>& rules, std::string_view name,
                          const Tensors& beside) {
  const auto in = [&](const Rule& rule, const Theirs& theirs) -> std::optional<Found> {
    for (std::size_t part = 0; part < theirs.size(); ++part) {
      if (auto captured = match(theirs[part], name)) {
        return Found{&rule, &theirs, part, std::move(*captured)};
      }
    }
    return std::nullopt;
  };
  for (const Rule& rule : rules) {
    if (!rule.only_beside.empty() && beside.count(rule.only_beside) == 0) continue;
    if (auto found = in(rule, rule.theirs)) return found;
    for (const Theirs& other : rule.also_read) {
      if (auto found = in(rule, other)) return found;
    }
  }
  return std::nullopt;
}

struct Recognised {
  const Scheme* scheme = &schemes().front();
  std::ptrdiff_t names = 0;
};

/// The scheme, of all or of one, with most of the names.
Recognised recognise(const Tensors& tensors, const Scheme* only) {
  const bool beit = is_beit(tensors);
  Recognised best;
  for (const Scheme& scheme : schemes()) {
    if (only != nullptr && &scheme != only) continue;
    const auto& rules = beit ? scheme.beit : scheme.vit;
    const auto count = std::count_if(tensors.begin(), tensors.end(), [&](const auto& item) {
      return find(rules, item.first, tensors).has_value();
    });
    if (count > best.names) best = {&scheme, count};
  }
  return best;
}

// --- what comes before all names, and what is no weight ---

Tensors below(const Tensors& tensors, std::string_view prefix) {
  Tensors result;
  for (auto item = tensors.lower_bound(std::string(prefix));
       item != tensors.end() && starts_with(item->first, prefix); ++item) {
    result.emplace(item->first.substr(prefix.size()), item->second);
  }
  return result;
}

/// Buffers that OpenMMLab's checkpoints hold beside the weights: PixMIM's filter, means and
/// deviations.
bool is_no_weight(std::string_view name) {
  return starts_with(name, "target_generator.") || starts_with(name, "data_preprocessor.");
}

/// Of DistributedDataParallel and torch.compile: never part of a name.
constexpr std::string_view wrappers[] = {"module.", "_orig_mod."};
/// Of models that hold another one. Schemes have some of these in their own names.
constexpr std::string_view holders[] = {"model.", "encoder.", "backbone.", "student.", "teacher."};

void check_one_model(const Tensors& tensors, const Scheme* only) {
  const Recognised whole = recognise(tensors, only);
  const auto& rules = is_beit(tensors) ? whole.scheme->beit : whole.scheme->vit;
  std::map<std::string, std::string_view> holder_of;
  for (const std::string_view holder : holders) {
    const Tensors inner = below(tensors, holder);
    if (inner.empty() || recognise(inner, only).names == 0) continue;
    for (const auto& item : inner) {
      if (find(rules, std::string(holder) + item.first, tensors)) continue;
      const auto [known, first] = holder_of.emplace(item.first, holder);
      TORCH_CHECK(first, "it holds two models, under ", known->second, " and ", holder,
                  " (both have ", item.first, "): save one of them alone");
    }
  }
}

struct Plain {
  Tensors tensors;
  std::vector<std::string> dropped;
};

/// Without prefixes that all names share, as far as a scheme then knows more of them.
Plain plain_names(const Tensors& tensors, const Scheme* only) {
  Plain result{tensors, {}};
  Tensors& names = result.tensors;
  const auto shared = [&names](std::string_view prefix) {
    return !names.empty() && std::all_of(names.begin(), names.end(), [prefix](const auto& item) {
      return item.first.size() > prefix.size() && starts_with(item.first, prefix);
    });
  };
  for (bool again = true; again;) {
    again = false;
    for (const std::string_view wrapper : wrappers) {
      if (!shared(wrapper)) continue;
      names = below(names, wrapper);
      again = true;
    }
  }
  for (auto item = names.begin(); item != names.end();) {
    if (is_no_weight(item->first)) {
      result.dropped.push_back(item->first);
      item = names.erase(item);
    } else {
      ++item;
    }
  }
  for (bool again = true; again;) {
    again = false;
    for (const std::string_view holder : holders) {
      if (!shared(holder)) continue;
      Tensors inner = below(names, holder);
      if (recognise(inner, only).names <= recognise(names, only).names) continue;
      names = std::move(inner);
      again = true;
    }
  }
  check_one_model(names, only);
  return result;
}

// --- what models have ---

/// What an encoder can do without where a scheme has no place for it: detectron2 and mmsegmentation
/// have no final norm, nobody but the classifier needs a head, an index is made anew.
bool can_go(const std::string& native) {
  return native == "cls_token" || starts_with(native, "norm.") || starts_with(native, "fc_norm.") ||
         starts_with(native, "head.") || native == "encoder.rel_pos_bias.relative_position_index";
}

/// What only some models have.
bool is_rare(const std::string& native) {
  for (const char* start : {"proj_", "fc_norm.", "head.", "encoder.pos_embed",
                            "encoder.rel_pos_bias.", "encoder.mask_token"}) {
    if (starts_with(native, start)) return true;
  }
  const std::string last = native.substr(native.rfind('.') + 1);
  return last == "q_bias" || last == "v_bias" || last == "gamma_1" || last == "gamma_2";
}

/// A decoder that predicts something else than the encoder's patches is not MAE's.
bool predicts_other_patches(const Tensors& native) {
  const auto patch = native.find("patch_embed.proj.weight");
  const auto prediction = native.find("decoder_pred.weight");
  return patch != native.end() && prediction != native.end() && patch->second.dim() == 4 &&
         prediction->second.dim() == 2 && patch->second.size(0) > 0 &&
         prediction->second.size(0) != patch->second.numel() / patch->second.size(0);
}

bool has_decoder(const std::vector<Rule>& rules) {
  return std::any_of(rules.begin(), rules.end(),
                     [](const Rule& rule) { return starts_with(rule.native, "decoder"); });
}

std::string pattern_text(const Theirs& theirs) {
  std::string text = theirs[0];
  for (std::size_t i = 1; i < theirs.size(); ++i) text += " + " + theirs[i];
  return text;
}

void list(std::string& names, const std::string& name) {
  names += (names.empty() ? "" : ", ") + name;
}

void add(Tensors& tensors, const std::string& name, at::Tensor tensor) {
  TORCH_CHECK(tensors.emplace(name, std::move(tensor)).second, "two tensors come to the name ",
              name);
}

/// The thirds of `native` into one; query and value alone, of biases, stay apart.
void add_parts(Tensors& tensors, const std::string& native,
               const std::map<std::size_t, at::Tensor>& parts) {
  constexpr std::string_view bias = "qkv.bias";
  const bool is_bias =
      native.size() > bias.size() && native.substr(native.size() - bias.size()) == bias;
  if (is_bias && parts.size() == 2 && parts.count(1) == 0) {
    const std::string attention = native.substr(0, native.size() - bias.size());
    add(tensors, attention + "q_bias", parts.at(0));
    add(tensors, attention + "v_bias", parts.at(2));
    return;
  }
  TORCH_CHECK(parts.size() == 3, native, " comes from query, key and value, of which only ",
              parts.size(), " are there");
  const auto& query = parts.at(0);
  for (const auto& part : parts) {
    TORCH_CHECK(part.second.sizes() == query.sizes() && query.dim() > 0 &&
                    part.second.scalar_type() == query.scalar_type(),
                "query, key and value of ", native, " differ in shape or dtype");
  }
  add(tensors, native, at::cat({query, parts.at(1), parts.at(2)}));
}

/// Throws where the kind of model has no names in the scheme.
void check_possible(const Tensors& native, const Scheme& scheme) {
  const auto possible = possible_schemes(native);
  if (std::find(possible.begin(), possible.end(), scheme.name) != possible.end()) return;
  const char* const what =
      is_convmae(native)
          ? "these weights are ConvMAE's, whose convolutions no other project has a model for"
          : "these weights are SimMIM's, whose encoder is BEiT's (relative positions, layer scale, "
            "no key bias)";
  C10_THROW_ERROR(
      Error, c10::str(what, ": they have no names in ", scheme.name, "; possible: ", possible));
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

bool has_decoder(const std::string& scheme) {
  return has_decoder(scheme_of(scheme).vit);
}

bool is_for_pretraining_only(const std::string& name) {
  return starts_with(name, "decoder") || name == "mask_token" || name == "encoder.mask_token" ||
         starts_with(name, "proj_layers.") || name == "proj_weights" ||
         starts_with(name, "stage1_output_decode.") || starts_with(name, "stage2_output_decode.");
}

std::vector<std::string> possible_schemes(const Tensors& native) {
  if (is_convmae(native)) return {"mae"};
  const bool beit = is_native_beit(native);
  std::vector<std::string> names;
  for (const Scheme& scheme : schemes()) {
    if (!beit || !scheme.beit.empty()) names.push_back(scheme.name);
  }
  return names;
}

std::string detect_scheme(const Tensors& tensors) {
  return recognise(plain_names(tensors, nullptr).tensors, nullptr).scheme->name;
}

Renamed to_native(const Tensors& tensors, const std::string& name, bool encoder_only) {
  const Scheme& scheme = scheme_of(name);
  Plain given = plain_names(tensors, &scheme);
  const auto& rules = is_beit(given.tensors) ? scheme.beit : scheme.vit;
  Renamed result;
  result.dropped = std::move(given.dropped);
  std::map<std::string, std::map<std::size_t, at::Tensor>> parts;  // native name -> its thirds
  for (const auto& [theirs, tensor] : given.tensors) {
    const auto found = find(rules, theirs, given.tensors);
    const std::string native = found ? filled(found->rule->native, found->captured) : theirs;
    if (encoder_only && is_for_pretraining_only(native)) {
      result.dropped.push_back(theirs);
      continue;
    }
    if (!found) {
      if (scheme.name != "mae") result.unknown.push_back(theirs);
      add(result.tensors, theirs, tensor);
      continue;
    }
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
  for (const auto& [native, thirds] : parts) add_parts(result.tensors, native, thirds);
  return result;
}

Renamed from_native(const Tensors& tensors, const std::string& name, bool encoder_only) {
  const Scheme& scheme = scheme_of(name);
  check_possible(tensors, scheme);
  const bool identity = scheme.name == "mae";
  const bool beit = is_native_beit(tensors);
  const auto& rules = beit ? scheme.beit : scheme.vit;
  const Tensors given = identity || beit ? tensors : with_key_bias(tensors);
  Renamed result;
  std::set<const Rule*> used;
  std::string homeless;
  std::string odd;  // parts of a decoder that is not MAE's
  if (!identity && !encoder_only && has_decoder(rules) && predicts_other_patches(given)) {
    odd = "decoder_pred.weight";
  }
  for (const auto& [native, tensor] : given) {
    const bool surplus = is_for_pretraining_only(native);
    if (surplus && encoder_only) {
      result.dropped.push_back(native);
      continue;
    }
    const Rule* rule = nullptr;
    std::vector<std::string> captured;
    for (const Rule& candidate : rules) {
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
        if (surplus && has_decoder(rules)) list(odd, native);
        if (!surplus && !can_go(native)) list(homeless, native);
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
  TORCH_CHECK(odd.empty(), "the decoder that ", scheme.name, " has is MAE's, without or unlike ",
              odd, ": ask for the encoder only, or for the names of mae");
  const bool decoder = any_name(
      given, [](std::string_view item) { return is_for_pretraining_only(std::string(item)); });
  // Models without a table are not this scheme's with something missing.
  if (identity && given.count("patch_embed.proj.weight") == 0) return result;
  for (const Rule& rule : rules) {
    if (used.count(&rule) > 0 || is_rare(rule.native)) continue;
    if (is_for_pretraining_only(rule.native) && (encoder_only || !decoder)) continue;
    // Classifiers of averaged patches have a norm of their own.
    if (rule.native == "norm.*" && given.count("fc_norm.weight") > 0) continue;
    result.missing.push_back(pattern_text(rule.theirs));
  }
  return result;
}

}  // namespace weights
