// SPDX-License-Identifier: Apache-2.0
// Weights into a module: whole, in part, for another grid; and what does not fit, by name.
#include <torch/torch.h>

#include <vector>

#include "files.hpp"
#include "mae/mae.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/golden.hpp"
#include "support/temporary_folder.hpp"
#include "vit/position_embedding.hpp"
#include "weights/load.hpp"
#include "weights/names.hpp"
#include "weights/position_embedding.hpp"
#include "weights/safetensors.hpp"
#include "weights/torch_file.hpp"

namespace {

mae::MaskedAutoencoder tiny(torch::ExpandingArray<2> image_size = 32) {
  return mae::MaskedAutoencoder(mae::MaskedAutoencoderOptions()
                                    .image_size(image_size)
                                    .patch_size(8)
                                    .embed_dim(24)
                                    .depth(2)
                                    .num_heads(3)
                                    .decoder_embed_dim(16)
                                    .decoder_depth(1)
                                    .decoder_num_heads(4));
}

weights::Tensors tensors_of(const torch::nn::Module& module) {
  weights::Tensors tensors;
  for (const auto& item : module.named_parameters()) {
    tensors.emplace(item.key(), item.value().detach().clone());
  }
  return tensors;
}

weights::Tensors encoder_of(const weights::Tensors& tensors) {
  return weights::from_native(tensors, "mae", /*encoder_only=*/true).tensors;
}

}  // namespace

TEST_CASE("a module takes weights from every format and scheme", "[weights]") {
  const support::TemporaryFolder folder;
  const auto source = tiny();
  const auto native = tensors_of(*source);
  for (const char* scheme : {"mae", "mmpretrain", "hf"}) {
    const auto theirs = weights::from_native(native, scheme, false).tensors;
    const auto safetensors = folder.path() / "model.safetensors";
    const auto pth = folder.path() / "model.pth";
    weights::write_safetensors(safetensors, theirs);
    weights::write_torch_file(pth, theirs, weights::checkpoint_key(scheme));
    for (const auto& path : {safetensors, pth}) {
      INFO(path << " " << scheme);
      auto target = tiny();
      const auto report = weights::initialize(*target, path);
      CHECK(report.scheme == scheme);
      CHECK(report.loaded.size() == native.size());
      CHECK(report.resized.empty());
      for (const auto& item : target->named_parameters()) {
        CHECK(files::same(item.value().detach(), native.at(item.key())));
      }
    }
  }
}

TEST_CASE("half precision becomes the module's", "[weights]") {
  const auto source = tiny();
  weights::Tensors half;
  for (const auto& [name, tensor] : tensors_of(*source)) half.emplace(name, tensor.to(at::kHalf));
  auto target = tiny();
  weights::load_into(*target, half);
  CHECK(target->norm->weight.scalar_type() == at::kFloat);
  CHECK(at::equal(target->decoder_pred->weight, half.at("decoder_pred.weight").to(at::kFloat)));
}

TEST_CASE("what does not fit is named, and nothing is changed", "[weights]") {
  auto target = tiny();
  const auto before = tensors_of(*target);
  auto tensors = tensors_of(*tiny());
  tensors.erase("blocks.1.norm2.bias");
  tensors["blocks.2.norm2.bias"] = torch::zeros(24);
  tensors["decoder_pred.bias"] = torch::zeros(12);
  const std::string error = support::error_of([&] { weights::load_into(*target, tensors); });
  CHECK_THAT(error, ContainsSubstring("missing in the weights:\n    blocks.1.norm2.bias"));
  CHECK_THAT(error, ContainsSubstring("not in the model:\n    blocks.2.norm2.bias"));
  CHECK_THAT(error, ContainsSubstring("decoder_pred.bias is [12] there, and [192] here"));
  for (const auto& item : target->named_parameters()) {
    CHECK(files::same(item.value().detach(), before.at(item.key())));
  }
  // Long lists end.
  const std::string all = support::error_of([&] { weights::load_into(*target, {}); });
  CHECK_THAT(all, ContainsSubstring("more"));
  CHECK(std::count(all.begin(), all.end(), '\n') < 30);
}

TEST_CASE("an encoder's weights need to be asked for as such", "[weights]") {
  const support::TemporaryFolder folder;
  const auto path = folder.path() / "encoder.safetensors";
  const auto native = tensors_of(*tiny());
  weights::write_safetensors(path, encoder_of(native));
  auto target = tiny();
  const auto decoder = target->decoder_pred->weight.detach().clone();
  const std::string error = support::error_of([&] { weights::initialize(*target, path); });
  CHECK_THAT(error, ContainsSubstring("encoder alone"));
  CHECK_THAT(error, ContainsSubstring("encoder.safetensors"));

  const auto options = weights::LoadOptions().encoder_only(true);
  const auto report = weights::initialize(*target, path, options);
  CHECK(at::equal(target->patch_embed->proj->weight, native.at("patch_embed.proj.weight")));
  CHECK(at::equal(target->decoder_pred->weight, decoder));
  CHECK(report.left.size() + report.loaded.size() == native.size());
  // The same of weights that have a decoder.
  weights::write_safetensors(path, native);
  weights::initialize(*target, path, options);
  CHECK(at::equal(target->decoder_pred->weight, decoder));
  // A decoder in part is no encoder alone.
  auto part = native;
  part.erase("mask_token");
  CHECK_THAT(support::error_of([&] { weights::load_into(*target, part); }),
             ContainsSubstring("missing in the weights:\n    mask_token"));
}

TEST_CASE("positions go to the module's grid", "[weights]") {
  auto native = tensors_of(*tiny());
  native["pos_embed"] = torch::randn_like(native.at("pos_embed"));
  auto target = tiny(48);
  const auto report = weights::load_into(*target, native);
  CHECK(report.resized == std::vector<std::string>{"decoder_pos_embed", "pos_embed"});
  CHECK(at::equal(target->pos_embed,
                  weights::resize_position_embedding(native.at("pos_embed"), {4, 4}, {6, 6})));
  // 2x8 patches are as many as 4x4: only who names the grid gets them resized.
  auto wide = tiny({16, 64});
  CHECK(weights::load_into(*wide, native).resized.empty());
  CHECK(at::equal(wide->pos_embed, native.at("pos_embed")));
  weights::load_into(*wide, native, weights::LoadOptions().grid(weights::Grid{2, 8}));
  CHECK(at::equal(wide->pos_embed,
                  weights::resize_position_embedding(native.at("pos_embed"), {4, 4}, {2, 8})));
}

TEST_CASE("positions are resized as the official MAE does", "[weights]") {
  const auto golden = support::golden("eval_posembed");
  for (const auto& [name, input, side] : {std::tuple{"out28", "in", 28},
                                          {"out10", "in", 10},
                                          {"out14", "in", 14},
                                          {"out28_sincos", "in_sincos", 28}}) {
    const auto ours = weights::resize_position_embedding(golden[input], {14, 14}, {side, side});
    const double difference = support::largest_difference(ours, golden[name]);
    support::report(std::string("eval_posembed ") + name, difference, 1e-6);
    CHECK(difference <= 1e-6);
  }
  CHECK(weights::resize_position_embedding(golden["in"], {14, 14}, {14, 14}).is_same(golden["in"]));
}

TEST_CASE("fixed positions of a decoder are made anew", "[weights]") {
  // The official MAE's for 7x7, from those of 14x14.
  const auto expected = support::golden("patches_loss_pos_embed_7x7_d64")["expected"];
  const auto large = vit::sincos_2d(64, 14, 14).unsqueeze(0);
  weights::Tensors tensors = {{"pos_embed", large}, {"decoder_pos_embed", large}};
  weights::resize_positions(tensors, {7, 7});
  CHECK(support::largest_difference(tensors.at("decoder_pos_embed").squeeze(0), expected) <= 1e-6);
  // The encoder's is resized, as in the official fine-tuning.
  CHECK(at::equal(tensors.at("pos_embed"),
                  weights::resize_position_embedding(large, {14, 14}, {7, 7})));
  // A learnt one is resized.
  const auto learnt = torch::randn({1, 50, 192});
  tensors = {{"pos_embed", learnt}, {"decoder_pos_embed", learnt}};
  weights::resize_positions(tensors, {9, 5});
  CHECK(at::equal(tensors.at("decoder_pos_embed"),
                  weights::resize_position_embedding(learnt, {7, 7}, {9, 5})));

  // In 16 bits, and in OpenMMLab's order, known by OpenMMLab's own.
  const auto theirs =
      support::golden("pixmim_openmmlab_tiny").below("state.").at("neck.decoder_pos_embed");
  const int64_t dim = theirs.size(2);
  const auto side = weights::square_grid(theirs.size(1));
  REQUIRE(side.has_value());
  const auto wider = vit::sincos_2d(dim, 3, 11, 1);
  const auto wanted = at::cat({wider.slice(1, dim / 2), wider.slice(1, 0, dim / 2)}, 1);
  for (const auto dtype : {at::kFloat, at::kHalf, at::kBFloat16}) {
    const auto made = weights::fit_positions("decoder_pos_embed", theirs.to(dtype), *side, {3, 11});
    CHECK(files::same(made, wanted.unsqueeze(0).to(dtype)));
  }

  // Into a module of another size: what that module starts with.
  auto target = tiny(48);
  const auto own = target->decoder_pos_embed.detach().clone();
  weights::load_into(*target, tensors_of(*tiny()));
  CHECK(at::allclose(target->decoder_pos_embed, own, 0, 1e-6));
}

TEST_CASE("positions that belong to one grid are not resized", "[weights]") {
  weights::Tensors simmim = {{"encoder.pos_embed", torch::randn({1, 17, 8})}};
  weights::resize_positions(simmim, {6, 6});
  CHECK(simmim.at("encoder.pos_embed").size(1) == 37);
  simmim["encoder.rel_pos_bias.relative_position_bias_table"] = torch::zeros({52, 3});
  CHECK_THAT(support::error_of([&] {
               weights::resize_positions(simmim, {4, 4});
             }),
             ContainsSubstring("relative positions"));
}

TEST_CASE("grids that are no squares are named", "[weights]") {
  // Rows that are all the same stay so: height and width are not mixed up.
  const auto rows = torch::arange(2.0).view({2, 1, 1}).expand({2, 6, 4}).reshape({1, 12, 4});
  const auto taller = weights::resize_position_embedding(rows, {2, 6}, {5, 3}).view({5, 3, 4});
  CHECK(at::allclose(taller.slice(1, 0, 1).expand({5, 3, 4}), taller, 0, 1e-6));
  CHECK(taller[4][0][0].item<float>() > taller[0][0][0].item<float>() + 0.5f);

  weights::Tensors tensors = {{"pos_embed", torch::randn({1, 13, 4})}};
  CHECK_THAT(support::error_of([&] {
               weights::resize_positions(tensors, {4, 4});
             }),
             ContainsSubstring("name its grid"));
  weights::resize_positions(tensors, {3, 5}, weights::Grid{2, 6});
  CHECK(tensors.at("pos_embed").sizes() == at::IntArrayRef({1, 16, 4}));
  CHECK_THAT(support::error_of([&] {
               weights::resize_positions(tensors, {4, 4}, weights::Grid{5, 5});
             }),
             ContainsSubstring("needs 25 positions, got 16"));
  // A coarser decoder keeps its share.
  weights::Tensors coarse = {{"pos_embed", torch::randn({1, 65, 4})},
                             {"decoder_pos_embed", torch::randn({1, 17, 4})}};
  weights::resize_positions(coarse, {12, 16});
  CHECK(coarse.at("decoder_pos_embed").size(1) == 6 * 8 + 1);
  CHECK_THAT(support::error_of([&] {
               weights::resize_positions(coarse, {0, 0});
             }),
             ContainsSubstring("name its grid"));
}

TEST_CASE("files are known by their first bytes", "[weights]") {
  const support::TemporaryFolder folder;
  const auto path = folder.path() / "file";
  weights::write_safetensors(path, {{"a", torch::ones(2)}});
  CHECK(weights::read_file(path).tensors.size() == 1);
  weights::write_torch_file(path, {{"a", torch::ones(2)}}, "model");
  CHECK(weights::read_file(path).tensors.size() == 1);
  // A name says nothing.
  const auto misleading = folder.path() / "weights.safetensors";
  weights::write_torch_file(misleading, {{"a", torch::ones(2)}}, "model");
  CHECK(weights::read_file(misleading).tensors.size() == 1);
  // The size of a header may begin as a zip archive or a pickle does.
  for (const uint64_t size : {uint64_t{0x04034b50 & 0xffff}, uint64_t{0x80}, uint64_t{0x0280}}) {
    const std::string header = R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})";
    files::write(path, files::bytes_of(size) + header +
                           std::string(static_cast<std::size_t>(size) - header.size(), ' ') + "x");
    CHECK(weights::read_file(path).tensors.size() == 1);
  }
}

TEST_CASE("other files are refused with what they seem to be", "[weights]") {
  const support::TemporaryFolder folder;
  const auto path = folder.path() / "weights.pth";
  std::string tar(512, '\0');
  tar.replace(0, 7, "sys_info").replace(257, 5, "ustar");
  for (const auto& [bytes, what] : std::vector<std::pair<std::string, std::string>>{
           {"x", "a text"},
           {"a text of some length", "a text"},
           {"\x89PNG\r\n\x1a\n and so on", "a PNG image"},
           {tar, "a tar archive"},
           {"\n<!DOCTYPE html><html><head>404", "a web page"},
           {"<HTML lang=en>", "a web page"},
           {"\x1f\x8b\x08 packed", "gzip"},
           {"version https://git-lfs.github.com/spec/v1\noid sha256:", "Git LFS"},
           {R"({"metadata": {}, "weight_map": {}})", "index of a model in several files"},
           {"\x89HDF\r\n\x1a\n", "HDF5"},
           {"(dp0\nS'model'\n", "protocol 0"},
           {std::string(4096, '\0'), "zeros"},
           {"PK\x05\x06" + std::string(18, '\0'), "zip archive without files"},
           {"\x01\x02\x03", "of another format"}}) {
    files::write(path, bytes);
    const std::string error = support::error_of([&] { weights::read_file(path); });
    CHECK_THAT(error, ContainsSubstring("weights.pth"));
    CHECK_THAT(error, ContainsSubstring("neither safetensors nor"));
    CHECK_THAT(error, ContainsSubstring(what));
  }
  // Pickles of others.
  files::write(path, "\x80\x04}.");
  CHECK_THAT(support::error_of([&] { weights::read_file(path); }),
             ContainsSubstring("none of torch.save"));
  CHECK_THAT(support::error_of([&] { weights::read_file(folder.path() / "none"); }),
             ContainsSubstring("cannot be opened"));
}
