// SPDX-License-Identifier: Apache-2.0
// Crops in trainers of other conventions: the lines of docs/existing_trainers.md.
#include <torch/torch.h>
#include <pixmim/pixmim.hpp>

#include <string>
#include <utility>
#include <vector>

#include "existing_trainers/stand_ins.hpp"
#include "support/catch.hpp"

namespace {

constexpr int64_t side = 32;

torch::Tensor photograph(int64_t channels = 3) {
  const auto generator = at::detail::createCPUGenerator(5);
  return torch::randint(256, {60, 80, channels}, generator, torch::kByte);
}

/// Without its random part, so that two crops can be compared.
pixmim::SimpleResizedCropOptions still(int64_t size) {
  return pixmim::SimpleResizedCropOptions(size).padding(0).flip(0);
}

torch::Tensor middle(const torch::Tensor& photo, const pixmim::SimpleResizedCropOptions& options) {
  return pixmim::SimpleResizedCrop(options).apply(photo, {0, 5, false});
}

/// A data set class of no torch::data interface.
class Folder {
 public:
  explicit Folder(std::vector<double> mean, std::vector<double> std)
      : crop_(pixmim::SimpleResizedCropOptions(side).mean(std::move(mean)).std(std::move(std))) {}

  torch::Tensor get(const cv::Mat& rgb) const {
    return crop_(torch::from_blob(rgb.data, {rgb.rows, rgb.cols, 3}, torch::kByte));
  }

  torch::Tensor get(const torch::Tensor& photo, uint64_t seed, uint64_t index,
                    uint64_t epoch) const {
    const auto where = crop_.sample(photo.size(0), photo.size(1), seed, index, epoch);
    return crop_.apply(photo, where);
  }

 private:
  pixmim::SimpleResizedCrop crop_;
};

/// A member of a chain of transforms.
struct Crop : transforms::Base {
  pixmim::SimpleResizedCrop crop;
  explicit Crop(int64_t size)
      : crop(pixmim::SimpleResizedCropOptions(size).mean({0.5}).std({0.5})) {}
  bool type() override { return transforms::gives_tensor; }
  void forward(cv::Mat& in, torch::Tensor& out) override {
    out = crop(torch::from_blob(in.data, {in.rows, in.cols, in.channels()}, torch::kByte));
  }
};

struct Unlabelled : torch::data::datasets::Dataset<Unlabelled, torch::data::TensorExample> {
  torch::data::TensorExample get(size_t) override { return photograph(); }
  torch::optional<size_t> size() const override { return 4; }
};

}  // namespace

TEST_CASE("a Mat is a view", "[existing_trainers]") {
  const auto photo = photograph();
  const auto mat = cv::view(photo);
  const auto whole = torch::from_blob(mat.data, {mat.rows, mat.cols, mat.channels()}, torch::kByte);
  CHECK(torch::equal(middle(whole, still(side)), middle(photo, still(side))));

  const auto part = photo.slice(0, 10, 50).slice(1, 20, 70);
  const auto roi = cv::view(part);
  const auto step = static_cast<int64_t>(roi.step[0]);
  const auto view = torch::from_blob(roi.data, {roi.rows, roi.cols, 3}, {step, 3, 1}, torch::kByte);
  CHECK(torch::equal(middle(view, still(side)), middle(part, still(side))));
}

TEST_CASE("a data set class of the trainer's own crops in its get", "[existing_trainers]") {
  const auto photo = photograph();
  const Folder folder({0.5, 0.5, 0.5}, {0.5, 0.5, 0.5});
  const auto image = folder.get(cv::view(photo));
  CHECK(image.sizes() == at::IntArrayRef({3, side, side}));
  CHECK(image.min().item<float>() >= -1);
  CHECK(image.max().item<float>() <= 1);
  CHECK(torch::equal(folder.get(photo, 0, 7, 1), folder.get(photo, 0, 7, 1)));
  CHECK_FALSE(torch::equal(folder.get(photo, 0, 7, 1), folder.get(photo, 0, 7, 2)));
}

TEST_CASE("a chain of transforms takes the crop, of any channels", "[existing_trainers]") {
  for (const int64_t channels : {1, 3}) {
    const auto photo = photograph(channels);
    auto mat = cv::view(photo);
    torch::Tensor out;
    Crop crop(side);
    transforms::Base& transform = crop;
    transform.forward(mat, out);
    CHECK(out.sizes() == at::IntArrayRef({channels, side, side}));
    CHECK(out.min().item<float>() < 0);
  }
}

TEST_CASE("a torch::data set without labels takes the crop", "[existing_trainers]") {
  const pixmim::SimpleResizedCrop crop(side);
  using NoLabel = torch::data::example::NoTarget;
  auto photos = Unlabelled().map(torch::data::transforms::TensorLambda<NoLabel>(crop));
  auto images = photos.map(torch::data::transforms::Stack<torch::data::TensorExample>());
  CHECK(images.get_batch({0, 1}).data.sizes() == at::IntArrayRef({2, 3, side, side}));
}

TEST_CASE("channels in the order of blue, green, red", "[existing_trainers]") {
  const auto photo = photograph();
  const auto bgr = photo.flip(2).contiguous();
  // The model wants red first.
  CHECK(torch::equal(middle(bgr.flip(2), still(side)), middle(photo, still(side))));
  // The model wants blue first: the statistics go the other way round.
  auto options = still(side);
  options.mean({0.406, 0.456, 0.485}).std({0.225, 0.224, 0.229});
  CHECK(torch::equal(middle(bgr, options).flip(0), middle(photo, still(side))));
}

TEST_CASE("photographs as floats, channels first", "[existing_trainers]") {
  const auto photo = photograph();
  const auto image = photo.permute({2, 0, 1}).to(torch::kFloat) / 255;
  auto options = still(side);
  options.channels_first(true);
  const auto pixels = image.mul(255).round().to(torch::kByte);
  CHECK(torch::equal(middle(pixels, options), middle(photo, still(side))));
}

TEST_CASE("a batch that is one tensor already", "[existing_trainers]") {
  const auto batch = torch::stack({photograph(), photograph()});
  const pixmim::SimpleResizedCrop crop(side);
  CHECK(crop(batch.unbind()).sizes() == at::IntArrayRef({2, 3, side, side}));
}

TEST_CASE("crops that leave the default generator to the masks", "[existing_trainers]") {
  torch::manual_seed(3);
  const auto expected = torch::rand({4});
  torch::manual_seed(3);
  const auto generator = torch::make_generator<torch::CPUGeneratorImpl>(/*seed=*/0);
  const pixmim::SimpleResizedCrop crop(side, generator);
  crop(photograph());
  CHECK(torch::equal(torch::rand({4}), expected));
}
