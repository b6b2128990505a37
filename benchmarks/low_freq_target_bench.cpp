// SPDX-License-Identifier: Apache-2.0
// Times the low-frequency target beside mmselfsup's formula, a real transform and a copy.

#include <pixmim/low_freq_target.hpp>

#include "defaults.hpp"

namespace {

at::Tensor channel_values(const std::vector<double>& values) {
  return at::tensor(values, at::kFloat).view({1, -1, 1, 1}).to(pixmim_bench::device());
}

/// mmselfsup low_freq_generator.py, operator by operator; its constants are made once.
class Mmselfsup {
 public:
  Mmselfsup(int64_t size, double radius)
      : mean_(channel_values(pixmim::imagenet_default_mean())),
        std_(channel_values(pixmim::imagenet_default_std())) {
    const at::Tensor offsets = at::arange(size, at::kDouble).sub(static_cast<double>(size - 1) / 2);
    const at::Tensor squares = offsets.square();
    low_pass_filter_ = squares.view({-1, 1})
                           .add(squares)
                           .le(radius * radius)
                           .to(pixmim_bench::device(), at::kFloat)
                           .expand({3, size, size})
                           .contiguous();
  }

  at::Tensor operator()(const at::Tensor& images) const {
    const at::Tensor pixels = images.to(at::kFloat) * std_ + mean_;
    at::Tensor spectrum = at::fft_fft2(pixels);
    spectrum = at::fft_fftshift(spectrum, at::IntArrayRef{-2, -1});
    const at::Tensor low_pass = at::fft_ifft2(spectrum * low_pass_filter_).abs();
    return ((low_pass - mean_) / std_).to(images.scalar_type());
  }

 private:
  at::Tensor mean_;
  at::Tensor std_;
  at::Tensor low_pass_filter_;
};

/// The circle around DC by real transforms.
class RealTransform {
 public:
  RealTransform(int64_t size, double radius) : size_(size) {
    const double spacing = 1 / static_cast<double>(size);
    const at::Tensor fy = at::fft_fftfreq(size, spacing, at::kDouble).view({-1, 1});
    const at::Tensor fx = at::fft_rfftfreq(size, spacing, at::kDouble);
    mask_ = fy.square()
                .add(fx.square())
                .round()
                .le(radius * radius)
                .to(pixmim_bench::device(), at::kFloat);
  }

  at::Tensor operator()(const at::Tensor& images) const {
    const at::Tensor spectrum = at::fft_rfft2(images.to(at::kFloat));
    return at::fft_irfft2(spectrum * mask_, at::IntArrayRef{size_, size_}).to(images.scalar_type());
  }

 private:
  int64_t size_;
  at::Tensor mask_;
};

void add_case(at::ScalarType dtype, int64_t batch, int64_t size, double radius) {
  const at::Tensor images = at::randn({batch, 3, size, size}).to(pixmim_bench::device(), dtype);
  const pixmim::LowFreqTargetGenerator published{pixmim::LowFreqTargetOptions(radius)};
  const pixmim::BasicLowFreqTargetGenerator<pixmim::Circle> circle{pixmim::Circle{radius}};
  const Mmselfsup published_reference(size, radius);
  const RealTransform circle_reference(size, radius);

  const std::string side = std::to_string(size);
  const std::string case_axes = std::string(dtype == at::kFloat ? "float32" : "bfloat16") +
                                "/N:" + std::to_string(batch) + "/" + side + "x" + side +
                                "/r:" + std::to_string(static_cast<int>(radius));
  // bfloat16: both round a float32 result, to neighbours at the worst.
  const double tolerance = dtype == at::kFloat ? 2e-5 : 0.04;
  pixmim_bench::expect_equal("low_freq_target/published/" + case_axes, published(images),
                             published_reference(images), tolerance);
  pixmim_bench::expect_equal("low_freq_target/circle/" + case_axes, circle(images),
                             circle_reference(images), tolerance);

  const std::size_t bytes = 2 * images.nbytes();
  for (const int threads : pixmim_bench::thread_counts()) {
    const std::string axes = "/" + case_axes + pixmim_bench::threads_axis(threads);
    const auto add = [&](const std::string& what, auto call, const std::string& reference) {
      pixmim_bench::add({"low_freq_target/" + what + axes, threads, batch, bytes,
                         reference.empty() ? "" : "low_freq_target/" + reference + axes},
                        [call, images] { return call(images); });
    };
    add("published_reference", published_reference, "");
    add("published", published, "published_reference");
    add("circle_reference", circle_reference, "");
    add("circle", circle, "circle_reference");
    add(
        "copy", [](const at::Tensor& source) { return source.clone(); }, "published_reference");
  }
}

void add_rows() {
  using pixmim_bench::radius;
  add_case(at::kFloat, 1, pixmim_bench::image_size, radius);
  add_case(at::kFloat, pixmim_bench::batch, pixmim_bench::image_size, radius);
  add_case(at::kBFloat16, pixmim_bench::batch, pixmim_bench::image_size, radius);
  add_case(at::kFloat, 4, pixmim_bench::large_image_size, 2 * radius);
}

}  // namespace

int main(int argc, char** argv) {
  return pixmim_bench::run(argc, argv, add_rows);
}
