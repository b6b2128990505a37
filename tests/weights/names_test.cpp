// SPDX-License-Identifier: Apache-2.0
// The names of the field's projects: there and back again, and no name for two things.
#include <torch/torch.h>

#include <pixmim/masking.hpp>
#include <set>

#include "files.hpp"
#include "hosts/tiny_mae.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/golden.hpp"
#include "weights/load.hpp"
#include "weights/names.hpp"
#include "weights/position_embedding.hpp"

namespace {

weights::Tensors tensors_of(const torch::nn::Module& module) {
  weights::Tensors tensors;
  for (const auto& item : module.named_parameters()) {
    tensors.emplace(item.key(), torch::randn_like(item.value().detach()));
  }
  return tensors;
}

mae::MaskedAutoencoder tiny() {
  return mae::MaskedAutoencoder(mae::MaskedAutoencoderOptions()
                                    .image_size(32)
                                    .patch_size(8)
                                    .embed_dim(24)
                                    .depth(11)
                                    .num_heads(3)
                                    .decoder_embed_dim(16)
                                    .decoder_depth(2)
                                    .decoder_num_heads(4));
}

}  // namespace

TEST_CASE("names go to every scheme and back", "[weights]") {
  const auto native = tensors_of(*tiny());
  for (const auto& scheme : weights::scheme_names()) {
    INFO(scheme);
    const auto there = weights::from_native(native, scheme, /*encoder_only=*/false);
    CHECK(there.missing.empty());
    // timm's are MAE's, as far as they go.
    CHECK(weights::detect_scheme(there.tensors) == (scheme == "timm" ? "mae" : scheme));
    const auto back = weights::to_native(there.tensors, scheme);
    CHECK(back.dropped.empty());
    CHECK(back.unknown.empty());
    // What comes back and what was left out are all there was.
    CHECK(back.tensors.size() + there.dropped.size() == native.size());
    for (const auto& [name, tensor] : back.tensors) {
      INFO(name);
      CHECK(files::same(tensor, native.at(name)));
    }
    for (const auto& name : there.dropped) CHECK(back.tensors.count(name) == 0);
    const bool whole = scheme == "mae" || scheme == "mmpretrain" || scheme == "hf";
    CHECK(there.dropped.empty() == whole);
    if (!whole) {
      for (const auto& name : there.dropped) {
        const bool token_or_norm =
            name == "cls_token" || name == "norm.weight" || name == "norm.bias";
        CHECK((weights::is_for_pretraining_only(name) || token_or_norm));
      }
    }
  }
}

TEST_CASE("names are those of the projects", "[weights]") {
  const auto native = tensors_of(*tiny());
  const auto has = [&native](const char* scheme, const std::string& name) {
    return weights::from_native(native, scheme, false).tensors.count(name) == 1;
  };
  CHECK(has("timm", "blocks.10.mlp.fc1.weight"));
  CHECK_FALSE(has("timm", "decoder_pred.weight"));
  CHECK(has("mmpretrain", "backbone.layers.10.ffn.layers.0.0.weight"));
  CHECK(has("mmpretrain", "backbone.ln1.bias"));
  CHECK(has("mmpretrain", "neck.decoder_blocks.1.ln2.bias"));
  CHECK(has("mmpretrain", "neck.ln1.bias"));
  CHECK(has("mmseg", "layers.0.ffn.layers.1.weight"));
  CHECK(has("mmseg", "patch_embed.projection.weight"));
  CHECK_FALSE(has("mmseg", "norm.weight"));
  CHECK(has("hf", "vit.encoder.layer.10.attention.attention.key.weight"));
  CHECK(has("hf", "vit.embeddings.position_embeddings"));
  CHECK(has("hf", "decoder.decoder_layers.1.output.dense.bias"));
  CHECK(has("detectron2", "backbone.net.blocks.10.attn.qkv.bias"));
  CHECK_FALSE(has("detectron2", "backbone.net.cls_token"));
}

TEST_CASE("encoder only leaves the decoder out", "[weights]") {
  const auto native = tensors_of(*tiny());
  for (const auto& scheme : weights::scheme_names()) {
    const auto there = weights::from_native(native, scheme, /*encoder_only=*/true);
    CHECK(there.missing.empty());
    for (const auto& item : weights::to_native(there.tensors, scheme).tensors) {
      CHECK_FALSE(weights::is_for_pretraining_only(item.first));
    }
  }
}

TEST_CASE("spellings that files have are read", "[weights]") {
  const auto native = tensors_of(*tiny());
  const auto read = [](const weights::Tensors& tensors) {
    return weights::to_native(tensors, weights::detect_scheme(tensors)).tensors;
  };
  const auto respelled = [](const weights::Tensors& tensors, const std::string& from,
                            const std::string& to) {
    weights::Tensors result;
    for (const auto& [name, tensor] : tensors) {
      const auto place = name.find(from);
      result.emplace(place == std::string::npos
                         ? name
                         : name.substr(0, place) + to + name.substr(place + from.size()),
                     tensor);
    }
    return result;
  };
  // DistributedDataParallel.
  weights::Tensors parallel;
  for (const auto& [name, tensor] : native) parallel.emplace("module." + name, tensor);
  CHECK(read(parallel).count("blocks.0.attn.qkv.weight") == 1);
  // transformers: a bare ViTMAEModel, and what version 5 writes.
  const auto hf = weights::from_native(native, "hf", false).tensors;
  const auto five = respelled(hf, "decoder.decoder_layers", "decoder.decoder_encoder.layer");
  CHECK(read(five).size() == native.size());
  const auto bare = respelled(weights::from_native(native, "hf", true).tensors, "vit.", "");
  CHECK(read(bare).count("blocks.10.attn.qkv.weight") == 1);
  // mmpretrain's classifiers: the backbone, and a head that stays as it is.
  auto classifier = weights::from_native(native, "mmpretrain", true).tensors;
  classifier["head.layers.other.weight"] = torch::zeros(1);
  const auto back = weights::to_native(classifier, weights::detect_scheme(classifier));
  CHECK(back.tensors.count("blocks.3.norm1.weight") == 1);
  CHECK(back.unknown == std::vector<std::string>{"head.layers.other.weight"});
}

TEST_CASE("buffers of OpenMMLab that are no weights are left out by name", "[weights]") {
  const auto native = tensors_of(*tiny());
  auto pixmim = weights::from_native(native, "mmpretrain", false).tensors;
  pixmim["target_generator.low_pass_filter"] = torch::ones({3, 32, 32});
  pixmim["data_preprocessor.mean"] = torch::ones(3);
  CHECK(weights::detect_scheme(pixmim) == "mmpretrain");
  const auto back = weights::to_native(pixmim, "mmpretrain");
  CHECK(back.tensors.size() == native.size());
  CHECK(back.unknown.empty());
  CHECK(back.dropped ==
        std::vector<std::string>{"data_preprocessor.mean", "target_generator.low_pass_filter"});
  auto model = tiny();
  CHECK(weights::load_into(*model, back.tensors).loaded.size() == native.size());
  for (const auto& scheme : weights::scheme_names()) {
    const auto there = weights::from_native(back.tensors, scheme, false);
    for (const auto& item : there.tensors)
      CHECK(item.first.find("target_gen") == std::string::npos);
  }
}

TEST_CASE("classifiers of mmpretrain, timm and the official MAE are the same", "[weights]") {
  auto native = weights::from_native(tensors_of(*tiny()), "mae", true).tensors;
  native.erase("norm.weight");
  native.erase("norm.bias");
  for (const char* name : {"fc_norm.weight", "fc_norm.bias", "head.bias"}) {
    native[name] = torch::randn(24);
  }
  native["head.weight"] = torch::randn({24, 24});
  const auto fine_tuned = weights::from_native(native, "mmpretrain", false);
  CHECK(fine_tuned.missing.empty());
  CHECK(fine_tuned.dropped.empty());
  CHECK(files::same(fine_tuned.tensors.at("backbone.ln2.weight"), native.at("fc_norm.weight")));
  CHECK(files::same(fine_tuned.tensors.at("head.fc.weight"), native.at("head.weight")));
  const auto check_same = [](const weights::Tensors& found, const weights::Tensors& wanted) {
    CHECK(found.size() == wanted.size());
    for (const auto& [name, tensor] : wanted) {
      INFO(name);
      REQUIRE(found.count(name) == 1);
      CHECK(files::same(found.at(name), tensor));
    }
  };
  check_same(weights::to_native(fine_tuned.tensors, "mmpretrain").tensors, native);
  check_same(weights::from_native(native, "timm", false).tensors, native);
  // The other head of mmpretrain.
  auto other = fine_tuned.tensors;
  for (const char* part : {"weight", "bias"}) {
    const auto node = other.extract(std::string("head.fc.") + part);
    other[std::string("head.layers.head.") + part] = node.mapped();
  }
  check_same(weights::to_native(other, "mmpretrain").tensors, native);

  // A linear probe: batch normalisation, then the layer.
  auto probe = weights::from_native(tensors_of(*tiny()), "mae", true).tensors;
  probe["head.0.running_mean"] = torch::randn(24);
  probe["head.0.running_var"] = torch::randn(24);
  probe["head.1.weight"] = torch::randn({10, 24});
  probe["head.1.bias"] = torch::randn(10);
  const auto there = weights::from_native(probe, "mmpretrain", false).tensors;
  CHECK(there.count("neck.bn.running_var") == 1);
  CHECK(there.count("head.layers.head.weight") == 1);
  check_same(weights::to_native(there, "mmpretrain").tensors, probe);
}

TEST_CASE("prefixes that all names share are seen through", "[weights]") {
  const auto native = tensors_of(*tiny());
  const auto with = [](const std::string& prefix, const weights::Tensors& tensors) {
    weights::Tensors result;
    for (const auto& [name, tensor] : tensors) result.emplace(prefix + name, tensor);
    return result;
  };
  for (const auto& scheme : weights::scheme_names()) {
    for (const bool encoder_only : {false, true}) {
      const auto theirs = weights::from_native(native, scheme, encoder_only).tensors;
      const auto expected = weights::to_native(theirs, scheme).tensors;
      for (const char* prefix : {"module.", "_orig_mod.", "model.", "encoder.", "student.",
                                 "teacher.", "module.model.", "_orig_mod.module.encoder."}) {
        INFO(prefix << " " << scheme);
        auto wrapped = with(prefix, theirs);
        wrapped["target_generator.low_pass_filter"] = torch::ones(1);
        // A wrapper is around all there is.
        if (std::string(prefix).find("mod") != std::string::npos) {
          wrapped.erase("target_generator.low_pass_filter");
        }
        CHECK(weights::detect_scheme(wrapped) == weights::detect_scheme(theirs));
        const auto found = weights::to_native(wrapped, scheme).tensors;
        CHECK(found.size() == expected.size());
        for (const auto& item : expected) CHECK(found.count(item.first) == 1);
      }
    }
  }
  CHECK(weights::to_native(with("backbone.", native), "mae").tensors.count("norm.bias") == 1);

  // Two models in one file: which one is meant?
  auto both = with("student.", native);
  both.merge(with("teacher.", native));
  for (const auto& error : {support::error_of([&] { weights::detect_scheme(both); }),
                            support::error_of([&] { weights::to_native(both, "timm"); })}) {
    CHECK_THAT(error, ContainsSubstring("student. and teacher."));
  }
}

TEST_CASE("an odd decoder is not in the encoder's way", "[weights]") {
  auto hf = weights::from_native(tensors_of(*tiny()), "hf", false).tensors;
  hf.erase("decoder.decoder_layers.0.attention.attention.key.weight");
  hf["decoder.decoder_pos_embed"] = torch::zeros({3, 5});
  CHECK_THAT(support::error_of([&] { weights::to_native(hf, "hf"); }),
             ContainsSubstring("of which only"));
  auto encoder = weights::to_native(hf, "hf", /*encoder_only=*/true);
  CHECK(std::count(encoder.dropped.begin(), encoder.dropped.end(), "decoder.decoder_pos_embed") ==
        1);
  weights::resize_positions(encoder.tensors, {6, 6});
  CHECK(weights::from_native(encoder.tensors, "timm", true).missing.empty());
}

TEST_CASE("models without a table keep their names, and are not mistaken", "[weights]") {
  const weights::Tensors convmae = {{"patch_embed1.proj.weight", torch::zeros(1)},
                                    {"blocks1.0.conv1.weight", torch::zeros(1)},
                                    {"blocks3.0.attn.qkv.weight", torch::zeros(3)},
                                    {"norm.weight", torch::zeros(1)},
                                    {"stage1_output_decode.weight", torch::zeros(1)}};
  CHECK(weights::detect_scheme(convmae) == "mae");
  CHECK(weights::to_native(convmae, "mae").tensors.size() == convmae.size());
  const auto same = weights::from_native(convmae, "mae", false);
  CHECK(same.tensors.size() == convmae.size());
  CHECK(same.missing.empty());
  const std::string error =
      support::error_of([&] { weights::from_native(convmae, "timm", false); });
  CHECK_THAT(error, ContainsSubstring("ConvMAE's"));
  CHECK_THAT(error, ContainsSubstring("no names in timm; possible: mae"));
  // Of a model that is not known at all, what has no name is named.
  CHECK_THAT(support::error_of([] {
               weights::from_native({{"stem.weight", torch::zeros(1)}}, "timm", false);
             }),
             ContainsSubstring("no name in timm: stem.weight"));
}

TEST_CASE("keys without a bias get one of zeros", "[weights]") {
  auto native = tensors_of(*tiny());
  const auto bias = native.at("blocks.0.attn.qkv.bias");
  native.erase("blocks.0.attn.qkv.bias");
  native["blocks.0.attn.q_bias"] = bias.slice(0, 0, 24);
  native["blocks.0.attn.v_bias"] = bias.slice(0, 48);
  const auto timm = weights::from_native(native, "timm", false).tensors;
  auto expected = bias.clone();
  expected.slice(0, 24, 48).zero_();
  CHECK(at::equal(timm.at("blocks.0.attn.qkv.bias"), expected));
  CHECK(at::equal(weights::from_native(native, "hf", false)
                      .tensors.at("vit.encoder.layer.0.attention.attention.key.bias"),
                  torch::zeros(24)));
  CHECK(weights::from_native(native, "mae", false).tensors.count("blocks.0.attn.q_bias") == 1);
}

TEST_CASE("query, key and value belong together", "[weights]") {
  auto hf = weights::from_native(tensors_of(*tiny()), "hf", false).tensors;
  const std::string key = "vit.encoder.layer.0.attention.attention.key.weight";
  hf[key] = torch::zeros({5, 24});
  CHECK_THAT(support::error_of([&] { weights::to_native(hf, "hf"); }),
             ContainsSubstring("differ in shape"));
  hf.erase(key);
  CHECK_THAT(support::error_of([&] { weights::to_native(hf, "hf"); }),
             ContainsSubstring("only 2 are there"));
  CHECK_THAT(support::error_of([&] { weights::to_native(hf, "keras"); }),
             ContainsSubstring("got keras"));
}

TEST_CASE("OpenMMLab's weights give OpenMMLab's latents", "[weights]") {
  const auto golden = support::golden("pixmim_openmmlab_tiny");
  auto model = hosts::tiny_mae(golden);
  const auto state = golden.below("state.");
  REQUIRE(weights::detect_scheme(state) == "mmpretrain");
  weights::load_into(*model, weights::to_native(state, "mmpretrain").tensors);
  const torch::NoGradGuard no_grad;
  const auto mask = pixmim::mask_from_noise(golden["noise"], 0.75);
  const auto prediction =
      model->forward_decoder(model->forward_encoder(golden["images"], mask), mask);
  const double difference = support::largest_difference(prediction, golden["pred"]);
  support::report("weights of OpenMMLab, prediction", difference, 2e-5);
  CHECK(difference <= 2e-5);
}
