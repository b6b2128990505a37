// SPDX-License-Identifier: Apache-2.0
// Dtypes, ranks, strides and devices that the target promises to take.
#include <ATen/ATen.h>
#include <pixmim/low_freq_target.hpp>

#include "support/catch.hpp"
#include "support/golden.hpp"

using support::largest_difference;

TEST_CASE("the result has the shape and the dtype of the images", "[low_freq_target]") {
  const auto images = at::randn({2, 3, 18, 22}, at::kDouble);
  const auto expected = pixmim::low_freq_target(images, 6);
  // Half of the last place of a value below 4; 1e-5 for the arithmetic in float32.
  const std::pair<at::ScalarType, double> rows[] = {
      {at::kHalf, 4e-2}, {at::kBFloat16, 3e-1}, {at::kFloat, 1e-5}, {at::kDouble, 0}};
  for (const auto& [dtype, tolerance] : rows) {
    const auto given = images.to(dtype);
    for (const bool batched : {true, false}) {
      const auto input = batched ? given : given[1];
      const auto target = pixmim::low_freq_target(input, 6);
      CHECK(target.scalar_type() == dtype);
      CHECK(target.is_contiguous());
      CHECK_FALSE(target.requires_grad());
      CHECK(largest_difference(target, batched ? expected : expected[1]) <= tolerance);
    }
    // 16-bit images are computed in float32: only the rounding of input and output is theirs.
    const auto wide = pixmim::low_freq_target(given.to(at::kFloat), 6);
    if (dtype != at::kDouble) {
      CHECK(at::equal(pixmim::low_freq_target(given, 6), wide.to(dtype)));
    }
  }
}

TEST_CASE("strides do not matter", "[low_freq_target]") {
  const auto images = at::randn({2, 3, 18, 22});
  const auto expected = pixmim::low_freq_target(images, 6);
  const auto channels_last = images.contiguous(at::MemoryFormat::ChannelsLast);
  CHECK(at::equal(pixmim::low_freq_target(channels_last, 6), expected));
  const auto every_second = at::stack({images, images * 2}, 4).select(4, 0);
  CHECK_FALSE(every_second.is_contiguous());
  CHECK(at::equal(pixmim::low_freq_target(every_second, 6), expected));
  CHECK(largest_difference(
            pixmim::low_freq_target(images.transpose(2, 3), pixmim::Circle{6}).transpose(2, 3),
            pixmim::low_freq_target(images, pixmim::Circle{6})) < 5e-6);
}

TEST_CASE("images whose sign is a flag are read with it", "[low_freq_target]") {
  const auto images = at::randn({2, 3, 16, 16});
  CHECK(at::equal(pixmim::low_freq_target(at::_neg_view(images), pixmim::Circle{3}),
                  pixmim::low_freq_target(images.neg(), pixmim::Circle{3})));
}

TEST_CASE("images that require a gradient give a target without one", "[low_freq_target]") {
  const auto images = at::randn({1, 3, 8, 8}).requires_grad_(true);
  CHECK_FALSE(pixmim::low_freq_target(images, 2).requires_grad());
  CHECK_FALSE(pixmim::low_freq_target(images, pixmim::Circle{2}).requires_grad());
  CHECK(at::GradMode::is_enabled());
}

TEST_CASE("an empty batch gives an empty target", "[low_freq_target]") {
  CHECK(pixmim::low_freq_target(at::empty({0, 3, 8, 8}), 2).sizes() ==
        at::IntArrayRef({0, 3, 8, 8}));
  const auto bytes = pixmim::low_freq_target(at::empty({0, 3, 8, 8}, at::kByte), 2);
  CHECK(bytes.scalar_type() == at::kFloat);
}

TEST_CASE("uint8 pixels are normalised on the way", "[low_freq_target]") {
  const auto bytes = at::randint(256, {2, 3, 12, 10}, at::kByte);
  const auto mean = at::tensor({0.485, 0.456, 0.406}).view({3, 1, 1});
  const auto std = at::tensor({0.229, 0.224, 0.225}).view({3, 1, 1});
  const auto images = (bytes.to(at::kFloat) / 255 - mean) / std;
  CHECK(largest_difference(pixmim::low_freq_target(bytes, 3), pixmim::low_freq_target(images, 3)) <
        1e-5);
  CHECK(largest_difference(pixmim::low_freq_target(bytes, pixmim::Circle{3}),
                           pixmim::low_freq_target(images, pixmim::Circle{3})) < 1e-5);
}

TEST_CASE("linear filters take any number of channels", "[low_freq_target]") {
  for (const int64_t channels : {1, 2, 4, 7}) {
    CHECK(pixmim::low_freq_target(at::randn({1, channels, 8, 8}), pixmim::Gaussian{2}).size(1) ==
          channels);
  }
}

TEST_CASE("a generator serves many sizes", "[low_freq_target]") {
  const pixmim::LowFreqTargetGenerator generator(pixmim::LowFreqTargetOptions(3));
  for (int64_t round = 0; round < 2; ++round) {
    for (int64_t size = 4; size < 44; ++size) {  // more than the cache keeps
      const auto images = at::randn({1, 3, size, size + 1});
      CHECK(largest_difference(generator(images), pixmim::low_freq_target(images, 3)) == 0);
    }
  }
}

TEST_CASE("tables that are kept stay, whatever else is asked for", "[low_freq_target]") {
  pixmim::detail::TableCache<int64_t> cache;
  int made = 0;
  const auto table_of = [&](int64_t size, bool keep) {
    const pixmim::detail::TableKey key = {size, size, at::kFloat, at::kCPU};
    return *cache.get(
        key,
        [&] {
          ++made;
          return size;
        },
        keep);
  };
  CHECK(table_of(1, false) == 1);
  CHECK(table_of(1, true) == 1);  // a table that is there is kept from now on
  CHECK(table_of(2, true) == 2);
  for (int64_t size = 3; size < 43; ++size) CHECK(table_of(size, false) == size);
  CHECK(made == 42);
  CHECK(table_of(1, false) == 1);
  CHECK(table_of(2, false) == 2);
  CHECK(table_of(42, false) == 42);
  CHECK(made == 42);
  CHECK(table_of(3, false) == 3);
  CHECK(made == 43);
}
