// SPDX-License-Identifier: Apache-2.0
// Times SimpleResizedCrop and RandomResizedCrop beside compositions of LibTorch's resizes.

#include <pixmim/random_resized_crop.hpp>
#include <pixmim/simple_resized_crop.hpp>

#include <array>
#include <string>
#include <vector>

#include "defaults.hpp"

namespace {

/// In levels of 8 bits: ours rounds after each pass, the composition on float never. Two, and what
/// float32 adds to them.
constexpr double tolerance_in_levels = 2.001;

constexpr int64_t large_batch = 64;

/// A smooth image with a little noise, uint8 [H,W,3], as a decoder gives it.
at::Tensor photo(int64_t height, int64_t width) {
  const at::Tensor smooth = at::upsample_bilinear2d(at::rand({1, 3, 12, 16}).mul(220).add(10),
                                                    {height, width}, /*align_corners=*/false);
  const at::Tensor noisy = smooth.add(at::randn(smooth.sizes()).mul(4)).round().clamp(0, 255);
  return noisy.squeeze(0).permute({1, 2, 0}).to(at::kByte).contiguous().to(pixmim_bench::device());
}

/// What is done to the images of a row.
struct Variant {
  int64_t images = 1;
  bool normalize = true;
  pixmim::Interpolation interpolation = pixmim::Interpolation::Bilinear;

  /// The axes of a row's name, its size and threads aside.
  std::string axes() const {
    return std::string(normalize ? "/float32" : "/uint8") + "/N:" + std::to_string(images) +
           (interpolation == pixmim::Interpolation::Bilinear ? "/bilinear" : "/bicubic");
  }
  template <typename Options>
  Options options() const {
    return Options(pixmim_bench::image_size).normalize(normalize).interpolation(interpolation);
  }
};

/// The resize of both compositions, [1,C,H,W] of float or uint8.
at::Tensor resize(const at::Tensor& pixels, at::IntArrayRef size,
                  pixmim::Interpolation interpolation) {
  constexpr bool align_corners = false;
  if (interpolation == pixmim::Interpolation::Bilinear) {
    return at::_upsample_bilinear2d_aa(pixels, size, align_corners);
  }
  return at::_upsample_bicubic2d_aa(pixels, size, align_corners).clamp(0, 255);
}

/// What both compositions end with.
class Finish {
 public:
  explicit Finish(bool normalize)
      : normalize_(normalize),
        scale_(values(pixmim::imagenet_default_std()).mul(255)),
        mean_(values(pixmim::imagenet_default_mean()).mul(255)) {}

  at::Tensor operator()(const at::Tensor& pixels, bool flip) const {
    const at::Tensor turned = flip ? pixels.flip({-1}) : pixels;
    if (normalize_) {
      return turned.to(at::kFloat).sub(mean_).div(scale_).squeeze(0).contiguous();
    }
    const at::Tensor whole = turned.is_floating_point() ? turned.round() : turned;
    return whole.to(at::kByte).squeeze(0).contiguous();
  }

 private:
  static at::Tensor values(const std::vector<double>& values) {
    return at::tensor(values, at::kFloat).view({-1, 1, 1}).to(pixmim_bench::device());
  }

  bool normalize_;
  at::Tensor scale_;
  at::Tensor mean_;
};

/// [H,W,C] -> [1,C,H,W] without a copy: channels last, which LibTorch's resize of uint8 is made
/// for.
at::Tensor planes(const at::Tensor& image) {
  return image.permute({2, 0, 1}).unsqueeze(0);
}

/// Adds ours, the composition on float and, on the CPU, the one on uint8; `composition`: of one
/// photo's planes and its window.
template <typename Crop, typename Composition>
void add_crop(const std::string& what, const Crop& crop, const Variant& variant,
              std::array<int64_t, 2> image_size, Composition composition) {
  std::vector<at::Tensor> images;
  std::vector<pixmim::CropWindow> windows;
  for (uint64_t i = 0; i < static_cast<uint64_t>(variant.images); ++i) {
    images.push_back(photo(image_size[0], image_size[1]));
    windows.push_back(crop.sample(image_size[0], image_size[1], pixmim_bench::seed, i));
    windows.back().flip = true;  // the one that costs
  }
  const auto compose = [=](at::ScalarType dtype) {
    std::vector<at::Tensor> results;
    for (std::size_t i = 0; i < images.size(); ++i) {
      results.push_back(composition(planes(images[i]).to(dtype), windows[i]));
    }
    return results.size() == 1 ? results[0] : at::stack(results);
  };
  const auto on_float = [=] { return compose(at::kFloat); };
  const auto on_uint8 = [=] { return compose(at::kByte); };
  const auto ours = [=] {
    return images.size() == 1 ? crop.apply(images[0], windows[0]) : crop.apply(images, windows);
  };

  const std::string row = variant.axes() + "/" + std::to_string(image_size[0]) + "x" +
                          std::to_string(image_size[1]) +
                          "/to:" + std::to_string(pixmim_bench::image_size);
  const bool cpu = pixmim_bench::device().is_cpu();
  const double tolerance = tolerance_in_levels / (variant.normalize ? 255 * 0.224 : 1);
  pixmim_bench::expect_equal(what + row, ours(), on_float(), tolerance);
  if (cpu) pixmim_bench::expect_equal(what + row, ours(), on_uint8(), tolerance);

  for (const int threads : pixmim_bench::thread_counts()) {
    const std::string axes = row + pixmim_bench::threads_axis(threads);
    const std::string reference = what + "/float_composition" + axes;
    pixmim_bench::add({reference, threads, variant.images}, on_float);
    if (cpu) {
      pixmim_bench::add({what + "/uint8_composition" + axes, threads, variant.images, 0, reference},
                        on_uint8);
    }
    pixmim_bench::add({what + "/apply" + axes, threads, variant.images, 0, reference}, ours);
  }
}

void add_simple(const Variant& variant, int64_t height, int64_t width) {
  using pixmim::SimpleResizedCrop;
  const SimpleResizedCrop crop(variant.options<pixmim::SimpleResizedCropOptions>());
  const auto resized = crop.resized(height, width);
  const int64_t size = crop.options().size();
  const int64_t padding = crop.options().padding();
  add_crop(
      "simple_resized_crop", crop, variant, {height, width},
      [=, finish = Finish(variant.normalize)](const at::Tensor& pixels,
                                              const pixmim::CropWindow& window) {
        const at::Tensor small = resize(pixels, resized, variant.interpolation);
        const at::Tensor padded = at::reflection_pad2d(small, {padding, padding, padding, padding});
        return finish(padded.narrow(2, window.top, size).narrow(3, window.left, size), window.flip);
      });
}

void add_random(const Variant& variant, int64_t height, int64_t width) {
  using pixmim::RandomResizedCrop;
  const RandomResizedCrop crop(
      variant.options<pixmim::RandomResizedCropOptions>().scale({0.2, 1.0}));
  const int64_t size = crop.options().size();
  add_crop("random_resized_crop", crop, variant, {height, width},
           [=, finish = Finish(variant.normalize)](const at::Tensor& pixels,
                                                   const pixmim::CropWindow& window) {
             const at::Tensor box =
                 pixels.narrow(2, window.top, window.height).narrow(3, window.left, window.width);
             return finish(resize(box, {size, size}, variant.interpolation), window.flip);
           });
}

void add_rows() {
  using pixmim::Interpolation;
  const auto add_both = [](Variant variant, int64_t height, int64_t width) {
    add_simple(variant, height, width);
    // Where SimpleResizedCrop is bilinear, as it usually is, RandomResizedCrop is MAE's bicubic.
    variant.interpolation = variant.interpolation == Interpolation::Bilinear
                                ? Interpolation::Bicubic
                                : Interpolation::Bilinear;
    add_random(variant, height, width);
  };
  add_both({}, 375, 500);
  add_both({}, 768, 1024);
  add_both({1, /*normalize=*/false}, 375, 500);
  add_both({1, true, Interpolation::Bicubic}, 375, 500);
  add_both({large_batch}, 375, 500);
  add_both({large_batch, /*normalize=*/false}, 375, 500);
}

}  // namespace

int main(int argc, char** argv) {
  return pixmim_bench::run(argc, argv, add_rows);
}
