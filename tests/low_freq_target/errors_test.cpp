// SPDX-License-Identifier: Apache-2.0
// Each bad argument of the target gives an error that names it.
#include <ATen/ATen.h>
#include <pixmim/low_freq_target.hpp>

#include "support/catch.hpp"
#include "support/errors.hpp"

using support::error_of;

TEST_CASE("bad images are named", "[low_freq_target]") {
  const auto error = [](const at::Tensor& images) {
    return error_of([&] { pixmim::low_freq_target(images, 4); });
  };
  CHECK_THAT(error(at::Tensor()), ContainsSubstring("low_freq_target: expected `images` to be a "
                                                    "tensor, got an undefined one"));
  CHECK_THAT(error(at::zeros({8, 8})),
             ContainsSubstring("expected images of shape [N,C,H,W] or [C,H,W], got [8, 8]"));
  CHECK_THAT(error(at::zeros({1, 1, 3, 8, 8})), ContainsSubstring("got [1, 1, 3, 8, 8]"));
  CHECK_THAT(error(at::zeros({1, 3, 8, 8}, at::kInt)), ContainsSubstring("got Int"));
  CHECK_THAT(error(at::zeros({1, 3, 8, 8}, at::kComplexFloat)), ContainsSubstring("ComplexFloat"));
  CHECK_THAT(error(at::zeros({1, 3, 8, 8}).to(at::kFloat8_e4m3fn)),
             ContainsSubstring("got Float8_e4m3fn"));
  CHECK_THAT(error(at::zeros({1, 3, 0, 8})),
             ContainsSubstring("expected images of at least 1x1 pixels, got [1, 3, 0, 8]"));
  CHECK_THAT(error(at::zeros({1, 3, 8, 8}, at::kMeta)),
             ContainsSubstring("expected images that are dense and in memory, got layout Strided "
                               "on device meta"));
  CHECK_THAT(error(at::zeros({1, 3, 8, 8}).to_sparse()), ContainsSubstring("got layout Sparse"));
}

TEST_CASE("channels that do not fit mean and std are named", "[low_freq_target]") {
  const auto grey = at::zeros({1, 1, 8, 8});
  CHECK_THAT(error_of([&] { pixmim::low_freq_target(grey, 4); }),
             ContainsSubstring("expected images of 3 channels, as mean and std have, got 1"));
  CHECK_THAT(error_of([&] { pixmim::low_freq_target(grey.to(at::kByte), pixmim::Circle{4}); }),
             ContainsSubstring("expected images of 3 channels"));
}

TEST_CASE("gains that are not finite are named", "[low_freq_target]") {
  const auto inverse = [](double fy, double fx) { return 1 / (fy * fy + fx * fx); };
  CHECK_THAT(
      error_of([&] {
        pixmim::low_freq_target(at::zeros({1, 3, 8, 8}), inverse);
      }),
      ContainsSubstring("expected a filter of finite gains, got inf at the frequency (0, 0)"));
}

TEST_CASE("bad filters and options are named", "[low_freq_target]") {
  const auto images = at::zeros({1, 3, 8, 8});
  const auto error = [&](const auto& filter) {
    return error_of([&] { pixmim::low_freq_target(images, filter); });
  };
  using Options = pixmim::LowFreqTargetOptions;
  CHECK_THAT(error(Options(-1)), ContainsSubstring("expected radius >= 0, got -1"));
  CHECK_THAT(error(Options(std::nan(""))), ContainsSubstring("expected radius >= 0, got nan"));
  CHECK_THAT(error(pixmim::Circle{-2}), ContainsSubstring("Circle: expected radius >= 0, got -2"));
  CHECK_THAT(error(pixmim::Gaussian{0}), ContainsSubstring("Gaussian: expected sigma > 0, got 0"));
  CHECK_THAT(error(pixmim::Butterworth{0, 2}), ContainsSubstring("expected radius > 0, got 0"));
  CHECK_THAT(error(pixmim::Butterworth{4, -1}), ContainsSubstring("expected order > 0, got -1"));
  CHECK_THAT(error(Options(4).mean({std::nan("")}).std({1})),
             ContainsSubstring("expected a finite mean, got nan"));
  CHECK_THAT(error(Options(4).mean({0.5})),
             ContainsSubstring("expected as many values in mean as in std, got 1 and 3"));
  CHECK_THAT(error(Options(4).mean({0.5}).std({0})),
             ContainsSubstring("expected a finite std > 0, got 0"));
}
