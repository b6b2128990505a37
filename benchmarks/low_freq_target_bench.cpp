// SPDX-License-Identifier: Apache-2.0
// Times the low-frequency target beside mmselfsup's formula, a real transform, and a copy of the same
// bytes: over sizes, radii, dtypes and batches.

#include <pixmim/loss.hpp>
#include <pixmim/low_freq_target.hpp>
#include <pixmim/patches.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "defaults.hpp"

namespace {

at::Tensor channel_values(const std::vector<double>& values) {
  return at::tensor(values, at::kFloat).view({1, -1, 1, 1}).to(pixmim_bench::device());
}

at::ScalarType result_dtype(const at::Tensor& images) {
  return images.scalar_type() == at::kByte ? at::kFloat : images.scalar_type();
}

/// float32, or float64 for float64.
at::Tensor wide(const at::Tensor& images) {
  return images.to(images.scalar_type() == at::kDouble ? at::kDouble : at::kFloat);
}

/// mmselfsup low_freq_generator.py, operator by operator; its constants are made once.
class Mmselfsup {
 public:
  Mmselfsup(int64_t height, int64_t width, double radius)
      : mean_(channel_values(pixmim::imagenet_default_mean())),
        std_(channel_values(pixmim::imagenet_default_std())) {
    const auto squares = [](int64_t size) {
      return at::arange(size, at::kDouble).sub(static_cast<double>(size - 1) / 2).square();
    };
    low_pass_filter_ = squares(height)
                           .view({-1, 1})
                           .add(squares(width))
                           .le(radius * radius)
                           .to(pixmim_bench::device(), at::kFloat)
                           .expand({3, height, width})
                           .contiguous();
  }

  at::Tensor operator()(const at::Tensor& images) const {
    const at::Tensor pixels = images.scalar_type() == at::kByte ? images.to(at::kFloat) / 255
                                                                : wide(images) * std_ + mean_;
    at::Tensor spectrum = at::fft_fft2(pixels);
    spectrum = at::fft_fftshift(spectrum, at::IntArrayRef{-2, -1});
    const at::Tensor low_pass = at::fft_ifft2(spectrum * low_pass_filter_).abs();
    return ((low_pass - mean_) / std_).to(result_dtype(images));
  }

 private:
  at::Tensor mean_;
  at::Tensor std_;
  at::Tensor low_pass_filter_;
};

/// The circle around DC by real transforms.
class RealTransform {
 public:
  RealTransform(int64_t height, int64_t width, double radius) : size_({height, width}) {
    const auto frequencies = [](int64_t size) {
      return at::fft_fftfreq(size, 1 / static_cast<double>(size), at::kDouble);
    };
    mask_ = frequencies(height)
                .view({-1, 1})
                .square()
                .add(frequencies(width).narrow(0, 0, width / 2 + 1).square())
                .round()
                .le(radius * radius)
                .to(pixmim_bench::device(), at::kFloat);
  }

  at::Tensor operator()(const at::Tensor& images) const {
    const at::Tensor samples = images.scalar_type() == at::kByte
                                   ? (images.to(at::kFloat) / 255 - mean_) / std_
                                   : wide(images);
    return at::fft_irfft2(at::fft_rfft2(samples) * mask_, size_).to(result_dtype(images));
  }

 private:
  std::vector<int64_t> size_;
  at::Tensor mask_;
  at::Tensor mean_ = channel_values(pixmim::imagenet_default_mean());
  at::Tensor std_ = channel_values(pixmim::imagenet_default_std());
};

struct Case {
  at::ScalarType dtype;
  int64_t batch;
  int64_t height;
  int64_t width;
  double radius;
  /// Without mmselfsup's formula, which is slow and needs ten times the memory.
  bool with_published_reference = true;
};

std::string name_of(at::ScalarType dtype) {
  switch (dtype) {
    case at::kHalf:
      return "float16";
    case at::kBFloat16:
      return "bfloat16";
    case at::kDouble:
      return "float64";
    case at::kByte:
      return "uint8";
    default:
      return "float32";
  }
}

at::Tensor images_of(const Case& row) {
  if (row.dtype == at::kByte) {
    return at::randint(256, {row.batch, 3, row.height, row.width}, at::kByte)
        .to(pixmim_bench::device());
  }
  return at::randn({row.batch, 3, row.height, row.width}).to(pixmim_bench::device(), row.dtype);
}

/// What both engines round to: 16 bits to neighbours at the worst.
double tolerance_of(at::ScalarType dtype) {
  switch (dtype) {
    case at::kHalf:
      return 0.005;
    case at::kBFloat16:
      return 0.04;
    case at::kDouble:
      return 1e-4;  // mmselfsup's mask is float32, and so is its mean
    default:
      return 5e-5;
  }
}

pixmim::LowFreqTargetGenerator published(const Case& row) {
  return pixmim::LowFreqTargetGenerator(pixmim::LowFreqTargetOptions(row.radius));
}

pixmim::BasicLowFreqTargetGenerator<pixmim::Circle> circle(const Case& row) {
  return pixmim::BasicLowFreqTargetGenerator<pixmim::Circle>(pixmim::Circle{row.radius});
}

std::string axes_of(const Case& row) {
  return name_of(row.dtype) + "/N:" + std::to_string(row.batch) + "/" + std::to_string(row.height) +
         "x" + std::to_string(row.width) + "/r:" + std::to_string(static_cast<int>(row.radius));
}

/// Multiplications and additions of the basis engine in a call; 0 if the transforms do it.
double flops_of(const Case& row) {
  namespace detail = pixmim::detail;
  using Target = detail::CpuTarget<false, float>;
  if (row.dtype == at::kDouble || !pixmim_bench::device().is_cpu()) return 0;
  const auto gain = detail::gain_table(pixmim::Circle{row.radius}, row.height, row.width);
  if (!Target(gain).uses_basis()) return 0;
  const auto shape = detail::BasisEngine<float>::shape();
  const auto [highest_y, highest_x] = gain.reach(detail::BasisPlan<float>::negligible);
  return 3 * static_cast<double>(row.batch) *
         detail::basis_work(row.height, row.width, highest_y, highest_x, false, shape).flops(shape);
}

void add_case(const Case& row) {
  const std::string axes = axes_of(row);
  const at::Tensor images = images_of(row);
  const Mmselfsup published_reference(row.height, row.width, row.radius);
  const RealTransform circle_reference(row.height, row.width, row.radius);
  const at::Tensor one = images.narrow(0, 0, 1);
  const double tolerance = tolerance_of(row.dtype);
  pixmim_bench::expect_equal("low_freq_target/published/" + axes, published(row)(one),
                             published_reference(one), tolerance);
  pixmim_bench::expect_equal("low_freq_target/circle/" + axes, circle(row)(one),
                             circle_reference(one), tolerance);

  const std::size_t result_bytes = row.dtype == at::kByte ? 4 * images.nbytes() : images.nbytes();
  for (const int threads : pixmim_bench::thread_counts()) {
    const std::string end = "/" + axes + pixmim_bench::threads_axis(threads);
    const auto add = [&](const std::string& what, auto call, const std::string& reference) {
      const bool is_copy = what == "copy";
      pixmim_bench::add(
          {"low_freq_target/" + what + end, threads, row.batch, images.nbytes() + result_bytes,
           reference.empty() ? "" : "low_freq_target/" + reference + end,
           is_copy ? "" : "low_freq_target/copy" + end, what == "circle" ? flops_of(row) : 0},
          [call, images] { return call(images); });
    };
    add(
        "copy",
        [](const at::Tensor& source) { return source.to(result_dtype(source), false, true); }, "");
    if (row.with_published_reference) add("published_reference", published_reference, "");
    add("published", published(row), row.with_published_reference ? "published_reference" : "");
    add("circle_reference", circle_reference, "");
    add("circle", circle(row), "circle_reference");
  }
}

/// The target in patches, for a mask of three quarters, beside the target and its patches apart.
void add_patches(bool norm_pix) {
  const Case row{at::kFloat, pixmim_bench::batch, pixmim_bench::image_size,
                 pixmim_bench::image_size, pixmim_bench::radius};
  constexpr int64_t p = pixmim_bench::patch_size;
  const at::Tensor images = images_of(row);
  const int64_t tokens = row.height / p * (row.width / p);
  const at::Tensor mask =
      at::rand({row.batch, tokens}).lt(pixmim_bench::mask_ratio).to(pixmim_bench::device());
  const auto options = pixmim::TargetPatchesOptions(p).norm_pix(norm_pix);
  for (const int threads : pixmim_bench::thread_counts()) {
    const std::string end = "/" + axes_of(row) + "/p:" + std::to_string(p) +
                            "/norm_pix:" + std::to_string(static_cast<int>(norm_pix)) +
                            pixmim_bench::threads_axis(threads);
    const std::string apart = "low_freq_target/patches_apart" + end;
    pixmim_bench::add({apart, threads, row.batch}, [=, generator = published(row)] {
      const at::Tensor patches = pixmim::patchify(generator(images), p);
      return norm_pix ? pixmim::normalize_patches(patches) : patches;
    });
    pixmim_bench::add(
        {"low_freq_target/patches" + end, threads, row.batch, 0, apart},
        [=, generator = published(row)] { return generator.patches(images, options, mask); });
  }
}

/// The first call of a new generator: its tables.
void add_first_call(int64_t size) {
  const Case row{at::kFloat, 1, size, size, pixmim_bench::radius};
  const at::Tensor images = images_of(row);
  const auto end = "/" + axes_of(row) + pixmim_bench::threads_axis(1);
  pixmim_bench::add({"low_freq_target/published_first_call" + end, 1, 1},
                    [=] { return published(row)(images); });
  pixmim_bench::add({"low_freq_target/gaussian_first_call" + end, 1, 1}, [=] {
    return pixmim::low_freq_target(images, pixmim::Gaussian{pixmim_bench::radius / 2});
  });
}

/// What the multiplications of an engine can be measured against.
void add_gemm_peak() {
  constexpr int64_t side = 1024;
  const at::Tensor a = at::randn({side, side}).to(pixmim_bench::device());
  const at::Tensor b = at::randn({side, side}).to(pixmim_bench::device());
  for (const int threads : pixmim_bench::thread_counts()) {
    pixmim_bench::Row row{"low_freq_target/gemm_peak/float32" + pixmim_bench::threads_axis(threads),
                          threads, 1};
    row.flops = 2.0 * side * side * side;
    pixmim_bench::add(row, [=] { return at::mm(a, b); });
  }
}

void add_rows() {
  using pixmim_bench::radius;
  constexpr int64_t size = pixmim_bench::image_size;
  for (const int64_t batch : {1, 16, 64}) add_case({at::kFloat, batch, size, size, radius});
  const bool on_gpu = !pixmim_bench::device().is_cpu();
  add_case({at::kFloat, 256, size, size, radius, on_gpu});
  for (const auto dtype : {at::kHalf, at::kBFloat16, at::kByte, at::kDouble}) {
    add_case({dtype, on_gpu ? 256 : pixmim_bench::batch, size, size, radius});
  }
  for (const double other : {5, 10, 20, 60, 80, 112, 160}) {
    add_case({at::kFloat, pixmim_bench::batch, size, size, other, false});
  }
  // About as many pixels a batch, and the radius in proportion.
  for (const auto& [height, width] : {std::pair<int64_t, int64_t>{32, 32},
                                      {64, 64},
                                      {96, 96},
                                      {128, 128},
                                      {192, 192},
                                      {225, 225},
                                      {227, 227},
                                      {192, 288},
                                      {384, 384},
                                      {448, 448},
                                      {375, 500},
                                      {518, 518},
                                      {512, 512},
                                      {768, 768},
                                      {1024, 1024}}) {
    const int64_t batch =
        std::max<int64_t>(1, pixmim_bench::batch * size * size / (height * width));
    add_case({at::kFloat, batch, height, width,
              std::round(radius * static_cast<double>(std::min(height, width)) / size),
              height <= 448});
  }
  add_patches(false);
  add_patches(true);
  add_first_call(size);
  add_gemm_peak();
}

}  // namespace

int main(int argc, char** argv) {
  return pixmim_bench::run(argc, argv, add_rows);
}
