// SPDX-License-Identifier: Apache-2.0
// The crops against Pillow and torchvision, to the bit.
#include <ATen/ATen.h>
#include <pixmim/random_resized_crop.hpp>
#include <pixmim/simple_resized_crop.hpp>

#include <algorithm>
#include <cmath>

#include "support/catch.hpp"
#include "support/golden.hpp"

namespace {

using pixmim::Interpolation;
using pixmim::PassOrder;

/// Crops every window of a file in both pass orders and returns the largest difference.
template <typename MakeCrop>
double compare(const support::Golden& golden, const MakeCrop& make_crop) {
  double worst = 0;
  for (int64_t k = 0; k < golden["top"].numel(); ++k) {
    pixmim::CropWindow window{golden.integer("top", k), golden.integer("left", k),
                              golden.integer("flip", k) != 0};
    if (golden.has("height")) {
      window.height = golden.integer("height", k);
      window.width = golden.integer("width", k);
    }
    const auto interpolation =
        golden.integer("interpolation", k) == 0 ? Interpolation::Bilinear : Interpolation::Bicubic;
    for (const auto order : {PassOrder::Pillow13, PassOrder::HorizontalFirst}) {
      const bool older = order == PassOrder::HorizontalFirst && golden.has("expected_pillow12");
      const auto& expected = golden[older ? "expected_pillow12" : "expected"][k];
      const auto pixels = make_crop(interpolation, order).apply(golden["image"], window);
      worst = std::max(worst, support::largest_difference(pixels.permute({1, 2, 0}), expected));
    }
  }
  return worst;
}

}  // namespace

TEST_CASE("SimpleResizedCrop equals Pillow and torchvision in every pixel", "[crop]") {
  for (const auto& path : support::golden_files("src_")) {
    const support::Golden golden(path);
    const double worst = compare(golden, [&](Interpolation interpolation, PassOrder order) {
      return pixmim::SimpleResizedCrop(pixmim::SimpleResizedCropOptions(golden.integer("size"))
                                           .padding(golden.integer("padding"))
                                           .interpolation(interpolation)
                                           .pass_order(order)
                                           .normalize(false));
    });
    support::report(golden.name(), worst, 0);
    CHECK(worst == 0);
    const auto& image = golden["image"];
    const auto resized =
        pixmim::SimpleResizedCrop(golden.integer("size")).resized(image.size(0), image.size(1));
    CHECK(resized[0] == golden.integer("resized", 0));
    CHECK(resized[1] == golden.integer("resized", 1));
  }
}

TEST_CASE("RandomResizedCrop equals Pillow and torchvision in every pixel", "[crop]") {
  for (const auto& path : support::golden_files("rrc_")) {
    const support::Golden golden(path);
    const double worst = compare(golden, [&](Interpolation interpolation, PassOrder order) {
      return pixmim::RandomResizedCrop(pixmim::RandomResizedCropOptions(golden.integer("size"))
                                           .interpolation(interpolation)
                                           .pass_order(order)
                                           .normalize(false));
    });
    support::report(golden.name(), worst, 0);
    CHECK(worst == 0);
  }
}

TEST_CASE("the normalised crop is ToTensor and Normalize of the uint8 one", "[crop]") {
  const auto golden = support::golden("src_50x61_s32");
  const pixmim::CropWindow window{3, 5, true};
  const auto bytes =
      pixmim::SimpleResizedCrop(pixmim::SimpleResizedCropOptions(32).normalize(false))
          .apply(golden["image"], window);
  const auto image = pixmim::SimpleResizedCrop(32).apply(golden["image"], window);
  const auto mean = at::tensor({0.485F, 0.456F, 0.406F}).view({3, 1, 1});
  const auto std = at::tensor({0.229F, 0.224F, 0.225F}).view({3, 1, 1});
  CHECK(at::equal(image, bytes.to(at::kFloat).div(255).sub(mean).div(std)));
}

TEST_CASE("drawn windows have torchvision's mean and variance", "[crop]") {
  const auto golden = support::golden("crop_params_stats");
  constexpr int64_t draws = 20000;
  for (int64_t row = 0; row < golden["image_size"].size(0); ++row) {
    const int64_t height = golden["image_size"][row][0].item<int64_t>();
    const int64_t width = golden["image_size"][row][1].item<int64_t>();
    const pixmim::SimpleResizedCrop src(pixmim::SimpleResizedCropOptions(golden.integer("size"))
                                            .padding(golden.integer("padding")));
    const auto range = [&](const char* key, int64_t i) { return golden[key][i].item<double>(); };
    const pixmim::RandomResizedCrop rrc(pixmim::RandomResizedCropOptions(golden.integer("size"))
                                            .scale({range("rrc_scale", 0), range("rrc_scale", 1)})
                                            .ratio({range("rrc_ratio", 0), range("rrc_ratio", 1)}));
    const auto src_draws = at::empty({draws, 2}, at::kDouble);
    const auto rrc_draws = at::empty({draws, 6}, at::kDouble);
    auto generator = at::detail::createCPUGenerator(static_cast<uint64_t>(row));
    for (int64_t i = 0; i < draws; ++i) {
      const auto a = src.sample(height, width, generator);
      const auto b = rrc.sample(height, width, 7, static_cast<uint64_t>(i));
      auto* s = src_draws[i].data_ptr<double>();
      s[0] = static_cast<double>(a.top);
      s[1] = static_cast<double>(a.left);
      auto* r = rrc_draws[i].data_ptr<double>();
      r[0] = static_cast<double>(b.top);
      r[1] = static_cast<double>(b.left);
      r[2] = static_cast<double>(b.height);
      r[3] = static_cast<double>(b.width);
      r[4] = r[2] * r[3] / static_cast<double>(height * width);
      r[5] = std::log(r[3] / r[2]);
    }
    const auto compare_mean = [&](const at::Tensor& ours, const std::string& prefix) {
      const auto error =
          (ours.var(0) / draws).sqrt() + golden[prefix + "_mean_se"][row].to(at::kDouble) + 1e-9;
      const auto distance =
          (ours.mean(0) - golden[prefix + "_mean"][row].to(at::kDouble)).abs() / error;
      CHECK(distance.max().item<double>() < 5);
    };
    compare_mean(src_draws, "src");
    compare_mean(rrc_draws, "rrc");
    for (int64_t axis = 0; axis < 2; ++axis) {
      CHECK(src_draws.select(1, axis).min().item<double>() == 0);
      CHECK(src_draws.select(1, axis).max().item<double>() ==
            golden["src_max"][row][axis].item<double>());
    }
  }
}

TEST_CASE("the crops keep torchvision's share of the foreground", "[crop]") {
  const auto golden = support::golden("coverage");
  constexpr int64_t draws = 20000;
  const int64_t size = golden.integer("size");
  const int64_t padding = golden.integer("padding");
  const pixmim::SimpleResizedCrop src(pixmim::SimpleResizedCropOptions(size).padding(padding));
  const auto range = [&](const char* key, int64_t i) { return golden[key][i].item<double>(); };
  const pixmim::RandomResizedCrop rrc(pixmim::RandomResizedCropOptions(size)
                                          .scale({range("rrc_scale", 0), range("rrc_scale", 1)})
                                          .ratio({range("rrc_ratio", 0), range("rrc_ratio", 1)}));
  // What the windows first .. first + length and low .. low + extent share, of the latter.
  const auto overlap = [](double first, double length, double low, double extent) {
    const double shared = std::min(first + length, low + extent) - std::max(first, low);
    return std::max(shared, 0.0) / extent;
  };
  for (int64_t row = 0; row < golden["box"].size(0); ++row) {
    const auto at = [&](const char* key, int64_t i) { return golden[key][row][i].item<int64_t>(); };
    const int64_t height = at("image_size", 0);
    const int64_t width = at("image_size", 1);
    const auto box = [&](int64_t i) { return static_cast<double>(at("box", i)); };
    const auto resized = src.resized(height, width);
    const double scale_y = static_cast<double>(resized[0]) / static_cast<double>(height);
    const double scale_x = static_cast<double>(resized[1]) / static_cast<double>(width);
    const auto margin = static_cast<double>(padding);
    const auto side = static_cast<double>(size);
    const auto src_share = at::empty({draws}, at::kDouble);
    const auto rrc_share = at::empty({draws}, at::kDouble);
    for (int64_t i = 0; i < draws; ++i) {
      const auto a = src.sample(height, width, 11, static_cast<uint64_t>(i));
      src_share.data_ptr<double>()[i] =
          overlap(static_cast<double>(a.top), side, box(0) * scale_y + margin, box(2) * scale_y) *
          overlap(static_cast<double>(a.left), side, box(1) * scale_x + margin, box(3) * scale_x);
      const auto b = rrc.sample(height, width, 11, static_cast<uint64_t>(i));
      rrc_share.data_ptr<double>()[i] =
          overlap(static_cast<double>(b.top), static_cast<double>(b.height), box(0), box(2)) *
          overlap(static_cast<double>(b.left), static_cast<double>(b.width), box(1), box(3));
    }
    const auto distance = [&](const at::Tensor& ours, const std::string& prefix) {
      const double error = std::sqrt(ours.var().item<double>() / draws) +
                           golden[prefix + "_se"][row].item<double>() + 1e-6;
      const double difference =
          ours.mean().item<double>() - golden[prefix + "_mean"][row].item<double>();
      return std::abs(difference) / error;
    };
    CHECK(distance(src_share, "src") < 5);
    CHECK(distance(rrc_share, "rrc") < 5);
    CHECK(src_share.mean().item<double>() > rrc_share.mean().item<double>());
  }
}
