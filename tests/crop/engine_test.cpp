// SPDX-License-Identifier: Apache-2.0
// The engine on the CPU against LibTorch's operators, in the cases that kernels get wrong.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <sys/mman.h>
#include <unistd.h>
#include <pixmim/random_resized_crop.hpp>
#include <pixmim/simple_resized_crop.hpp>

#include <atomic>
#include <cstring>
#include <random>
#include <thread>

#include "support/catch.hpp"

namespace {

using pixmim::Interpolation;
using pixmim::PassOrder;
using Options = pixmim::SimpleResizedCropOptions;

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
    default:  // turned
      return image.transpose(0, 1).contiguous().transpose(0, 1);
  }
}

pixmim::detail::CropGeometry geometry_of(const pixmim::SimpleResizedCrop& crop, int64_t height,
                                         int64_t width, const pixmim::CropWindow& window) {
  const auto resized = crop.resized(height, width);
  const auto& options = crop.options();
  return {{0, height, resized[0], window.top - options.padding(), options.size(), false},
          {0, width, resized[1], window.left - options.padding(), options.size(), window.flip},
          options.interpolation(),
          options.pass_order()};
}

}  // namespace

TEST_CASE("the engine equals the operators, whatever the image", "[crop]") {
  std::mt19937 random(1);
  const auto uniform = [&](int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random);
  };
  for (int i = 0; i < 400; ++i) {
    // Small sides, and now and then a long one, which needs many taps.
    const auto side = [&](int64_t long_side) {
      return uniform(0, 9) == 0 ? uniform(200, long_side) : uniform(1, 70);
    };
    const int64_t height = side(uniform(0, 9) == 0 ? 9000 : 900);
    const int64_t width = side(height < 100 && uniform(0, 9) == 0 ? 9000 : 900);
    const int64_t channels = uniform(0, 1) == 0 ? 3 : uniform(1, 9);
    const auto options =
        Options(uniform(0, 19) == 0 ? 1 : uniform(1, 70))
            .padding(uniform(0, 9) == 0 ? uniform(70, 200) : uniform(0, 9))
            .interpolation(uniform(0, 1) == 0 ? Interpolation::Bilinear : Interpolation::Bicubic)
            .pass_order(uniform(0, 1) == 0 ? PassOrder::Pillow13 : PassOrder::HorizontalFirst)
            .mean({0.45})
            .std({0.26});
    const pixmim::SimpleResizedCrop crop(options);
    const auto window = crop.sample(height, width, 1, static_cast<uint64_t>(i));
    const auto image = photo(height, width, channels, static_cast<uint64_t>(i));
    const int64_t kind = uniform(0, 4);
    CAPTURE(i, height, width, channels, options.size(), kind);

    const auto geometry = geometry_of(crop, height, width, window);
    const auto expected = pixmim::detail::crop_by_operators(image, geometry);
    const auto arranged = rearranged(image, kind);
    const pixmim::SimpleResizedCrop bytes(Options(options).normalize(false));
    REQUIRE(at::equal(bytes.apply(arranged, window), expected));
    for (const auto dtype : {at::kFloat, at::kHalf, at::kBFloat16}) {
      const pixmim::SimpleResizedCrop typed(Options(options).dtype(dtype));
      REQUIRE(at::equal(typed.apply(arranged, window),
                        pixmim::detail::normalize_by_operators(expected, {0.45}, {0.26}, dtype)));
    }
  }
}

TEST_CASE("every pixel value is normalised as by division", "[crop]") {
  const auto values = at::arange(256, at::kByte);
  // One pixel high and wide boxes: what goes in comes out.
  const auto image = values.view({16, 16, 1}).expand({16, 16, 3}).contiguous();
  std::mt19937 random(2);
  std::uniform_real_distribution<double> share(0.001, 1);
  for (int i = 0; i < 200; ++i) {
    const std::vector<double> mean = {share(random), share(random), share(random)};
    const std::vector<double> std = {share(random), share(random), share(random)};
    const pixmim::SimpleResizedCrop crop(Options(16).padding(0).mean(mean).std(std));
    const auto bytes = image.permute({2, 0, 1});
    REQUIRE(at::equal(crop.apply(image, {}),
                      pixmim::detail::normalize_by_operators(bytes, mean, std, at::kFloat)));
  }
  const pixmim::SimpleResizedCrop unit(Options(16).padding(0).mean({}).std({}));
  CHECK(at::equal(unit.apply(image, {}), image.permute({2, 0, 1}).to(at::kFloat).div(255)));
}

TEST_CASE("channels first is an option, and changes nothing else", "[crop]") {
  const auto image = photo(40, 30, 3);
  const pixmim::SimpleResizedCrop last(16);
  const pixmim::SimpleResizedCrop first(Options(16).channels_first(true));
  const auto planes = image.permute({2, 0, 1}).contiguous();
  CHECK(at::equal(first.apply(planes, {1, 2, true}), last.apply(image, {1, 2, true})));
  const pixmim::RandomResizedCrop box(pixmim::RandomResizedCropOptions(16).channels_first(true));
  CHECK(box({planes, planes}).sizes() == at::IntArrayRef({2, 3, 16, 16}));
}

TEST_CASE("nothing behind the image's memory is read", "[crop]") {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  for (const auto& [h, w, c] : {std::tuple{1, 1, 3},
                                {2, 5, 3},
                                {60, 37, 3},
                                {60, 37, 4},
                                {7, 9, 1},
                                {300, 11, 3},
                                {11, 300, 3}}) {
    const auto image = photo(h, w, c);
    const auto bytes = static_cast<std::size_t>(image.numel());
    const std::size_t pages = (bytes + page - 1) / page * page;
    auto* const memory = static_cast<uint8_t*>(
        mmap(nullptr, pages + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    REQUIRE(memory != MAP_FAILED);
    REQUIRE(mprotect(memory + pages, page, PROT_NONE) == 0);
    uint8_t* const pixels = memory + pages - bytes;
    std::memcpy(pixels, image.data_ptr(), bytes);
    const auto guarded = at::from_blob(pixels, image.sizes(), at::kByte);
    for (const int64_t size : {1, 16, 50}) {
      const pixmim::SimpleResizedCrop crop(Options(size).normalize(false));
      const auto window = crop.sample(h, w, 3, static_cast<uint64_t>(size));
      CHECK(at::equal(crop.apply(guarded, window), crop.apply(image, window)));
      // The kernel that reads furthest, and a box in the last corner.
      const pixmim::RandomResizedCrop box(pixmim::RandomResizedCropOptions(size)
                                              .interpolation(Interpolation::Bicubic)
                                              .normalize(false));
      const int64_t half_h = (h + 1) / 2;
      const int64_t half_w = (w + 1) / 2;
      for (const pixmim::CropWindow& corner :
           {pixmim::CropWindow{h - half_h, w - half_w, true, half_h, half_w},
            pixmim::CropWindow{0, 0, false, h, w}}) {
        CHECK(at::equal(box.apply(guarded, corner), box.apply(image, corner)));
      }
    }
    munmap(memory, pages + page);
  }
}

TEST_CASE("a given result may have any strides", "[crop]") {
  const auto image = photo(50, 60, 3);
  const pixmim::SimpleResizedCrop crop(32);
  const std::vector<at::Tensor> images = {image, image};
  const std::vector<pixmim::CropWindow> windows = {{1, 2, true}, {0, 5, false}};
  const auto expected = crop.apply(images, windows);
  CHECK(at::equal(expected[1], crop.apply(image, windows[1])));
  const auto wide = at::full({2, 3, 40, 50}, 7.0F);
  const auto view = wide.narrow(2, 4, 32).narrow(3, 9, 32);
  crop.apply_out(view, images, windows);
  CHECK(at::equal(view, expected));
  CHECK(wide.eq(7).sum().item<int64_t>() == wide.numel() - expected.numel());
  const auto channels_last =
      at::empty({2, 3, 32, 32}, at::TensorOptions().memory_format(at::MemoryFormat::ChannelsLast));
  crop.apply_out(channels_last, images, windows);
  CHECK(at::equal(channels_last, expected));
  crop.apply_out(channels_last[0], image, windows[1]);
  CHECK(at::equal(channels_last[0], expected[1]));
}

TEST_CASE("threads share a crop", "[crop]") {
  std::vector<at::Tensor> images;
  std::vector<pixmim::CropWindow> windows;
  const pixmim::SimpleResizedCrop crop(Options(32).interpolation(Interpolation::Bicubic));
  for (uint64_t i = 0; i < 24; ++i) {
    images.push_back(photo(20 + static_cast<int64_t>(7 * i), 90, 3, i));
    windows.push_back(crop.sample(images.back().size(0), 90, 2, i));
  }
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const auto expected = crop.apply(images, windows);
  at::set_num_threads(4);
  CHECK(at::equal(crop.apply(images, windows), expected));
  at::set_num_threads(threads);

  std::atomic<int> wrong{0};
  std::vector<std::thread> workers;
  for (int t = 0; t < 4; ++t) {
    workers.emplace_back([&, copy = crop] {
      for (std::size_t i = 0; i < images.size(); ++i) {
        const auto place = static_cast<int64_t>(i);
        if (!at::equal(copy.apply(images[i], windows[i]), expected[place])) ++wrong;
        if (!at::equal(crop.apply(images[i], windows[i]), expected[place])) ++wrong;
      }
    });
  }
  for (auto& worker : workers) worker.join();
  CHECK(wrong == 0);
}
