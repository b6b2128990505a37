// SPDX-License-Identifier: Apache-2.0
// The bodies of RandomResizedCrop.

#include <algorithm>
#include <cmath>
#include <memory>

#include "pixmim/detail/crop/crop.hpp"
#include "pixmim/detail/crop/geometry.hpp"
#include "pixmim/detail/random.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {

constexpr auto random_resized_crop_name = "RandomResizedCrop";

inline void expect_range(const char* name, const std::array<double, 2>& range) {
  TORCH_CHECK(range[0] > 0 && range[0] <= range[1] && std::isfinite(range[1]),
              random_resized_crop_name, ": expected ", name,
              " with 0 < least <= greatest, both finite, got {", range[0], ", ", range[1], "}");
}

/// Rounds to the nearest, halves to even: Python's round().
inline int64_t round_half_even(double value) {
  return static_cast<int64_t>(std::nearbyint(value));
}

}  // namespace detail

inline RandomResizedCrop::RandomResizedCrop(RandomResizedCropOptions options,
                                            std::optional<at::Generator> generator)
    : CropTransform(std::make_shared<detail::Cropper>(detail::random_resized_crop_name, options)),
      options_(std::move(options)),
      generator_(generator.value_or(at::Generator())) {
  detail::expect_range("scale", options_.scale());
  detail::expect_range("ratio", options_.ratio());
}

template <typename Bits>
CropWindow RandomResizedCrop::draw(int64_t height, int64_t width, Bits bits) const {
  detail::expect_photo_size(detail::random_resized_crop_name, height, width);
  const auto [least_ratio, greatest_ratio] = options_.ratio();
  const auto rows = static_cast<double>(height);
  const auto columns = static_cast<double>(width);

  const auto draw_box = [&] {
    constexpr int tries = 10;
    for (int i = 0; i < tries; ++i) {
      const double area =
          rows * columns * detail::uniform(bits, options_.scale()[0], options_.scale()[1]);
      const double ratio =
          std::exp(detail::uniform(bits, std::log(least_ratio), std::log(greatest_ratio)));
      // Compared before they become integers, which not every double fits.
      const double box_width = std::nearbyint(std::sqrt(area * ratio));
      const double box_height = std::nearbyint(std::sqrt(area / ratio));
      if (box_width > 0 && box_width <= columns && box_height > 0 && box_height <= rows) {
        CropWindow box;
        box.width = static_cast<int64_t>(box_width);
        box.height = static_cast<int64_t>(box_height);
        box.top = detail::uniform_integer(bits, height - box.height + 1);
        box.left = detail::uniform_integer(bits, width - box.width + 1);
        return box;
      }
    }
    CropWindow box;
    box.height = height;
    box.width = width;
    if (columns / rows < least_ratio) {
      box.height = std::max<int64_t>(detail::round_half_even(columns / least_ratio), 1);
    } else if (columns / rows > greatest_ratio) {
      box.width = std::max<int64_t>(detail::round_half_even(rows * greatest_ratio), 1);
    }
    box.top = (height - box.height) / 2;
    box.left = (width - box.width) / 2;
    return box;
  };

  CropWindow window = draw_box();
  window.flip = detail::uniform(bits, 0, 1) < options_.flip();
  return window;
}

inline CropWindow RandomResizedCrop::sample(int64_t height, int64_t width,
                                            std::optional<at::Generator> generator) const {
  return draw(height, width,
              detail::GeneratorBits(detail::random_resized_crop_name,
                                    generator.has_value() ? generator : generator_));
}

inline CropWindow RandomResizedCrop::sample(int64_t height, int64_t width, uint64_t seed,
                                            uint64_t index, uint64_t epoch) const {
  return draw(height, width, detail::KeyedBits(seed, index, epoch, detail::KeyedPurpose::Window));
}

inline detail::CropGeometry RandomResizedCrop::geometry(int64_t height, int64_t width,
                                                        const CropWindow& window) const {
  TORCH_CHECK(window.top >= 0 && window.left >= 0 && window.height > 0 && window.width > 0 &&
                  window.height <= height - window.top && window.width <= width - window.left,
              detail::random_resized_crop_name, ": expected a window inside the image of ", height,
              "x", width, ", got top ", window.top, ", left ", window.left, ", height ",
              window.height, ", width ", window.width);
  const int64_t size = options_.size();
  return {{window.top, window.height, size, /*first=*/0, size, /*mirrored=*/false},
          {window.left, window.width, size, /*first=*/0, size, window.flip},
          options_.interpolation(),
          options_.pass_order()};
}

}  // namespace v0
}  // namespace pixmim
