// SPDX-License-Identifier: Apache-2.0
// The program `convert` itself: what it writes and prints, its errors and exit codes.
#include <torch/torch.h>

#include <limits>
#include <string>

#include "files.hpp"
#include "mae/mae.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/program.hpp"
#include "support/temporary_folder.hpp"
#include "weights/cast.hpp"
#include "weights/load.hpp"
#include "weights/names.hpp"
#include "weights/safetensors.hpp"
#include "weights/torch_file.hpp"

namespace fs = std::filesystem;

namespace {

/// A folder with the weights of a small MAE, and the program.
class Workplace {
 public:
  Workplace() {
    const mae::MaskedAutoencoder model(mae::MaskedAutoencoderOptions()
                                           .image_size(32)
                                           .patch_size(8)
                                           .embed_dim(24)
                                           .depth(2)
                                           .num_heads(3)
                                           .decoder_embed_dim(16)
                                           .decoder_depth(1)
                                           .decoder_num_heads(4));
    for (const auto& item : model->named_parameters()) {
      native_.emplace(item.key(), item.value().detach().clone());
    }
    weights::write_torch_file(file("mae.pth"), native_, "model");
  }

  fs::path file(const std::string& name) const { return folder_.path() / name; }
  const weights::Tensors& native() const { return native_; }
  /// The exit code; file names are those of the folder.
  int run(const std::string& arguments) {
    const int status = support::run_program(
        "cd " + folder_.path().string() + " && exec " CONVERT_PROGRAM " " + arguments,
        file("printed.txt"));
    printed_ = support::text_of(file("printed.txt"));
    return status;
  }
  const std::string& printed() const { return printed_; }
  weights::Tensors read(const std::string& name) const {
    return weights::read_file(file(name)).tensors;
  }

 private:
  support::TemporaryFolder folder_;
  weights::Tensors native_;
  std::string printed_;
};

}  // namespace

TEST_CASE("convert writes every scheme and format, and says what it did", "[weights]") {
  Workplace workplace;
  for (const auto& scheme : weights::scheme_names()) {
    for (const char* ending : {".pth", ".safetensors"}) {
      INFO(scheme << ending);
      const std::string name = scheme + ending;
      REQUIRE(workplace.run("mae.pth " + name + " --to " + scheme) == 0);
      const auto expected = weights::from_native(workplace.native(), scheme, false).tensors;
      const auto found = workplace.read(name);
      CHECK(found.size() == expected.size());
      for (const auto& [key, tensor] : expected) CHECK(files::same(found.at(key), tensor));
      CHECK_THAT(workplace.printed(), ContainsSubstring("names of " + scheme));
    }
  }
  REQUIRE(workplace.run("mae.pth out.pth --to hf --encoder-only") == 0);
  CHECK_THAT(workplace.printed(), ContainsSubstring("blocks.#.norm1.* -> "
                                                    "vit.encoder.layer.#.layernorm_before.* (4)"));
  CHECK_THAT(workplace.printed(), ContainsSubstring("left out: decoder_pred.weight (1)"));
  CHECK(workplace.read("out.pth").count("decoder.decoder_pred.weight") == 0);
  // Onto itself: the file that is read stays until it is read.
  REQUIRE(workplace.run("mae.pth mae.pth --to mmpretrain") == 0);
  CHECK(workplace.read("mae.pth").count("backbone.ln1.weight") == 1);
}

TEST_CASE("convert lists what a file holds", "[weights]") {
  Workplace workplace;
  REQUIRE(workplace.run("mae.pth --list") == 0);
  CHECK_THAT(workplace.printed(), ContainsSubstring("names of mae"));
  CHECK_THAT(workplace.printed(), ContainsSubstring("  decoder_pred.bias Float [192]"));
  weights::write_safetensors(
      workplace.file("a.safetensors"),
      {{"student.norm.weight", torch::ones(3)}, {"teacher.norm.weight", torch::ones(3, at::kHalf)}},
      {{"format", "pt"}, {"source", "a run"}});
  REQUIRE(workplace.run("a.safetensors --list") == 0);
  CHECK_THAT(workplace.printed(), ContainsSubstring("metadata: source = a run"));
  CHECK_THAT(workplace.printed(), ContainsSubstring("teacher.norm.weight Half [3]"));
  CHECK_THAT(workplace.printed(), ContainsSubstring("student. and teacher."));
}

TEST_CASE("metadata of safetensors survive", "[weights]") {
  Workplace workplace;
  const auto metadata = [&](const std::string& name) {
    return weights::read_safetensors(workplace.file(name)).metadata;
  };
  REQUIRE(workplace.run("mae.pth a.safetensors --to timm") == 0);
  CHECK(metadata("a.safetensors") == std::map<std::string, std::string>{{"format", "pt"}});
  weights::write_safetensors(workplace.file("b.safetensors"), workplace.native(),
                             {{"epochs", "800"}, {"source", "\"a\" run"}});
  REQUIRE(workplace.run("b.safetensors c.safetensors --to hf") == 0);
  CHECK(metadata("c.safetensors") == std::map<std::string, std::string>{{"epochs", "800"},
                                                                        {"format", "pt"},
                                                                        {"source", "\"a\" run"}});
}

TEST_CASE("convert casts floating-point tensors", "[weights]") {
  Workplace workplace;
  auto tensors = workplace.native();
  tensors["steps"] = torch::tensor({int64_t{1} << 40});
  tensors["infinite"] = torch::tensor({std::numeric_limits<float>::infinity(), 1.0f});
  tensors["double"] = torch::randn(3, at::kDouble);
  weights::write_safetensors(workplace.file("in.safetensors"), tensors);
  for (const auto& [name, dtype] :
       {std::pair{"float16", at::kHalf}, {"bfloat16", at::kBFloat16}, {"float32", at::kFloat}}) {
    INFO(name);
    REQUIRE(workplace.run(std::string("in.safetensors out.pth --to mae --dtype ") + name) == 0);
    const auto found = workplace.read("out.pth");
    for (const auto& [key, tensor] : tensors) {
      CHECK(files::same(found.at(key), key == "steps" ? tensor : tensor.to(dtype)));
    }
  }
  tensors["norm.weight"][7] = 1e5f;
  weights::write_safetensors(workplace.file("in.safetensors"), tensors);
  CHECK(workplace.run("in.safetensors none.pth --dtype float16") == 1);
  CHECK_THAT(workplace.printed(), ContainsSubstring("norm.weight has 100000, too large for Half"));
  CHECK_FALSE(fs::exists(workplace.file("none.pth")));
  CHECK(workplace.run("in.safetensors out.pth --dtype bfloat16") == 0);
  CHECK(workplace.run("in.safetensors out.pth --dtype int8") != 0);
}

TEST_CASE("convert resizes positions", "[weights]") {
  Workplace workplace;
  for (const char* options : {"--image-size 48", "--grid 6x6"}) {
    REQUIRE(workplace.run(std::string("mae.pth out.pth --to mmseg ") + options) == 0);
    CHECK(workplace.read("out.pth").at("pos_embed").size(1) == 37);
    CHECK_THAT(workplace.printed(), ContainsSubstring("positions: of a grid of 6x6"));
  }
  REQUIRE(workplace.run("mae.pth out.pth --to mae --grid 2x8 --from-grid 4x4") == 0);
  CHECK(workplace.read("out.pth").at("decoder_pos_embed").size(1) == 17);
  // A decoder that is left out anyway is asked for nothing.
  auto odd = workplace.native();
  odd["decoder_pos_embed"] = torch::zeros({3});
  weights::write_torch_file(workplace.file("odd.pth"), odd, "");
  CHECK(workplace.run("odd.pth out.pth --to mae --grid 6x6") == 1);
  CHECK_THAT(workplace.printed(), ContainsSubstring("decoder_pos_embed"));
  CHECK(workplace.run("odd.pth out.pth --to mae --grid 6x6 --encoder-only") == 0);
  CHECK(workplace.run("odd.pth out.pth --to timm --grid 6x6") == 0);
  CHECK_THAT(workplace.printed(), ContainsSubstring("left out: decoder_pos_embed"));
}

TEST_CASE("convert ends with a message and a code of its own", "[weights]") {
  Workplace workplace;
  files::write(workplace.file("page.pth"), "<!doctype html><title>404</title>");
  weights::write_torch_file(
      workplace.file("convmae.pth"),
      {{"blocks1.0.conv1.weight", torch::ones(1)}, {"norm.weight", torch::ones(1)}}, "");
  const auto fails = [&](const std::string& arguments, const std::string& message) {
    INFO(arguments);
    CHECK(workplace.run(arguments) != 0);
    CHECK_THAT(workplace.printed(), ContainsSubstring(message));
    CHECK_FALSE(fs::exists(workplace.file("out.pth")));
    CHECK_THAT(workplace.printed(), !ContainsSubstring("frame #"));
  };
  fails("", "IN is required");
  fails("nowhere.pth out.pth", "nowhere.pth");
  fails("mae.pth", "name a file to write, or --list");
  fails("mae.pth out.bin", "ends in .safetensors or .pth, got out.bin");
  fails("mae.pth out.pth --to keras", "keras");
  fails("mae.pth out.pth --list", "--list");
  fails("mae.pth out.pth --grid 4", "a grid such as 14x14, got 4");
  fails("mae.pth out.pth --grid 4x4 --image-size 32", "--grid");
  fails("mae.pth out.pth --image-size 33", "no multiple of the patch size 8");
  fails("mae.pth nowhere/out.pth", "nowhere");
  fails("page.pth out.pth", "page.pth: it is neither");
  fails("page.pth out.pth", "a web page");
  fails("convmae.pth out.pth --to detectron2", "possible: mae");
  CHECK(workplace.run("page.pth out.pth") == 1);
  CHECK(workplace.run("--help") == 0);
  CHECK_THAT(workplace.printed(), ContainsSubstring("--dtype"));
}
