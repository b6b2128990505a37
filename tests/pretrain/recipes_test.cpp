// SPDX-License-Identifier: Apache-2.0
// The recipes: each host plain and with PixMIM, which changes its input and its target alone.
#include "pretrain/recipes.hpp"

#include <torch/torch.h>

#include <algorithm>
#include <set>
#include <sstream>

#include "pretrain/host.hpp"
#include "pretrain/optimizer.hpp"
#include "support/catch.hpp"

namespace {

bool is_recipe(const std::string& name) {
  const auto names = pretrain::recipe_names();
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// The names of the options that differ.
std::set<std::string> difference(const pretrain::Options& a, const pretrain::Options& b) {
  std::istringstream lines_a(a.identity());
  std::istringstream lines_b(b.identity());
  std::set<std::string> result;
  std::string line_a;
  std::string line_b;
  while (std::getline(lines_a, line_a) && std::getline(lines_b, line_b)) {
    if (line_a != line_b) result.insert(line_a.substr(0, line_a.find('=')));
  }
  return result;
}

}  // namespace

TEST_CASE("PixMIM changes the crop and the target of a recipe, and nothing else", "[pretrain]") {
  const std::set<std::string> pixmim = {"crop", "interpolation", "min-scale", "target", "radius"};
  std::set<std::string> hosts;
  for (const auto& name : pretrain::recipe_names()) {
    if (name.rfind("pixmim_", 0) != 0 || name == "pixmim_vit_tiny_demo") continue;
    CAPTURE(name);
    const std::string rest = name.substr(std::string("pixmim_").size());
    const std::string plain = is_recipe(rest) ? rest : "mae_" + rest;
    REQUIRE(is_recipe(plain));
    const auto options = pretrain::recipe(name);
    hosts.insert(options.host);
    CHECK(options.recipe == name);
    CHECK(options.crop == "src");
    CHECK(options.target == "low-freq");
    CHECK(options.radius == 40.0 * static_cast<double>(options.image_size) / 224);
    CHECK(pretrain::recipe(plain).target == "pixels");
    const auto changed = difference(options, pretrain::recipe(plain));
    CHECK(std::includes(pixmim.begin(), pixmim.end(), changed.begin(), changed.end()));
    CHECK(changed.count("target") == 1);
  }
  const auto names = pretrain::host_names();
  CHECK(hosts == std::set<std::string>(names.begin(), names.end()));
}

TEST_CASE("a host alone takes its recipe with PixMIM", "[pretrain]") {
  for (const auto& host : pretrain::host_names()) {
    const auto options = pretrain::recipe(pretrain::recipe_of_host(host));
    CHECK(options.host == host);
    CHECK(options.target == "low-freq");
  }
  CHECK(pretrain::recipe_of_host("mae") == pretrain::Options().recipe);
  CHECK_THROWS_AS(pretrain::recipe_of_host("swin"), std::invalid_argument);
  CHECK_THROWS_AS(pretrain::recipe("none"), std::invalid_argument);
}

TEST_CASE("the published batches and learning rates are those of the sources", "[pretrain]") {
  const auto expect = [](const std::string& name, int64_t batch, double learning_rate) {
    CAPTURE(name);
    const auto options = pretrain::recipe(name);
    CHECK(options.effective_batch() == batch);
    CHECK(options.learning_rate() == Approx(learning_rate).epsilon(1e-12));
  };
  expect("mae_vit_base_300e", 4096, 1.5e-4 * 16);
  expect("mae_vit_large_800e", 4096, 1.5e-4 * 16);
  expect("convmae_base_1600e", 3 * 8 * 128, 1.5e-4 * 12);
  expect("lsmae_vit_base_800e", 4096, 1.5e-4 * 16);
  expect("mff_vit_base_800e", 4096, 1.5e-4 * 16);
  expect("simmim_vit_base_800e", 2048, 1e-4 * 2048 / 512);
}

TEST_CASE("a recipe makes the published model", "[pretrain]") {
  // Rows of decoder_embed, blocks of encoder and decoder.
  const auto expect = [](const std::string& name, int64_t decoder_dim, int64_t depth,
                         int64_t decoder_depth) {
    CAPTURE(name);
    const auto host = pretrain::make_host(pretrain::recipe(name));
    int64_t width = 0;
    std::set<std::string> blocks;
    for (const auto& item : host->module().named_parameters()) {
      const std::string& parameter = item.key();
      if (parameter == "decoder_embed.weight") width = item.value().size(0);
      const auto place = parameter.find("blocks");
      if (place != parameter.npos) {
        blocks.insert(parameter.substr(0, parameter.find('.', parameter.find('.', place) + 1)));
      }
    }
    const auto of_decoder = std::count_if(blocks.begin(), blocks.end(), [](const auto& block) {
      return block.rfind("decoder_", 0) == 0;
    });
    CHECK(width == decoder_dim);
    CHECK(of_decoder == decoder_depth);
    CHECK(static_cast<int64_t>(blocks.size()) - of_decoder == depth);
  };
  expect("pixmim_vit_base_800e", 512, 12, 8);
  expect("convmae_base_1600e", 512, 2 + 2 + 11, 8);
  expect("lsmae_vit_base_800e", 384, 12, 8);
  expect("pixmim_mff_vit_base_300e", 512, 12, 8);
  expect("simmim_vit_base_800e", 0, 12, 0);
  // 8 blocks of 512 have as many parameters with any number of heads: those of the official name
  // "dec384d12h8b" are held by hosts/lsmae_test.cpp, and the recipe leaves them alone.
  CHECK(pretrain::recipe("lsmae_vit_base_800e").decoder_heads == 0);
}

TEST_CASE("the schedule of SimMIM warms up from its start and falls once", "[pretrain]") {
  const pretrain::Schedule schedule{"multistep", 1, 0, 0.005, 10, 800, 700, 0.1};
  // main_simmim.py calls step_update(k) after step k: the rate of step 0 is that of step 1 too.
  CHECK(schedule.at(0) == Approx(0.005));
  CHECK(schedule.at(1) == Approx(0.005));
  CHECK(schedule.at(6) == Approx(0.5025));
  CHECK(schedule.at(11) == 1);
  CHECK(schedule.at(700) == 1);
  CHECK(schedule.at(701) == Approx(0.1));
  CHECK(schedule.at(799) == Approx(0.1));
}

TEST_CASE("SimMIM decays its mask token, but neither class token nor positions", "[pretrain]") {
  const auto matrix = torch::zeros({1, 1, 4});
  CHECK(pretrain::spares_decay("encoder.cls_token", matrix, "simmim"));
  CHECK(pretrain::spares_decay("encoder.pos_embed", matrix, "simmim"));
  CHECK(pretrain::spares_decay("encoder.blocks.0.gamma_1", torch::zeros({4}), "simmim"));
  CHECK_FALSE(pretrain::spares_decay("encoder.mask_token", matrix, "simmim"));
  CHECK_FALSE(pretrain::spares_decay("encoder.rel_pos_bias.relative_position_bias_table", matrix,
                                     "simmim"));
}

TEST_CASE("options that a host does not have are named", "[pretrain]") {
  const auto message = [](pretrain::Options options) -> std::string {
    try {
      pretrain::make_host(options);
    } catch (const c10::Error& error) {
      return error.what_without_backtrace();
    }
    return "";
  };
  auto options = pretrain::recipe("convmae_base_1600e");
  options.model = "large";
  CHECK_THAT(message(options), ContainsSubstring("ConvMAE is there as base alone, got large"));
  options = pretrain::recipe("convmae_base_1600e");
  options.patch_size = 8;
  CHECK_THAT(message(options), ContainsSubstring("ConvMAE's strides make it 16, got 8"));
  options = pretrain::recipe("mff_vit_base_800e");
  options.model = "tiny";
  options.out_indices = "0,x";
  CHECK_THAT(message(options), ContainsSubstring("expected numbers with commas between them"));
  options.out_indices = "0,4";
  CHECK_THAT(message(options), ContainsSubstring("--out-indices: expected the last layer, 11"));
  options.out_indices = "4,0,11";
  CHECK_THAT(message(options), ContainsSubstring("expected out_indices to ascend"));
  options.out_indices = "";
  options.drop_path = 0.1;
  CHECK_THAT(message(options), ContainsSubstring("--drop-path is an option of simmim, not of mff"));
  options.drop_path = 0;
  options.decoder_downsampling = 2;
  CHECK_THAT(message(options), ContainsSubstring("--decoder-downsampling is an option of lsmae"));
  options = pretrain::recipe("simmim_vit_base_800e");
  options.decoder_depth = 1;
  CHECK_THAT(message(options), ContainsSubstring("option of mae, convmae, lsmae, mff, not of"));
  options.host = "swin";
  CHECK_THAT(message(options), ContainsSubstring("got swin"));
}
