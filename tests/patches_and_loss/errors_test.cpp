// SPDX-License-Identifier: Apache-2.0
// Each bad argument of the patches and of the loss gives an error that names it.
#include <ATen/ATen.h>
#include <pixmim/loss.hpp>
#include <pixmim/patches.hpp>

#include <string>

#include "support/catch.hpp"
#include "support/errors.hpp"

using pixmim::PixelLossOptions;
using support::error_of;

namespace {

/// The arguments of a loss, one of which a test spoils.
struct Loss {
  at::Tensor prediction = at::zeros({2, 6, 12});
  at::Tensor target = at::zeros({2, 3, 4, 6});
  at::Tensor mask = at::ones({2, 6});
  PixelLossOptions options = 2;

  std::string error() const {
    return error_of([&] { pixmim::masked_pixel_loss(prediction, target, mask, options); });
  }
};

template <typename Spoil>
std::string error_after(const Spoil& spoil) {
  Loss loss;
  spoil(loss);
  return loss.error();
}

const auto no_device = [](at::IntArrayRef shape) {
  return at::empty(shape, at::device(at::kMeta));
};

}  // namespace

TEST_CASE("images that cannot be cut are named", "[patches_and_loss]") {
  const auto error = [](const at::Tensor& images, int64_t size) {
    return error_of([&] { pixmim::patchify(images, size); });
  };
  CHECK(error({}, 2) == "patchify: expected `images` to be a tensor, got an undefined one");
  CHECK(error(at::zeros({3, 4, 4}), 2) ==
        "patchify: expected images of shape [N,C,H,W], got [3, 4, 4]");
  CHECK(error(at::zeros({1, 3, 4, 4}), 0) == "patchify: expected patch_size > 0, got 0");
  CHECK(error(at::zeros({1, 3, 4, 4}), -2) == "patchify: expected patch_size > 0, got -2");
  CHECK(error(at::zeros({1, 3, 6, 8}), 4) ==
        "patchify: expected images with H and W multiples of patch_size, 4, got 6x8");
  CHECK(error(at::zeros({1, 3, 8, 6}), 4) ==
        "patchify: expected images with H and W multiples of patch_size, 4, got 8x6");
}

TEST_CASE("patches that make no image are named", "[patches_and_loss]") {
  const auto error = [](const at::Tensor& patches, int64_t size, torch::ExpandingArray<2> grid) {
    return error_of([&] { pixmim::unpatchify(patches, size, grid); });
  };
  const auto patches = at::zeros({1, 6, 12});
  CHECK(error({}, 2, {2, 3}) ==
        "unpatchify: expected `patches` to be a tensor, got an undefined one");
  CHECK(error(patches, 0, {2, 3}) == "unpatchify: expected patch_size > 0, got 0");
  CHECK(error(patches, 2, {0, 3}) == "unpatchify: expected grid[0] > 0, got 0");
  CHECK(error(patches, 2, {2, -3}) == "unpatchify: expected grid[1] > 0, got -3");
  CHECK(error(patches, 2, {-2, -3}) == "unpatchify: expected grid[0] > 0, got -2");
  CHECK(error(patches, 2, {3, 3}) ==
        "unpatchify: expected patches of shape [N,9,C*4] for a grid of 3x3 and patch_size 2, got "
        "[1, 6, 12]");
  CHECK(error(at::zeros({1, 6, 13}), 2, {2, 3}) ==
        "unpatchify: expected patches of shape [N,6,C*4] for a grid of 2x3 and patch_size 2, got "
        "[1, 6, 13]");
  CHECK(error(at::zeros({6, 12}), 2, {2, 3}) ==
        "unpatchify: expected patches of shape [N,6,C*4] for a grid of 2x3 and patch_size 2, got "
        "[6, 12]");
}

TEST_CASE("patches that cannot be normalised are named", "[patches_and_loss]") {
  const auto error = [](const at::Tensor& patches) {
    return error_of([&] { pixmim::normalize_patches(patches); });
  };
  CHECK(error({}) == "normalize_patches: expected `patches` to be a tensor, got an undefined one");
  CHECK(error(at::zeros({1, 2, 3}, at::kByte)) ==
        "normalize_patches: expected patches of a floating dtype, got Byte");
  CHECK(error(at::zeros({2, 3})) ==
        "normalize_patches: expected patches of shape [N,L,D], got [2, 3]");
}

TEST_CASE("a loss that fits has no error", "[patches_and_loss]") {
  CHECK(Loss().error() == "(no error)");
}

TEST_CASE("bad predictions and options of a loss are named", "[patches_and_loss]") {
  const std::string caller = "masked_pixel_loss: ";
  CHECK(error_after([](Loss& loss) { loss.options = 0; }) ==
        caller + "expected patch_size > 0, got 0");
  CHECK(error_after([](Loss& loss) { loss.options = -16; }) ==
        caller + "expected patch_size > 0, got -16");
  CHECK(error_after([](Loss& loss) { loss.prediction = at::Tensor(); }) ==
        caller + "expected `prediction` to be a tensor, got an undefined one");
  CHECK(error_after([](Loss& loss) { loss.prediction = loss.prediction.to(at::kLong); }) ==
        caller + "expected prediction of a floating dtype, got Long");
  CHECK(error_after([](Loss& loss) {
          loss.prediction = at::zeros({2, 72});
        }) == caller + "expected prediction of shape [N,L,p*p*C], got [2, 72]");
  // Five channels predicted, three there.
  CHECK(error_after([](Loss& loss) {
          loss.prediction = at::zeros({2, 6, 20});
        }) == caller +
                  "expected target and prediction of one shape in patches, got [2, 6, 12] and "
                  "[2, 6, 20]");
}

TEST_CASE("bad targets of a loss are named", "[patches_and_loss]") {
  const std::string caller = "masked_pixel_loss: ";
  CHECK(error_after([](Loss& loss) { loss.target = at::Tensor(); }) ==
        caller + "expected `target` to be a tensor, got an undefined one");
  CHECK(error_after([](Loss& loss) { loss.target = loss.target.to(at::kByte); }) ==
        caller + "expected target of a floating dtype, got Byte");
  CHECK(error_after([](Loss& loss) {
          loss.target = no_device({2, 3, 4, 6});
        }) == caller + "expected target on the device of prediction, cpu, got meta");
  CHECK(error_after([](Loss& loss) {
          loss.target = at::zeros({3, 4});
        }) == caller + "expected target of shape [N,C,H,W] or [N,L,p*p*C], got [3, 4]");
  CHECK(error_after([](Loss& loss) {
          loss.target = at::zeros({2, 7, 12});
        }) == caller +
                  "expected target and prediction of one shape in patches, got [2, 7, 12] and "
                  "[2, 6, 12]");
  CHECK(error_after([](Loss& loss) {
          loss.target = at::zeros({1, 3, 4, 6});
        }) == caller +
                  "expected target and prediction of one shape in patches, got [1, 6, 12] and "
                  "[2, 6, 12]");
  CHECK(error_after([](Loss& loss) {
          loss.target = at::zeros({2, 3, 5, 6});
        }) == caller + "expected target images with H and W multiples of patch_size, 2, got 5x6");
  for (const int64_t width : {0, 7}) {
    CHECK(error_after([&](Loss& loss) {
            loss.prediction = at::zeros({2, 6, width});
            loss.target = at::zeros({2, 6, width});
          }) == caller + "expected prediction of shape [N,L,C*4] for patch_size 2, got [2, 6, " +
                    std::to_string(width) + "]");
  }
}

TEST_CASE("bad masks of a loss are named", "[patches_and_loss]") {
  const std::string caller = "masked_pixel_loss: ";
  CHECK(error_after([](Loss& loss) { loss.mask = at::Tensor(); }) ==
        caller + "expected `mask` to be a tensor, got an undefined one");
  CHECK(error_after([](Loss& loss) {
          loss.mask = no_device({2, 6});
        }) == caller + "expected mask on the device of prediction, cpu, got meta");
  // Shapes that would broadcast are no masks either.
  CHECK(error_after([](Loss& loss) {
          loss.mask = at::ones({1, 6});
        }) == caller + "expected mask of shape [2,6], got [1, 6]");
  CHECK(error_after([](Loss& loss) { loss.mask = at::ones({6}); }) ==
        caller + "expected mask of shape [2,6], got [6]");
  CHECK(error_after([](Loss& loss) {
          loss.mask = at::ones({2, 5});
        }) == caller + "expected mask of shape [2,6], got [2, 5]");
}

TEST_CASE("a TokenMask that does not fit is named", "[patches_and_loss]") {
  const Loss loss;
  pixmim::TokenMask mask;
  const auto error = [&] {
    return error_of(
        [&] { pixmim::masked_pixel_loss(loss.prediction, loss.target, mask, loss.options); });
  };
  CHECK(error() == "masked_pixel_loss: expected `mask` to be a tensor, got an undefined one");
  mask.mask = at::ones({2, 7});
  CHECK(error() == "masked_pixel_loss: expected mask of shape [2,6], got [2, 7]");
}

TEST_CASE("a patch size whose square overflows is named", "[patches_and_loss]") {
  constexpr int64_t huge = int64_t{1} << 32;
  const std::string message = "expected patch_size <= 16777216, got 4294967296";
  CHECK(error_of([] {
          pixmim::unpatchify(at::zeros({2, 4, 48}), huge, 2);
        }) == "unpatchify: " + message);
  CHECK(error_after([](Loss& loss) { loss.options = huge; }) == "masked_pixel_loss: " + message);
  CHECK(error_after([](Loss& loss) {
          loss.mask = at::zeros({2, 6}, at::kComplexFloat);
        }) == "masked_pixel_loss: expected mask of a real dtype, got ComplexFloat");
}
