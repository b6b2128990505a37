// SPDX-License-Identifier: Apache-2.0
// Each bad argument of the crops gives an error that names it.
#include <ATen/ATen.h>
#include <pixmim/random_resized_crop.hpp>
#include <pixmim/simple_resized_crop.hpp>

#include <cmath>

#include "support/catch.hpp"
#include "support/errors.hpp"

using support::error_of;
using SrcOptions = pixmim::SimpleResizedCropOptions;
using RrcOptions = pixmim::RandomResizedCropOptions;

TEST_CASE("bad images are named by the crops", "[crop]") {
  const pixmim::SimpleResizedCrop src(16);
  const auto error = [&](const at::Tensor& image) { return error_of([&] { src(image); }); };
  CHECK_THAT(error(at::Tensor()), ContainsSubstring("SimpleResizedCrop: expected `image`"));
  CHECK_THAT(error(at::zeros({8, 8}, at::kByte)),
             ContainsSubstring("expected an image of shape [H,W,C], got [8, 8]"));
  CHECK_THAT(error(at::zeros({8, 8, 3})),
             ContainsSubstring("expected an image of dtype uint8, got Float"));
  CHECK_THAT(error(at::zeros({0, 8, 3}, at::kByte)),
             ContainsSubstring("at least 1x1 pixels and one channel"));
  CHECK_THAT(error(at::zeros({8, 8, 1}, at::kByte)),
             ContainsSubstring("expected images of 3 channels, as mean and std have, got 1"));
  CHECK_THAT(error(at::zeros({3, 20, 30}, at::kByte)),
             ContainsSubstring("got [3, 20, 30] (channels_first(true) takes the other one)"));
  CHECK_THAT(error_of([] {
               pixmim::SimpleResizedCrop(SrcOptions(16).channels_first(true))(
                   at::zeros({20, 30, 3}, at::kByte));
             }),
             ContainsSubstring("got [20, 30, 3] (channels_first(false) takes the other one)"));
  CHECK_THAT(error_of([&] { src(std::vector<at::Tensor>{}); }),
             ContainsSubstring("expected at least one image, got an empty list"));
  const pixmim::SimpleResizedCrop bytes(SrcOptions(4).normalize(false));
  CHECK_THAT(error_of([&] {
               bytes(std::vector<at::Tensor>{at::zeros({8, 8, 3}, at::kByte),
                                             at::zeros({8, 8, 1}, at::kByte)});
             }),
             ContainsSubstring("expected images with one number of channels, got 3 and 1"));
  CHECK_THAT(error_of([&] {
               pixmim::RandomResizedCrop(16)(at::zeros({8, 8, 3}));
             }),
             ContainsSubstring("RandomResizedCrop: expected an image of dtype uint8"));
}

TEST_CASE("windows outside the image are named", "[crop]") {
  const auto image = at::zeros({20, 30, 3}, at::kByte);
  const auto src = [&](pixmim::CropWindow window) {
    return error_of([&] { pixmim::SimpleResizedCrop(10).apply(image, window); });
  };
  CHECK_THAT(src({9, 0, false}),
             ContainsSubstring("top in [0, 8] and left in [0, 13], got top 9 and left 0"));
  CHECK_THAT(src({0, -1, false}), ContainsSubstring("left -1"));
  const auto rrc = [&](pixmim::CropWindow window) {
    return error_of([&] { pixmim::RandomResizedCrop(10).apply(image, window); });
  };
  CHECK_THAT(rrc({0, 0, false}), ContainsSubstring("height 0, width 0"));
  CHECK_THAT(rrc({1, 0, false, 20, 5}), ContainsSubstring("inside the image of 20x30, got top 1"));
  CHECK_THAT(rrc({1, 0, false, INT64_MAX, 5}), ContainsSubstring("inside the image"));
}

TEST_CASE("results that do not fit are named", "[crop]") {
  const auto image = at::zeros({20, 30, 3}, at::kByte);
  const pixmim::SimpleResizedCrop src(10);
  const auto error = [&](const at::Tensor& out) {
    return error_of([&] { src.apply_out(out, image, {}); });
  };
  CHECK_THAT(error(at::Tensor()), ContainsSubstring("expected `out` to be a tensor"));
  CHECK_THAT(error(at::empty({3, 10, 9})),
             ContainsSubstring("expected out of shape [3, 10, 10], got [3, 10, 9]"));
  CHECK_THAT(error(at::empty({3, 10, 10}, at::kByte)),
             ContainsSubstring("expected out of dtype Float, got Byte"));
  CHECK_THAT(error(at::empty({3, 1, 10}).expand({3, 10, 10})),
             ContainsSubstring("expected out with memory of its own for each element"));
  CHECK_THAT(error_of([&] {
               src.apply({image, image}, {{}});
             }),
             ContainsSubstring("expected as many windows as images, 2, got 1"));
}

TEST_CASE("bad options of the crops are named", "[crop]") {
  const auto src = [](const SrcOptions& options) {
    return error_of([&] { const pixmim::SimpleResizedCrop crop(options); });
  };
  CHECK_THAT(src(SrcOptions(0)), ContainsSubstring("expected size > 0, got 0"));
  CHECK_THAT(src(SrcOptions(8).padding(-1)),
             ContainsSubstring("expected padding in [0, 16777216], got -1"));
  CHECK_THAT(src(SrcOptions(8).flip(1.5)), ContainsSubstring("expected flip in [0, 1], got 1.5"));
  CHECK_THAT(src(SrcOptions(8).mean({})), ContainsSubstring("got 0 and 3"));
  CHECK_THAT(src(SrcOptions(8).dtype(at::kDouble)),
             ContainsSubstring("expected dtype float32, float16 or bfloat16, got Double"));
  CHECK_THAT(src(SrcOptions(8).dtype(at::kHalf).normalize(false)),
             ContainsSubstring("expected no dtype with normalize(false)"));
  const auto rrc = [](const RrcOptions& options) {
    return error_of([&] { const pixmim::RandomResizedCrop crop(options); });
  };
  CHECK_THAT(src(SrcOptions(8).mean({0}).std({1e-60})),
             ContainsSubstring("expected std > 0 in float32"));
  CHECK_THAT(src(SrcOptions(8).mean({1e60}).std({1})),
             ContainsSubstring("expected mean to be finite in float32"));
  CHECK_THAT(rrc(RrcOptions(8).ratio({1, INFINITY})), ContainsSubstring("both finite"));
  CHECK_THAT(error_of([] { pixmim::SimpleResizedCrop(8).sample(9, 9, 0, 0, uint64_t{1} << 32); }),
             ContainsSubstring("expected an epoch below 2^32, got 4294967296"));
  CHECK_THAT(rrc(RrcOptions(8).scale({0.5, 0.1})), ContainsSubstring("got {0.5, 0.1}"));
  CHECK_THAT(rrc(RrcOptions(8).ratio({0, 1})), ContainsSubstring("expected ratio with 0 < least"));
  CHECK_THAT(error_of([] { pixmim::SimpleResizedCrop(8).sample(0, 5); }),
             ContainsSubstring("expected an image of at least 1x1 pixels, got 0x5"));
}
