// SPDX-License-Identifier: Apache-2.0
// Times SimpleResizedCrop and RandomResizedCrop beside compositions of LibTorch's resizes.

#include <pixmim/random_resized_crop.hpp>
#include <pixmim/simple_resized_crop.hpp>

#include "defaults.hpp"

namespace {

/// In levels of 8 bits: ours rounds after each pass, the composition on float never.
constexpr double tolerance_in_levels = 2;

/// A smooth image with a little noise, uint8 [H,W,3], as a decoder gives it.
at::Tensor photo(int64_t height, int64_t width) {
  const at::Tensor smooth = at::upsample_bilinear2d(at::rand({1, 3, 12, 16}).mul(220).add(10),
                                                    {height, width}, /*align_corners=*/false);
  const at::Tensor noisy = smooth.add(at::randn(smooth.sizes()).mul(4)).round().clamp(0, 255);
  return noisy.squeeze(0).permute({1, 2, 0}).to(at::kByte).contiguous().to(pixmim_bench::device());
}

/// What both compositions end with.
class Normalize {
 public:
  Normalize()
      : scale_(values(pixmim::imagenet_default_std()).mul(255)),
        mean_(values(pixmim::imagenet_default_mean()).mul(255)) {}

  at::Tensor operator()(const at::Tensor& pixels, bool flip) const {
    const at::Tensor turned = flip ? pixels.flip({-1}) : pixels;
    return turned.to(at::kFloat).sub(mean_).div(scale_).squeeze(0).contiguous();
  }

 private:
  static at::Tensor values(const std::vector<double>& values) {
    return at::tensor(values, at::kFloat).view({-1, 1, 1}).to(pixmim_bench::device());
  }

  at::Tensor scale_;
  at::Tensor mean_;
};

/// [H,W,C] -> [1,C,H,W] without a copy: channels last, which LibTorch's resize of uint8 is made
/// for.
at::Tensor planes(const at::Tensor& image) {
  return image.permute({2, 0, 1}).unsqueeze(0);
}

/// Adds ours, the composition on float and, on the CPU, the one on uint8.
template <typename Ours, typename Composition>
void add_crop(const std::string& what, const at::Tensor& image, Ours ours,
              Composition composition) {
  const auto on_float = [=] { return composition(planes(image).to(at::kFloat)); };
  const auto on_uint8 = [=] { return composition(planes(image)); };
  const std::string size = "/" + std::to_string(image.size(0)) + "x" +
                           std::to_string(image.size(1)) +
                           "/to:" + std::to_string(pixmim_bench::image_size);
  const bool cpu = image.device().is_cpu();
  const double tolerance = tolerance_in_levels / 255 / 0.224;
  pixmim_bench::expect_equal(what + size, ours(), on_float(), tolerance);
  if (cpu) pixmim_bench::expect_equal(what + size, ours(), on_uint8(), tolerance);

  for (const int threads : pixmim_bench::thread_counts()) {
    const std::string axes = size + pixmim_bench::threads_axis(threads);
    const std::string reference = what + "/float_composition" + axes;
    pixmim_bench::add({reference, threads, 1}, on_float);
    if (cpu) {
      pixmim_bench::add({what + "/uint8_composition" + axes, threads, 1, 0, reference}, on_uint8);
    }
    pixmim_bench::add({what + "/apply" + axes, threads, 1, 0, reference}, ours);
  }
}

void add_simple(const at::Tensor& image) {
  const pixmim::SimpleResizedCrop crop{pixmim::SimpleResizedCropOptions(pixmim_bench::image_size)};
  auto window = crop.sample(image.size(0), image.size(1), pixmim_bench::seed, /*index=*/0);
  window.flip = true;
  const auto resized = crop.resized(image.size(0), image.size(1));
  const int64_t size = crop.options().size();
  const int64_t padding = crop.options().padding();
  add_crop(
      "simple_resized_crop", image, [=] { return crop.apply(image, window); },
      [=, normalize = Normalize()](const at::Tensor& pixels) {
        const at::Tensor small =
            at::_upsample_bilinear2d_aa(pixels, at::IntArrayRef(resized), /*align_corners=*/false);
        const at::Tensor padded = at::reflection_pad2d(small, {padding, padding, padding, padding});
        return normalize(padded.narrow(2, window.top, size).narrow(3, window.left, size),
                         window.flip);
      });
}

void add_random(const at::Tensor& image) {
  const pixmim::RandomResizedCrop crop{
      pixmim::RandomResizedCropOptions(pixmim_bench::image_size).scale({0.2, 1.0})};
  auto window = crop.sample(image.size(0), image.size(1), pixmim_bench::seed, /*index=*/0);
  window.flip = true;
  const int64_t size = crop.options().size();
  add_crop(
      "random_resized_crop", image, [=] { return crop.apply(image, window); },
      [=, normalize = Normalize()](const at::Tensor& pixels) {
        const at::Tensor box =
            pixels.narrow(2, window.top, window.height).narrow(3, window.left, window.width);
        const at::Tensor small = at::_upsample_bicubic2d_aa(box, at::IntArrayRef{size, size},
                                                            /*align_corners=*/false);
        return normalize(small.clamp(0, 255), window.flip);
      });
}

void add_rows() {
  for (const auto& [height, width] : {std::pair<int64_t, int64_t>{375, 500}, {768, 1024}}) {
    const at::Tensor image = photo(height, width);
    add_simple(image);
    add_random(image);
  }
}

}  // namespace

int main(int argc, char** argv) {
  return pixmim_bench::run(argc, argv, add_rows);
}
