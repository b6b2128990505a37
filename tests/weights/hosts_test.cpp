// SPDX-License-Identifier: Apache-2.0
// Every host to every project: what README's table says, and nothing else.
#include <torch/torch.h>

#include <pixmim/masking.hpp>

#include <map>
#include <memory>
#include <sstream>
#include <vector>

#include "convmae/convmae.hpp"
#include "files.hpp"
#include "lsmae/lsmae.hpp"
#include "mae/mae.hpp"
#include "mff/mff.hpp"
#include "simmim/simmim.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"
#include "weights/load.hpp"
#include "weights/names.hpp"

namespace {

template <typename Options>
Options small(Options options) {
  options.image_size(32).patch_size(8).embed_dim(24).depth(3).num_heads(3);
  return options;
}

template <typename Options>
Options small_with_decoder(Options options) {
  return small(options).decoder_embed_dim(16).decoder_depth(2).decoder_num_heads(4);
}

lsmae::LongSequenceMaskedAutoencoder long_sequence(int64_t downsampling, bool no_k_bias) {
  return lsmae::LongSequenceMaskedAutoencoder(
      small_with_decoder(lsmae::LongSequenceMaskedAutoencoderOptions())
          .decoder_downsampling(downsampling)
          .pred_downsampling(downsampling)
          .no_k_bias(no_k_bias));
}

std::shared_ptr<torch::nn::Module> host(const std::string& name) {
  if (name == "mae") {
    return mae::MaskedAutoencoder(small_with_decoder(mae::MaskedAutoencoderOptions())).ptr();
  }
  if (name == "mff") {
    return mff::MultiLevelFusion(
               small_with_decoder(mff::MultiLevelFusionOptions()).out_indices({0, 2}))
        .ptr();
  }
  if (name == "lsmae") return long_sequence(1, /*no_k_bias=*/false).ptr();
  if (name == "simmim") return simmim::SimMIM(small(simmim::SimMIMOptions())).ptr();
  REQUIRE(name == "convmae");
  return convmae::ConvMaskedAutoencoder(convmae::ConvMaskedAutoencoderOptions()
                                            .image_size(32)
                                            .embed_dim({8, 12, 16})
                                            .depth({1, 1, 2})
                                            .num_heads(2)
                                            .decoder_embed_dim(16)
                                            .decoder_depth(1)
                                            .decoder_num_heads(2))
      .ptr();
}

weights::Tensors random_tensors(const torch::nn::Module& module) {
  weights::Tensors tensors;
  for (const auto& item : module.named_parameters()) {
    tensors.emplace(item.key(), torch::randn_like(item.value().detach()));
  }
  for (const auto& item : module.named_buffers()) tensors.emplace(item.key(), item.value().clone());
  return tensors;
}

/// What detectron2 and mmsegmentation do without, and an index that the module makes.
bool may_be_missing(const std::string& name) {
  return name == "cls_token" || name == "norm.weight" || name == "norm.bias" ||
         name == "encoder.rel_pos_bias.relative_position_index";
}

void check_all(const torch::nn::Module& module, const std::string& target) {
  const auto native = random_tensors(module);
  const auto there = weights::from_native(native, target, /*encoder_only=*/false);
  CHECK(there.dropped.empty());
  CHECK(there.missing.empty());
  const auto back = weights::to_native(there.tensors, target).tensors;
  CHECK(back.size() == native.size());
  for (const auto& [name, tensor] : native) {
    INFO(name);
    REQUIRE(back.count(name) == 1);
    CHECK(files::same(back.at(name), tensor));
  }
}

void check_encoder(torch::nn::Module& module, const std::string& target) {
  const auto native = random_tensors(module);
  const auto there = weights::from_native(native, target, /*encoder_only=*/true);
  CHECK(there.missing.empty());
  const auto back = weights::to_native(there.tensors, target).tensors;
  for (const auto& [name, tensor] : native) {
    INFO(name);
    const bool wanted = !weights::is_for_pretraining_only(name) && !may_be_missing(name);
    if (wanted) REQUIRE(back.count(name) == 1);
    if (back.count(name) > 0) CHECK(files::same(back.at(name), tensor));
    if (weights::is_for_pretraining_only(name)) CHECK(back.count(name) == 0);
  }
  // And into the host again.
  auto whole = back;
  for (const auto& [name, tensor] : native) {
    if (may_be_missing(name) && name.find("index") == std::string::npos) whole[name] = tensor;
  }
  const auto report = weights::load_into(module, whole, weights::LoadOptions().encoder_only(true));
  CHECK(report.loaded.size() + report.left.size() >= native.size() - 1);

  // Its decoder is not silently lost where the scheme has one.
  if (weights::has_decoder(target) && native.count("decoder_pred.weight") > 0) {
    CHECK_THAT(
        support::error_of([&] { weights::from_native(native, target, /*encoder_only=*/false); }),
        ContainsSubstring("ask for the encoder only"));
  }
}

void check_refused(const torch::nn::Module& module, const std::string& target) {
  const auto native = random_tensors(module);
  const std::string error =
      support::error_of([&] { weights::from_native(native, target, /*encoder_only=*/true); });
  CHECK_THAT(error, ContainsSubstring("no names in " + target + "; possible: mae"));
  for (const auto& name : weights::possible_schemes(native)) {
    CHECK_THAT(error, ContainsSubstring(name));
    CHECK(support::error_of([&] { weights::from_native(native, name, true); }) == "(no error)");
  }
}

std::vector<std::string> cells(const std::string& row) {
  std::vector<std::string> result;
  std::istringstream parts(row);
  std::string part;
  std::getline(parts, part, '|');
  while (std::getline(parts, part, '|')) {
    const auto begin = part.find_first_not_of(" `");
    const auto end = part.find_last_not_of(" `");
    result.push_back(begin == std::string::npos ? "" : part.substr(begin, end - begin + 1));
  }
  return result;
}

/// host -> target -> "all", "encoder" or "no", from the README.
std::map<std::string, std::map<std::string, std::string>> table() {
  std::istringstream readme(files::read(WEIGHTS_README));
  std::string line;
  std::vector<std::string> targets;
  std::map<std::string, std::map<std::string, std::string>> result;
  while (std::getline(readme, line)) {
    if (line.rfind("| `--host` |", 0) == 0) {
      targets = cells(line);
      std::getline(readme, line);
    } else if (!targets.empty()) {
      if (line.empty()) break;
      const auto row = cells(line);
      REQUIRE(row.size() == targets.size());
      for (std::size_t i = 1; i < row.size(); ++i) result[row[0]][targets[i]] = row[i];
    }
  }
  return result;
}

}  // namespace

TEST_CASE("the README's table of hosts and projects is true", "[weights]") {
  const auto known = table();
  CHECK(known.size() == 5);
  for (const auto& [name, targets] : known) {
    CHECK(targets.size() == weights::scheme_names().size());
    for (const auto& [target, what] : targets) {
      INFO(name << " to " << target << ": " << what);
      const auto module = host(name);
      if (what == "all") {
        check_all(*module, target);
      } else if (what == "encoder") {
        check_encoder(*module, target);
      } else {
        REQUIRE(what == "no");
        check_refused(*module, target);
      }
    }
  }
}

TEST_CASE("a decoder of another make is not taken for MAE's", "[weights]") {
  for (const char* target : {"mmpretrain", "hf"}) {
    INFO(target);
    auto module = long_sequence(2, /*no_k_bias=*/false);
    check_encoder(*module, target);
    const auto native = random_tensors(*module);
    const std::string error =
        support::error_of([&] { weights::from_native(native, target, /*encoder_only=*/false); });
    CHECK_THAT(error, ContainsSubstring("decoder_pred.weight"));
    CHECK_THAT(error, ContainsSubstring("decoder_downsample.weight"));
  }
}

TEST_CASE("weights go between attention with and without a bias of the keys", "[weights]") {
  auto without = long_sequence(1, /*no_k_bias=*/true);
  auto with = long_sequence(1, /*no_k_bias=*/false);
  const auto native = random_tensors(*without);
  for (const char* target : {"timm", "hf", "mmpretrain"}) {
    INFO(target);
    const auto there = weights::from_native(native, target, false).tensors;
    const auto back = weights::to_native(there, target).tensors;
    const auto bias = back.at("blocks.1.attn.qkv.bias").view({3, -1});
    CHECK(at::equal(bias[0], native.at("blocks.1.attn.q_bias")));
    CHECK(at::equal(bias[1], torch::zeros_like(bias[1])));
    CHECK(at::equal(bias[2], native.at("blocks.1.attn.v_bias")));
  }
  // transformers' files of models whose keys have none.
  auto hf = weights::from_native(native, "hf", false).tensors;
  for (auto item = hf.begin(); item != hf.end();) {
    item = item->first.find("key.bias") == std::string::npos ? std::next(item) : hf.erase(item);
  }
  const auto apart = weights::to_native(hf, "hf").tensors;
  CHECK(apart.count("blocks.1.attn.qkv.bias") == 0);
  CHECK(files::same(apart.at("decoder_blocks.0.attn.v_bias"),
                    native.at("decoder_blocks.0.attn.v_bias")));

  // Into a model that has it, and from there into one that has not: the same latents.
  weights::load_into(*without, native);
  weights::load_into(*with, native);
  const auto mask = pixmim::random_mask(2, 16, 0.5);
  const auto images = torch::randn({2, 3, 32, 32});
  const torch::NoGradGuard no_grad;
  const auto latent = without->forward_encoder(images, mask);
  CHECK(at::allclose(with->forward_encoder(images, mask), latent, 1e-4, 1e-5));
  // The keys' bias changes nothing: softmax takes it out.
  for (auto& item : with->named_parameters()) {
    if (item.key().find("qkv.bias") != std::string::npos) item.value().view({3, -1})[1].fill_(0.5);
  }
  weights::Tensors biased;
  for (const auto& item : with->named_parameters()) biased.emplace(item.key(), item.value());
  auto again = long_sequence(1, /*no_k_bias=*/true);
  weights::load_into(*again, biased);
  CHECK(at::allclose(again->forward_encoder(images, mask), with->forward_encoder(images, mask),
                     1e-4, 1e-5));
}

TEST_CASE("mask tokens have a name wherever models have them", "[weights]") {
  const auto of = [](const std::string& name, const char* target) {
    return weights::from_native(random_tensors(*host(name)), target, false).tensors;
  };
  CHECK(of("mae", "mae").count("mask_token") == 1);
  CHECK(of("mae", "mmpretrain").count("neck.mask_token") == 1);
  CHECK(of("mae", "hf").count("decoder.mask_token") == 1);
  CHECK(of("simmim", "mae").count("encoder.mask_token") == 1);
  CHECK(of("simmim", "mmpretrain").count("backbone.mask_token") == 1);
  CHECK(of("simmim", "hf").count("beit.embeddings.mask_token") == 1);
  CHECK(of("simmim", "timm").count("mask_token") == 0);
}

TEST_CASE("BEiT's names of every project become SimMIM's encoder", "[weights]") {
  auto module = host("simmim");
  const auto native = random_tensors(*module);
  const auto respelled = [](const weights::Tensors& tensors, const std::string& from,
                            const std::string& to) {
    weights::Tensors result;
    for (const auto& [name, tensor] : tensors) {
      const auto place = name.find(from);
      const bool has = place != std::string::npos;
      result[has ? name.substr(0, place) + to + name.substr(place + from.size()) : name] = tensor;
    }
    return result;
  };
  const auto hf = weights::from_native(native, "hf", true).tensors;
  CHECK(hf.count("beit.encoder.layer.2.attention.attention.query.bias") == 1);
  CHECK(hf.count("beit.encoder.layer.2.attention.attention.key.bias") == 0);
  CHECK(hf.count("beit.encoder.relative_position_bias.relative_position_bias_table") == 1);
  const auto plain = weights::from_native(native, "timm", true).tensors;
  CHECK(plain.count("rel_pos_bias.relative_position_bias_table") == 1);
  CHECK(plain.count("blocks.1.gamma_2") == 1);
  for (const auto& theirs : {hf, respelled(hf, "beit.", ""), plain,
                             weights::from_native(native, "mmpretrain", true).tensors}) {
    const std::string scheme = weights::detect_scheme(theirs);
    INFO(scheme);
    const auto back = weights::to_native(theirs, scheme).tensors;
    CHECK(files::same(back.at("encoder.blocks.2.attn.v_bias"),
                      native.at("encoder.blocks.2.attn.v_bias")));
    weights::load_into(*module, back, weights::LoadOptions().encoder_only(true));
  }
}
