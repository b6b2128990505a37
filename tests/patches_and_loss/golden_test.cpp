// SPDX-License-Identifier: Apache-2.0
// Patches, losses and gradients against those of the official implementations.
#include <ATen/ATen.h>
#include <pixmim/loss.hpp>
#include <pixmim/patches.hpp>

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/golden.hpp"

using pixmim::PixelLossOptions;
using pixmim::PixelNorm;
using support::Golden;

namespace {

/// The files of patches and losses; that of the position embedding is the model's.
std::vector<Golden> goldens() {
  std::vector<Golden> found;
  for (const auto& path : support::golden_files("patches_loss_")) {
    const std::string name = path.filename().string();
    if (name.rfind("patches_loss_pos_embed_", 0) != 0) found.emplace_back(path);
  }
  return found;
}

void expect_close(const std::string& what, const at::Tensor& ours, const at::Tensor& expected,
                  double allowed) {
  INFO(what);
  const double difference = support::largest_difference(ours, expected);
  support::report(what, difference, allowed);
  CHECK(difference <= allowed);
}

// Sums of up to 1e4 squares in float32, in another order than the reference's: measured 1.4e-7 of
// the loss between its float32 and its float64.
constexpr double loss_tolerance = 5e-6;

/// The gradient of each pixel is a product of few numbers.
double gradient_tolerance(const at::Tensor& expected) {
  return 1e-6 * expected.abs().max().item<double>() + 1e-9;
}

struct Row {
  std::string suffix;
  PixelNorm norm;
  bool norm_pix;
};

const std::vector<Row>& rows() {
  static const std::vector<Row> all = {{"", PixelNorm::L2, false},
                                       {"_norm_pix", PixelNorm::L2, true},
                                       {"_l1", PixelNorm::L1, false},
                                       {"_l1_norm_pix", PixelNorm::L1, true}};
  return all;
}

}  // namespace

TEST_CASE("patches are those of the official MAE and of LSMAE", "[patches_and_loss]") {
  int files = 0;
  for (const Golden& golden : goldens()) {
    if (!golden.has("patches")) continue;
    ++files;
    const int64_t size = golden.integer("patch_size");
    const auto& images = golden["images"];
    const auto patches = pixmim::patchify(images, size);
    expect_close(golden.name() + " patches", patches, golden["patches"], 0);
    expect_close(golden.name() + " images again",
                 pixmim::unpatchify(patches, size, {images.size(2) / size, images.size(3) / size}),
                 images, 0);
  }
  CHECK(files >= 4);
}

TEST_CASE("predicted patches make the official images", "[patches_and_loss]") {
  int files = 0;
  for (const Golden& golden : goldens()) {
    if (!golden.has("pred_images")) continue;
    ++files;
    const int64_t size = golden.integer("patch_size");
    const int64_t side = golden["images"].size(2) / size;
    expect_close(golden.name() + " pred_images", pixmim::unpatchify(golden["pred"], size, side),
                 golden["pred_images"], 0);
  }
  CHECK(files >= 2);
}

TEST_CASE("losses and their gradients are the official ones", "[patches_and_loss]") {
  int losses = 0;
  for (const Golden& golden : goldens()) {
    const int64_t size = golden.integer("patch_size");
    const auto& images = golden.has("target") ? golden["target"] : golden["images"];
    for (const auto& row : rows()) {
      if (!golden.has("loss" + row.suffix)) continue;
      ++losses;
      const auto options = PixelLossOptions(size).norm(row.norm).norm_pix(row.norm_pix);
      const auto& expected = golden["loss" + row.suffix];
      const auto& expected_gradient = golden["grad" + row.suffix];
      const double allowed = loss_tolerance * std::abs(expected.item<double>());
      const std::pair<std::string, at::Tensor> targets[] = {
          {" ", images}, {" of patches ", pixmim::patchify(images, size)}};
      for (const auto& [kind, target] : targets) {
        const auto prediction = golden["pred"].clone().requires_grad_(true);
        const auto loss = pixmim::masked_pixel_loss(prediction, target, golden["mask"], options);
        CHECK(loss.dim() == 0);
        CHECK(loss.scalar_type() == at::kFloat);
        expect_close(golden.name() + kind + "loss" + row.suffix, loss.detach(), expected, allowed);
        loss.backward();
        expect_close(golden.name() + kind + "grad" + row.suffix, prediction.grad(),
                     expected_gradient, gradient_tolerance(expected_gradient));
      }
    }
  }
  CHECK(losses >= 8);
}

TEST_CASE("losses in float64 are the official ones, rounded", "[patches_and_loss]") {
  for (const Golden& golden : goldens()) {
    const auto& images = golden.has("target") ? golden["target"] : golden["images"];
    for (const auto& row : rows()) {
      if (!golden.has("loss" + row.suffix)) continue;
      const auto options =
          PixelLossOptions(golden.integer("patch_size")).norm(row.norm).norm_pix(row.norm_pix);
      const auto loss = pixmim::masked_pixel_loss(golden["pred"].to(at::kDouble),
                                                  images.to(at::kDouble), golden["mask"], options);
      CHECK(loss.scalar_type() == at::kDouble);
      // The reference's own float32 is within 1.4e-7 of float64.
      const auto& expected = golden["loss" + row.suffix];
      expect_close(golden.name() + " loss" + row.suffix + " float64", loss, expected,
                   1e-6 * std::abs(expected.item<double>()));
    }
  }
}
