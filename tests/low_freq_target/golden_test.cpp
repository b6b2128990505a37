// SPDX-License-Identifier: Apache-2.0
// The target against the numbers of the official implementation.
#include <ATen/ATen.h>
#include <pixmim/low_freq_target.hpp>

#include "support/catch.hpp"
#include "support/golden.hpp"

namespace {

void expect_close(const std::string& what, const at::Tensor& ours, const at::Tensor& expected,
                  double allowed) {
  const double difference = support::largest_difference(ours, expected);
  support::report(what, difference, allowed);
  CHECK(difference <= allowed);
}

// The reference itself is within 2.4e-6 of float64; the magnitude is divided by std (x 4.5).
constexpr double published_tolerance = 1e-5;
constexpr double linear_tolerance = 5e-6;
// Expected values are stored in float32.
constexpr double stored_tolerance = 3e-7;

}  // namespace

TEST_CASE("the published target equals the official generator's", "[low_freq_target]") {
  for (const auto& path : support::golden_files("low_freq_")) {
    const support::Golden golden(path);
    const auto target = pixmim::low_freq_target(golden["input"], golden.number("radius"));
    expect_close(golden.name(), target, golden["expected_reference"], published_tolerance);
    if (golden.has("expected_reference64")) {
      const auto wide =
          pixmim::low_freq_target(golden["input"].to(at::kDouble), golden.number("radius"));
      CHECK(wide.scalar_type() == at::kDouble);
      expect_close(golden.name() + " float64", wide, golden["expected_reference64"],
                   stored_tolerance);
    }
  }
}

TEST_CASE("the linear filters equal a float64 transform", "[low_freq_target]") {
  for (const auto& path : support::golden_files("low_freq_")) {
    const support::Golden golden(path);
    const double radius = golden.number("radius");
    const auto check = [&](const std::string& key, const auto& filter) {
      if (!golden.has(key)) return;
      const auto& input = golden["input"];
      expect_close(golden.name() + " " + key.substr(9), pixmim::low_freq_target(input, filter),
                   golden[key], linear_tolerance);
      expect_close(golden.name() + " " + key.substr(9) + " float64",
                   pixmim::low_freq_target(input.to(at::kDouble), filter), golden[key],
                   stored_tolerance);
    };
    check("expected_circle", pixmim::Circle{radius});
    if (golden.has("sigma")) check("expected_gaussian", pixmim::Gaussian{golden.number("sigma")});
    if (radius > 0) check("expected_butterworth", pixmim::Butterworth{radius, 2});
  }
}

TEST_CASE("raw pixels at 224 give the official target", "[low_freq_target]") {
  const auto golden = support::golden("eval_lowfreq224");
  expect_close("eval_lowfreq224 uint8", pixmim::low_freq_target(golden["images_u8"], 40),
               golden["target"], published_tolerance);
}
