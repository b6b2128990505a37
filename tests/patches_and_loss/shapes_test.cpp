// SPDX-License-Identifier: Apache-2.0
// Sizes, dtypes and strides that patches and loss promise to take.
#include <ATen/ATen.h>
#include <pixmim/loss.hpp>
#include <pixmim/patches.hpp>

#include "support/catch.hpp"

namespace {

/// The patches pixel by pixel: rows of patches, inside a patch (h, w, c).
at::Tensor patches_by_loop(const at::Tensor& images, int64_t size) {
  const int64_t rows = images.size(2) / size;
  const int64_t columns = images.size(3) / size;
  const int64_t channels = images.size(1);
  const auto result =
      at::empty({images.size(0), rows * columns, size * size * channels}, images.options());
  for (int64_t y = 0; y < rows * size; ++y) {
    for (int64_t x = 0; x < columns * size; ++x) {
      for (int64_t c = 0; c < channels; ++c) {
        const int64_t patch = y / size * columns + x / size;
        const int64_t value = (y % size * size + x % size) * channels + c;
        result.select(2, value).select(1, patch).copy_(
            images.select(3, x).select(2, y).select(1, c));
      }
    }
  }
  return result;
}

struct Size {
  int64_t channels;
  int64_t rows;
  int64_t columns;
  int64_t patch;
};

}  // namespace

TEST_CASE("patches of any grid come back as the images", "[patches_and_loss]") {
  for (const auto& [channels, rows, columns, patch] :
       {Size{3, 4, 4, 4}, Size{1, 3, 5, 2}, Size{5, 7, 1, 3}, Size{3, 1, 1, 5}, Size{1, 5, 3, 1},
        Size{2, 2, 9, 7}}) {
    INFO(channels << " channels, grid " << rows << "x" << columns << ", patches of " << patch);
    const auto images = at::randn({2, channels, rows * patch, columns * patch});
    const auto patches = pixmim::patchify(images, patch);
    CHECK(at::equal(patches, patches_by_loop(images, patch)));
    CHECK(at::equal(pixmim::unpatchify(patches, patch, {rows, columns}), images));
  }
}

TEST_CASE("patches have the dtype of the images", "[patches_and_loss]") {
  for (const auto dtype : {at::kByte, at::kBool, at::kInt, at::kLong, at::kHalf, at::kBFloat16,
                           at::kFloat, at::kDouble, at::kComplexFloat}) {
    INFO(c10::toString(dtype));
    const auto images = at::randint(250, {2, 3, 4, 6}).to(dtype);
    const auto patches = pixmim::patchify(images, 2);
    CHECK(patches.scalar_type() == dtype);
    CHECK(at::equal(patches, patches_by_loop(images, 2)));
    const auto again = pixmim::unpatchify(patches, 2, {2, 3});
    CHECK(again.scalar_type() == dtype);
    CHECK(at::equal(again, images));
  }
}

TEST_CASE("strides of images and patches do not matter", "[patches_and_loss]") {
  const auto images = at::randn({2, 3, 6, 8});
  const auto expected = patches_by_loop(images, 2);
  CHECK(
      at::equal(pixmim::patchify(images.contiguous(at::MemoryFormat::ChannelsLast), 2), expected));
  const auto turned = images.transpose(2, 3).contiguous().transpose(2, 3);
  CHECK_FALSE(turned.is_contiguous());
  CHECK(at::equal(pixmim::patchify(turned, 2), expected));
  const auto window = at::randn({2, 3, 9, 9}).slice(2, 1, 7).slice(3, 1, 9);
  CHECK(at::equal(pixmim::patchify(window, 2), patches_by_loop(window, 2)));
  const auto one_image = images.narrow(0, 0, 1).expand({4, 3, 6, 8});
  CHECK(at::equal(pixmim::patchify(one_image, 2), patches_by_loop(one_image, 2)));

  const auto strided = expected.transpose(1, 2).contiguous().transpose(1, 2);
  CHECK_FALSE(strided.is_contiguous());
  CHECK(at::equal(pixmim::unpatchify(strided, 2, {3, 4}), images));
  const auto with_class_token = at::cat({at::zeros({2, 1, 12}), expected}, 1);
  CHECK(at::equal(pixmim::unpatchify(with_class_token.slice(1, 1), 2, {3, 4}), images));
}

TEST_CASE("an empty batch has empty patches", "[patches_and_loss]") {
  const auto patches = pixmim::patchify(at::empty({0, 3, 8, 12}), 4);
  CHECK(patches.sizes() == at::IntArrayRef({0, 6, 48}));
  CHECK(pixmim::unpatchify(patches, 4, {2, 3}).sizes() == at::IntArrayRef({0, 3, 8, 12}));
}

TEST_CASE("the loss takes images and predictions of any strides", "[patches_and_loss]") {
  const auto images = at::randn({2, 5, 6, 9});
  const auto prediction = at::randn({2, 6, 45});
  const auto mask = at::randint(2, {2, 6}).to(at::kFloat);
  mask[0][0] = 1;
  const auto options = pixmim::PixelLossOptions(3).norm_pix(true);
  const double loss = pixmim::masked_pixel_loss(prediction, images, mask, options).item<double>();
  const auto channels_last = images.contiguous(at::MemoryFormat::ChannelsLast);
  const auto turned = prediction.transpose(1, 2).contiguous().transpose(1, 2);
  const auto masks_as_columns = mask.t().contiguous().t();
  // Other strides may add in another order.
  CHECK(
      pixmim::masked_pixel_loss(turned, channels_last, masks_as_columns, options).item<double>() ==
      Approx(loss).epsilon(1e-6));
  const auto with_class_token = at::cat({at::zeros({2, 1, 45}), prediction}, 1);
  CHECK(pixmim::masked_pixel_loss(with_class_token.slice(1, 1), images, mask, options)
            .item<double>() == Approx(loss).epsilon(1e-6));
}
