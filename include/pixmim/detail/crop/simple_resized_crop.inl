// SPDX-License-Identifier: Apache-2.0
// The bodies of SimpleResizedCrop.

#include <memory>

#include "pixmim/detail/crop/crop.hpp"
#include "pixmim/detail/crop/geometry.hpp"
#include "pixmim/detail/random.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {

constexpr auto simple_resized_crop_name = "SimpleResizedCrop";

}  // namespace detail

inline SimpleResizedCrop::SimpleResizedCrop(SimpleResizedCropOptions options,
                                            std::optional<at::Generator> generator)
    : CropTransform(std::make_shared<detail::Cropper>(detail::simple_resized_crop_name, options)),
      options_(std::move(options)),
      generator_(generator.value_or(at::Generator())) {
  constexpr int64_t largest = int64_t{1} << 24;
  TORCH_CHECK(options_.padding() >= 0 && options_.padding() <= largest,
              detail::simple_resized_crop_name, ": expected padding in [0, ", largest, "], got ",
              options_.padding());
}

inline std::array<int64_t, 2> SimpleResizedCrop::resized(int64_t height, int64_t width) const {
  detail::expect_photo_size(detail::simple_resized_crop_name, height, width);
  const int64_t size = options_.size();
  // torchvision divides in double and truncates.
  const auto longer = [size](int64_t long_side, int64_t short_side) {
    return static_cast<int64_t>(static_cast<double>(size * long_side) /
                                static_cast<double>(short_side));
  };
  if (height <= width) return {size, longer(width, height)};
  return {longer(height, width), size};
}

template <typename Bits>
CropWindow SimpleResizedCrop::draw(int64_t height, int64_t width, Bits bits) const {
  const auto [resized_height, resized_width] = resized(height, width);
  const int64_t room = 2 * options_.padding() - options_.size() + 1;
  CropWindow window;
  window.top = detail::uniform_integer(bits, resized_height + room);
  window.left = detail::uniform_integer(bits, resized_width + room);
  window.flip = detail::uniform(bits, 0, 1) < options_.flip();
  return window;
}

inline CropWindow SimpleResizedCrop::sample(int64_t height, int64_t width,
                                            std::optional<at::Generator> generator) const {
  return draw(height, width,
              detail::GeneratorBits(detail::simple_resized_crop_name,
                                    generator.has_value() ? generator : generator_));
}

inline CropWindow SimpleResizedCrop::sample(int64_t height, int64_t width, uint64_t seed,
                                            uint64_t index, uint64_t epoch) const {
  return draw(height, width, detail::KeyedBits(seed, index, epoch, detail::KeyedPurpose::Window));
}

inline detail::CropGeometry SimpleResizedCrop::geometry(int64_t height, int64_t width,
                                                        const CropWindow& window) const {
  const auto [resized_height, resized_width] = resized(height, width);
  const int64_t size = options_.size();
  const int64_t padding = options_.padding();
  const int64_t last_top = resized_height + 2 * padding - size;
  const int64_t last_left = resized_width + 2 * padding - size;
  TORCH_CHECK(
      window.top >= 0 && window.top <= last_top && window.left >= 0 && window.left <= last_left,
      detail::simple_resized_crop_name, ": expected a window with top in [0, ", last_top,
      "] and left in [0, ", last_left, "], got top ", window.top, " and left ", window.left);
  return {{/*origin=*/0, height, resized_height, window.top - padding, size, /*mirrored=*/false},
          {/*origin=*/0, width, resized_width, window.left - padding, size, window.flip},
          options_.interpolation(),
          options_.pass_order()};
}

}  // namespace v0
}  // namespace pixmim
