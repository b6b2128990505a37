// SPDX-License-Identifier: Apache-2.0
// The CUDA engine of the crops, its kernel run by the executor, against the CPU's and Pillow's pixels.
#include <ATen/ATen.h>
#include <pixmim/random_resized_crop.hpp>
#include <pixmim/simple_resized_crop.hpp>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "crop/kernels/kernels.hpp"
#include "support/catch.hpp"
#include "support/golden.hpp"

namespace cuda = pixmim::detail::cuda;
using pixmim::CropWindow;
using pixmim::Interpolation;
using pixmim::PassOrder;
using pixmim::RandomResizedCrop;
using pixmim::RandomResizedCropOptions;
using pixmim::SimpleResizedCrop;
using pixmim::SimpleResizedCropOptions;
using pixmim::detail::CropGeometry;
using pixmim::detail::PixelValues;

namespace {

simt::Executor executor_of(uint64_t seed) {
  simt::Executor executor(seed);
  add_crop_kernels(executor);
  return executor;
}

/// Noise, or the extremes alone: those clip.
at::Tensor photo(int64_t height, int64_t width, int64_t channels, uint64_t seed = 5) {
  auto generator = at::detail::createCPUGenerator(seed);
  const auto bytes = at::randint(256, {height, width, channels}, generator, at::kByte);
  return seed % 3 == 0 ? bytes.ge(128).to(at::kByte).mul_(255) : bytes;
}

/// The same pixels in another arrangement in memory.
at::Tensor rearranged(const at::Tensor& image, int64_t kind) {
  switch (kind) {
    case 0:
      return image;
    case 1:  // channels first
      return image.permute({2, 0, 1}).contiguous().permute({1, 2, 0});
    case 2:  // a part of a larger image
      return at::constant_pad_nd(image, {0, 0, 3, 5, 2, 4}, 9)
          .narrow(0, 2, image.size(0))
          .narrow(1, 3, image.size(1));
    case 3:  // some channels of more
      return at::constant_pad_nd(image, {1, 2}, 9).narrow(2, 1, image.size(2));
    case 4:  // turned
      return image.transpose(0, 1).contiguous().transpose(0, 1);
    default:  // one column for all
      return image.narrow(1, 0, 1).expand(image.sizes());
  }
}

CropGeometry geometry_of(const SimpleResizedCropOptions& options, const at::Tensor& image,
                         const CropWindow& window) {
  const auto resized = SimpleResizedCrop(options).resized(image.size(0), image.size(1));
  const int64_t size = options.size();
  const int64_t padding = options.padding();
  return {{0, image.size(0), resized[0], window.top - padding, size, false},
          {0, image.size(1), resized[1], window.left - padding, size, window.flip},
          options.interpolation(),
          options.pass_order()};
}
CropGeometry geometry_of(const RandomResizedCropOptions& options, const at::Tensor& /*image*/,
                         const CropWindow& window) {
  const int64_t size = options.size();
  return {{window.top, window.height, size, 0, size, false},
          {window.left, window.width, size, 0, size, window.flip},
          options.interpolation(),
          options.pass_order()};
}

template <typename Options>
std::vector<CropGeometry> geometries_of(const Options& options,
                                        const std::vector<at::Tensor>& images,
                                        const std::vector<CropWindow>& windows) {
  std::vector<CropGeometry> geometries;
  for (std::size_t i = 0; i < images.size(); ++i) {
    geometries.push_back(geometry_of(options, images[i], windows[i]));
  }
  return geometries;
}

/// The crops of the kernel.
template <typename Options>
at::Tensor cropped(simt::Executor& executor, const Options& options,
                   const std::vector<at::Tensor>& images, const std::vector<CropWindow>& windows) {
  const auto dtype = options.normalize() ? options.dtype() : at::kByte;
  const PixelValues values(options.mean(), options.std());
  const auto out = at::empty(
      {static_cast<int64_t>(images.size()), images[0].size(2), options.size(), options.size()},
      dtype);
  REQUIRE(cuda::crop_photos(executor, images, geometries_of(options, images, windows),
                            options.normalize() ? &values : nullptr, out));
  return out;
}

template <typename Crop>
std::vector<CropWindow> windows_of(const Crop& crop, const std::vector<at::Tensor>& images,
                                   uint64_t seed) {
  std::vector<CropWindow> windows;
  for (std::size_t i = 0; i < images.size(); ++i) {
    windows.push_back(crop.sample(images[i].size(0), images[i].size(1), seed, i));
  }
  return windows;
}

/// Of random windows, what the kernel makes is what the CPU makes.
template <typename Crop, typename Options>
void expect_crops_of_cpu(const Options& options, const std::vector<at::Tensor>& images,
                         uint64_t seed) {
  auto executor = executor_of(seed);
  const Crop crop(options);
  const auto windows = windows_of(crop, images, seed);
  CHECK(at::equal(cropped(executor, options, images, windows), crop.apply(images, windows)));
  CHECK(executor.launches().size() == 1);
}

/// The largest difference to Pillow of every window of a file, in both pass orders.
template <typename Options>
double difference_to(const support::Golden& golden, const Options& base) {
  double largest = 0;
  for (int64_t k = 0; k < golden["top"].numel(); ++k) {
    CropWindow window{golden.integer("top", k), golden.integer("left", k),
                      golden.integer("flip", k) != 0};
    if (golden.has("height")) {
      window.height = golden.integer("height", k);
      window.width = golden.integer("width", k);
    }
    for (const auto order : {PassOrder::Pillow13, PassOrder::HorizontalFirst}) {
      const bool older = order == PassOrder::HorizontalFirst && golden.has("expected_pillow12");
      const auto& expected = golden[older ? "expected_pillow12" : "expected"][k];
      const auto options = Options(base).normalize(false).pass_order(order).interpolation(
          golden.integer("interpolation", k) == 0 ? Interpolation::Bilinear
                                                  : Interpolation::Bicubic);
      auto executor = executor_of(static_cast<uint64_t>(k));
      const auto pixels = cropped(executor, options, {golden["image"]}, {window})[0];
      largest = std::max(largest, support::largest_difference(pixels.permute({1, 2, 0}), expected));
    }
  }
  return largest;
}

}  // namespace

TEST_CASE("each kernel that the engine may launch is tested here", "[crop][kernels]") {
  auto executor = executor_of(0);
  for (const auto& kernel : cuda::crop_kernels()) executor.prepare(kernel);
  CHECK(executor.prepared().size() == 4);
}

TEST_CASE("the kernel's SimpleResizedCrop equals Pillow in every pixel", "[crop][kernels]") {
  int files = 0;
  for (const auto& path : support::golden_files("src_")) {
    const support::Golden golden(path);
    const double worst = difference_to(
        golden,
        SimpleResizedCropOptions(golden.integer("size")).padding(golden.integer("padding")));
    support::report(golden.name() + " kernel", worst, 0);
    CHECK(worst == 0);
    ++files;
  }
  CHECK(files >= 6);
}

TEST_CASE("the kernel's RandomResizedCrop equals Pillow in every pixel", "[crop][kernels]") {
  int files = 0;
  for (const auto& path : support::golden_files("rrc_")) {
    const support::Golden golden(path);
    const double worst = difference_to(golden, RandomResizedCropOptions(golden.integer("size")));
    support::report(golden.name() + " kernel", worst, 0);
    CHECK(worst == 0);
    ++files;
  }
  CHECK(files >= 2);
}

TEST_CASE("a ragged batch is one launch, and the pixels of the CPU", "[crop][kernels]") {
  std::mt19937 random(1);
  const auto uniform = [&](int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random);
  };
  constexpr at::ScalarType dtypes[] = {at::kFloat, at::kHalf, at::kBFloat16};
  for (uint64_t round = 0; round < 24; ++round) {
    const int64_t channels = round % 2 == 0 ? 3 : uniform(1, 6);
    std::vector<at::Tensor> images;
    for (uint64_t i = 0; i < 6; ++i) {
      // Small sides, and now and then a long one, which needs many taps.
      const auto side = [&] { return uniform(0, 5) == 0 ? uniform(100, 400) : uniform(1, 60); };
      const int64_t height = side();
      images.push_back(rearranged(photo(height, side(), channels, round + i), uniform(0, 5)));
    }
    const int64_t size = uniform(0, 5) == 0 ? 1 : uniform(2, 44);
    const bool for_each = uniform(0, 1) == 0;
    const auto count = static_cast<std::size_t>(for_each ? channels : 1);
    std::vector<double> mean(count);
    std::vector<double> std(count);
    for (std::size_t c = 0; c < count; ++c) {
      mean[c] = 0.4 + 0.03 * static_cast<double>(c);
      std[c] = 0.2 + 0.07 * static_cast<double>(c);
    }
    const auto set = [&](auto options) {
      options.mean(mean)
          .std(std)
          .interpolation(round % 3 == 0 ? Interpolation::Bicubic : Interpolation::Bilinear)
          .pass_order(round % 5 == 0 ? PassOrder::HorizontalFirst : PassOrder::Pillow13);
      return round % 4 == 0 ? options.normalize(false) : options.dtype(dtypes[round % 3]);
    };
    CAPTURE(round, channels, size);
    expect_crops_of_cpu<SimpleResizedCrop>(
        set(SimpleResizedCropOptions(size).padding(uniform(0, 9) == 0 ? uniform(44, 150)
                                                                      : uniform(0, 9))),
        images, round);
    expect_crops_of_cpu<RandomResizedCrop>(
        set(RandomResizedCropOptions(size).scale({0.1, 1}).ratio({0.3, 3})), images, round);
  }
}

TEST_CASE("the order of threads and blocks changes nothing", "[crop][kernels]") {
  const std::vector<at::Tensor> images = {photo(70, 50, 3), photo(300, 21, 3), photo(9, 80, 3)};
  const SimpleResizedCrop crop(40);
  const auto windows = windows_of(crop, images, 8);
  const auto expected = crop.apply(images, windows);
  for (uint64_t seed = 0; seed < 6; ++seed) {
    auto executor = executor_of(seed);
    CHECK(at::equal(cropped(executor, crop.options(), images, windows), expected));
  }
}

TEST_CASE("without mean and std the kernel leaves shares of 255", "[crop][kernels]") {
  const std::vector<at::Tensor> images = {at::arange(256, at::kByte).view({16, 16, 1})};
  const auto options = SimpleResizedCropOptions(16).padding(0).mean({}).std({});
  auto executor = executor_of(1);
  CHECK(at::equal(cropped(executor, options, images, {{}}),
                  images[0].permute({2, 0, 1}).unsqueeze(0).to(at::kFloat).div(255)));
}

TEST_CASE("the kernel's result may have any strides", "[crop][kernels]") {
  const std::vector<at::Tensor> images = {photo(50, 60, 3), photo(20, 33, 3)};
  const SimpleResizedCrop crop(20);
  const auto windows = windows_of(crop, images, 2);
  const auto expected = crop.apply(images, windows);
  const auto geometries = geometries_of(crop.options(), images, windows);
  const PixelValues values(crop.options().mean(), crop.options().std());
  auto executor = executor_of(2);
  const auto expect_in = [&](const at::Tensor& out) {
    CHECK(cuda::crop_photos(executor, images, geometries, &values, out));
    CHECK(at::equal(out, expected));
  };
  for (const int64_t left : {0, 3, 4}) {
    for (const int64_t width : {26, 28}) {
      const auto wide = at::full({2, 3, 30, width}, 7.0F);
      expect_in(wide.narrow(2, 5, 20).narrow(3, left, 20));
      CHECK(wide.eq(7).sum().item<int64_t>() == wide.numel() - expected.numel());
    }
  }
  expect_in(
      at::empty({2, 3, 20, 20}, at::TensorOptions().memory_format(at::MemoryFormat::ChannelsLast)));
  expect_in(at::empty({3, 2, 20, 20}).transpose(0, 1));
}

TEST_CASE("a block has the shared memory that its photos need", "[crop][kernels]") {
  // Horizontal passes first keep many rows of a tall box.
  const auto options = RandomResizedCropOptions(24)
                           .interpolation(Interpolation::Bilinear)
                           .pass_order(PassOrder::HorizontalFirst)
                           .normalize(false);
  const RandomResizedCrop crop(options);
  const auto kibibytes = [&](int64_t height, std::size_t allowed) {
    auto executor = executor_of(3);
    executor.allow_shared_bytes(allowed * 1024);
    const std::vector<at::Tensor> images = {photo(height, 30, 3), photo(30, 40, 3)};
    const std::vector<CropWindow> windows = {{0, 0, false, height, 30}, {3, 5, true, 20, 30}};
    const auto out = at::empty({2, 3, 24, 24}, at::kByte);
    const auto geometries = geometries_of(options, images, windows);
    if (!cuda::crop_photos(executor, images, geometries, nullptr, out)) {
      CHECK(executor.launches().empty());
      return std::size_t{0};
    }
    CHECK(at::equal(out, crop.apply(images, windows)));
    return executor.launches()[0].shared_bytes / 1024;
  };
  CHECK(kibibytes(400, 227) == 48);
  CHECK(kibibytes(3000, 227) == 99);
  CHECK(kibibytes(3000, 98) == 48);  // with lower tiles
  CHECK(kibibytes(12000, 227) == 227);
  CHECK(kibibytes(12000, 48) == 0);
}
