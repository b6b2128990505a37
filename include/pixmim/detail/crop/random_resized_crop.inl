// SPDX-License-Identifier: Apache-2.0
// The bodies of RandomResizedCrop.

#include <c10/core/DeviceGuard.h>

#include <cmath>

#include "pixmim/detail/crop/crop.hpp"
#include "pixmim/detail/crop/resample.hpp"
#include "pixmim/detail/random.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {

constexpr auto random_resized_crop_name = "RandomResizedCrop";

inline void expect_range(const char* name, const std::array<double, 2>& range) {
  TORCH_CHECK(range[0] > 0 && range[0] <= range[1], random_resized_crop_name, ": expected ", name,
              " with 0 < least <= greatest, got {", range[0], ", ", range[1], "}");
}

/// Rounds to the nearest, halves to even: Python's round().
inline int64_t round_half_even(double value) {
  return static_cast<int64_t>(std::nearbyint(value));
}

}  // namespace detail

inline RandomResizedCrop::RandomResizedCrop(RandomResizedCropOptions options,
                                            std::optional<at::Generator> generator)
    : options_(std::move(options)), generator_(std::move(generator)) {
  constexpr auto caller = detail::random_resized_crop_name;
  detail::expect_positive(caller, "size", options_.size());
  detail::expect_range("scale", options_.scale());
  detail::expect_range("ratio", options_.ratio());
  detail::expect_probability(caller, "flip", options_.flip());
  detail::expect_statistics(caller, options_.mean(), options_.std());
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
      CropWindow box;
      box.width = detail::round_half_even(std::sqrt(area * ratio));
      box.height = detail::round_half_even(std::sqrt(area / ratio));
      if (box.width > 0 && box.width <= width && box.height > 0 && box.height <= height) {
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

inline at::Tensor RandomResizedCrop::apply(const at::Tensor& image,
                                           const CropWindow& window) const {
  constexpr auto caller = detail::random_resized_crop_name;
  detail::expect_photo(caller, image);
  if (options_.normalize()) {
    detail::expect_statistics_fit(caller, options_.mean(), image.size(2));
  }
  TORCH_CHECK(window.top >= 0 && window.left >= 0 && window.height > 0 && window.width > 0 &&
                  window.height <= image.size(0) - window.top &&
                  window.width <= image.size(1) - window.left,
              caller, ": expected a window inside the image of ", image.size(0), "x", image.size(1),
              ", got top ", window.top, ", left ", window.left, ", height ", window.height,
              ", width ", window.width);

  const c10::DeviceGuard device_guard(image.device());
  const int64_t size = options_.size();
  const at::Tensor box =
      image.narrow(0, window.top, window.height).narrow(1, window.left, window.width);
  return detail::to_model_input(
      detail::resize_and_pick(box, {size, size}, detail::index_range(0, size),
                              detail::index_range(0, size, window.flip), options_.interpolation(),
                              options_.pass_order()),
      options_);
}

inline void RandomResizedCrop::apply_out(const at::Tensor& out, const at::Tensor& image,
                                         const CropWindow& window) const {
  out.copy_(apply(image, window));
}

inline at::Tensor RandomResizedCrop::operator()(const at::Tensor& image) const {
  detail::expect_photo(detail::random_resized_crop_name, image);
  return apply(image, sample(image.size(0), image.size(1)));
}

inline at::Tensor RandomResizedCrop::operator()(const std::vector<at::Tensor>& images) const {
  return detail::transform_batch(detail::random_resized_crop_name, images, *this);
}

}  // namespace v0
}  // namespace pixmim
