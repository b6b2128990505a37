// SPDX-License-Identifier: Apache-2.0
// What the crops promise beside their pixels: sizes, strides, randomness, data sets.
#include <torch/data.h>
#include <pixmim/random_resized_crop.hpp>
#include <pixmim/simple_resized_crop.hpp>

#include <set>

#include "support/catch.hpp"

namespace {

at::Tensor photo(int64_t height, int64_t width, int64_t channels = 3) {
  auto generator = at::detail::createCPUGenerator(5);
  return at::randint(256, {height, width, channels}, generator, at::kByte);
}

bool same(const pixmim::CropWindow& a, const pixmim::CropWindow& b) {
  return a.top == b.top && a.left == b.left && a.flip == b.flip && a.height == b.height &&
         a.width == b.width;
}

struct Folder : torch::data::datasets::Dataset<Folder> {
  torch::data::Example<> get(size_t index) override {
    return {photo(40 + static_cast<int64_t>(index), 50),
            torch::tensor(static_cast<int64_t>(index))};
  }
  std::optional<size_t> size() const override { return 6; }
};

}  // namespace

TEST_CASE("a flipped window is the mirror of the same window", "[crop]") {
  const auto image = photo(50, 70);
  const pixmim::SimpleResizedCrop src(32);
  CHECK(at::equal(src.apply(image, {2, 7, true}), src.apply(image, {2, 7, false}).flip({2})));
  const pixmim::RandomResizedCrop rrc(24);
  CHECK(at::equal(rrc.apply(image, {2, 7, true, 30, 20}),
                  rrc.apply(image, {2, 7, false, 30, 20}).flip({2})));
}

TEST_CASE("padding reflects without repeating the edge", "[crop]") {
  const auto image = photo(16, 16);
  const pixmim::SimpleResizedCrop src(
      pixmim::SimpleResizedCropOptions(16).padding(3).normalize(false));
  const auto padded = at::reflection_pad2d(image.permute({2, 0, 1}).to(at::kFloat), {3, 3, 3, 3});
  for (const int64_t top : {0, 3, 6}) {
    const auto expected = padded.slice(1, top, top + 16).slice(2, 1, 17).to(at::kByte);
    CHECK(at::equal(src.apply(image, {top, 1, false}), expected));
  }
}

TEST_CASE("any size of photo and any padding works", "[crop]") {
  for (const auto& [h, w] : {std::pair{1, 1}, {1, 9}, {9, 1}, {3, 2}, {3000, 2}}) {
    const pixmim::SimpleResizedCrop src(pixmim::SimpleResizedCropOptions(8).padding(20));
    CHECK(src(photo(h, w)).sizes() == at::IntArrayRef({3, 8, 8}));
    CHECK(pixmim::RandomResizedCrop(8)(photo(h, w)).sizes() == at::IntArrayRef({3, 8, 8}));
  }
}

TEST_CASE("strides and channels do not matter", "[crop]") {
  const auto image = photo(30, 41, 4);
  const pixmim::SimpleResizedCrop src(pixmim::SimpleResizedCropOptions(16).mean({0.5}).std({0.5}));
  const auto expected = src.apply(image, {1, 2, false});
  const auto planar = image.permute({2, 0, 1}).contiguous().permute({1, 2, 0});
  CHECK_FALSE(planar.is_contiguous());
  CHECK(at::equal(src.apply(planar, {1, 2, false}), expected));
  CHECK(at::equal(src.apply(image.slice(2, 0, 1), {1, 2, false}), expected.slice(0, 0, 1)));
  const auto plain = pixmim::SimpleResizedCropOptions(16).mean({}).std(std::nullopt);
  const auto unit = pixmim::SimpleResizedCrop(plain).apply(image, {1, 2, false});
  CHECK(unit.min().item<double>() >= 0);
  CHECK(unit.max().item<double>() <= 1);
}

TEST_CASE("a key gives its window, whatever was drawn before", "[crop]") {
  const pixmim::SimpleResizedCrop src(224);
  const pixmim::RandomResizedCrop rrc(224);
  const auto first = src.sample(375, 500, 1, 2);
  src.sample(375, 500);
  CHECK(same(first, src.sample(375, 500, 1, 2)));
  CHECK(same(rrc.sample(375, 500, 1, 2, 3), rrc.sample(375, 500, 1, 2, 3)));
  std::set<std::pair<int64_t, int64_t>> windows;
  for (uint64_t index = 0; index < 40; ++index) {
    for (uint64_t epoch = 0; epoch < 5; ++epoch) {
      const auto window = src.sample(375, 500, 1, index, epoch);
      windows.emplace(window.top, window.left);
    }
  }
  CHECK(windows.size() > 100);  // of 9 x 83 places, 200 draws
}

TEST_CASE("a seeded generator gives the same windows", "[crop]") {
  const pixmim::SimpleResizedCrop a(64, at::detail::createCPUGenerator(9));
  const pixmim::SimpleResizedCrop b(64, at::detail::createCPUGenerator(9));
  for (int i = 0; i < 10; ++i) CHECK(same(a.sample(90, 120), b.sample(90, 120)));
}

TEST_CASE("a batch is the stack of its crops", "[crop]") {
  const std::vector<at::Tensor> images = {photo(30, 40), photo(50, 33), photo(20, 20)};
  const pixmim::SimpleResizedCrop a(16, at::detail::createCPUGenerator(1));
  const pixmim::SimpleResizedCrop b(16, at::detail::createCPUGenerator(1));
  const auto batch = a(images);
  CHECK(batch.sizes() == at::IntArrayRef({3, 3, 16, 16}));
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(at::equal(batch[static_cast<int64_t>(i)], b(images[i])));
  }
}

TEST_CASE("a LibTorch data set takes the crop in one line", "[crop]") {
  auto data = Folder().map(pixmim::SimpleResizedCrop(16)).map(torch::data::transforms::Stack<>());
  const auto loader = torch::data::make_data_loader(
      std::move(data), torch::data::DataLoaderOptions().batch_size(4).workers(2));
  int64_t seen = 0;
  for (const auto& batch : *loader) {
    CHECK(batch.data.sizes().slice(1) == at::IntArrayRef({3, 16, 16}));
    CHECK(batch.target.size(0) == batch.data.size(0));
    seen += batch.data.size(0);
  }
  CHECK(seen == 6);
}

TEST_CASE("CUDA gives the pixels of the CPU", "[crop][cuda]") {
  if (!at::hasCUDA()) {
    WARN("skipped: no CUDA device");
    return;
  }
  std::vector<at::Tensor> images;
  std::vector<at::Tensor> there;
  for (const auto& [height, width] : {std::pair{375, 500}, {1, 1}, {900, 40}, {31, 700}}) {
    images.push_back(photo(height, width));
    there.push_back(images.back().to(at::kCUDA));
  }
  const auto compare = [&](const auto& crop) {
    std::vector<pixmim::CropWindow> windows;
    for (std::size_t i = 0; i < images.size(); ++i) {
      windows.push_back(crop.sample(images[i].size(0), images[i].size(1), 3, i));
    }
    const auto expected = crop.apply(images, windows);
    CHECK(at::equal(crop.apply(there, windows).cpu(), expected));
    CHECK(at::equal(crop.apply(there[0], windows[0]).cpu(), expected[0]));
    const auto channels_last =
        at::empty_like(expected, at::MemoryFormat::ChannelsLast).to(at::kCUDA);
    crop.apply_out(channels_last, there, windows);
    CHECK(at::equal(channels_last.cpu(), expected));
  };
  for (const auto kernel : {pixmim::Interpolation::Bilinear, pixmim::Interpolation::Bicubic}) {
    const auto src = pixmim::SimpleResizedCropOptions(224).interpolation(kernel);
    const auto rrc = pixmim::RandomResizedCropOptions(224).interpolation(kernel);
    compare(pixmim::SimpleResizedCrop(pixmim::SimpleResizedCropOptions(src).normalize(false)));
    for (const auto dtype : {at::kFloat, at::kHalf, at::kBFloat16}) {
      compare(pixmim::SimpleResizedCrop(pixmim::SimpleResizedCropOptions(src).dtype(dtype)));
      compare(pixmim::RandomResizedCrop(pixmim::RandomResizedCropOptions(rrc).dtype(dtype)));
    }
  }
}
