// SPDX-License-Identifier: Apache-2.0
// The bodies of SimpleResizedCrop.

#include <c10/core/DeviceGuard.h>

#include <algorithm>

#include "pixmim/detail/crop/crop.hpp"
#include "pixmim/detail/crop/resample.hpp"
#include "pixmim/detail/random.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {

constexpr auto simple_resized_crop_name = "SimpleResizedCrop";

/// The pixel that position `index` of a reflected axis shows; the edge itself is not repeated.
inline int64_t reflect(int64_t index, int64_t size) {
  if (size == 1) return 0;
  const int64_t period = 2 * (size - 1);
  const int64_t phase = ((index % period) + period) % period;
  return std::min(phase, period - phase);
}

}  // namespace detail

inline SimpleResizedCrop::SimpleResizedCrop(SimpleResizedCropOptions options,
                                            std::optional<at::Generator> generator)
    : options_(std::move(options)), generator_(std::move(generator)) {
  constexpr auto caller = detail::simple_resized_crop_name;
  detail::expect_positive(caller, "size", options_.size());
  TORCH_CHECK(options_.padding() >= 0, caller, ": expected padding >= 0, got ", options_.padding());
  detail::expect_probability(caller, "flip", options_.flip());
  detail::expect_statistics(caller, options_.mean(), options_.std());
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

inline at::Tensor SimpleResizedCrop::apply(const at::Tensor& image,
                                           const CropWindow& window) const {
  constexpr auto caller = detail::simple_resized_crop_name;
  detail::expect_photo(caller, image);
  if (options_.normalize()) {
    detail::expect_statistics_fit(caller, options_.mean(), image.size(2));
  }
  const auto resized_size = resized(image.size(0), image.size(1));
  const int64_t size = options_.size();
  const int64_t padding = options_.padding();
  const int64_t last_top = resized_size[0] + 2 * padding - size;
  const int64_t last_left = resized_size[1] + 2 * padding - size;
  TORCH_CHECK(
      window.top >= 0 && window.top <= last_top && window.left >= 0 && window.left <= last_left,
      caller, ": expected a window with top in [0, ", last_top, "] and left in [0, ", last_left,
      "], got top ", window.top, " and left ", window.left);

  const c10::DeviceGuard device_guard(image.device());
  auto rows = detail::index_range(window.top - padding, size);
  auto columns = detail::index_range(window.left - padding, size, window.flip);
  for (int64_t& row : rows) row = detail::reflect(row, resized_size[0]);
  for (int64_t& column : columns) column = detail::reflect(column, resized_size[1]);
  return detail::to_model_input(
      detail::resize_and_pick(image, resized_size, rows, columns, options_.interpolation(),
                              options_.pass_order()),
      options_);
}

inline void SimpleResizedCrop::apply_out(const at::Tensor& out, const at::Tensor& image,
                                         const CropWindow& window) const {
  out.copy_(apply(image, window));
}

inline at::Tensor SimpleResizedCrop::operator()(const at::Tensor& image) const {
  detail::expect_photo(detail::simple_resized_crop_name, image);
  return apply(image, sample(image.size(0), image.size(1)));
}

inline at::Tensor SimpleResizedCrop::operator()(const std::vector<at::Tensor>& images) const {
  return detail::transform_batch(detail::simple_resized_crop_name, images, *this);
}

}  // namespace v0
}  // namespace pixmim
