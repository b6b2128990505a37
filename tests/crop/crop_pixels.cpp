// SPDX-License-Identifier: Apache-2.0
// Crops the images that come in on stdin, and answers the pixels on stdout: the C++ side of
// against_pillow.py. Numbers are 64-bit integers of this machine, pixels bytes:
//
//     request: height, width, channels, layout, count; the pixels [H,W,C];
//              count x (kind, size, padding, interpolation, pass order, top, left, height, width, flip)
//     answer:  count x the pixels [C,size,size]
//
// An error ends the program with a message and exit code 1; the end of the input, with 0.

#include <ATen/ATen.h>
#include <pixmim/random_resized_crop.hpp>
#include <pixmim/simple_resized_crop.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

/// How the pixels lie in memory; the values are the protocol's.
enum class Layout : int64_t { Rows, Planes, Columns, PartOfALargerImage, ChannelsFirst };

enum class Kind : int64_t { SimpleResizedCrop, RandomResizedCrop };

struct Request {
  int64_t kind;
  int64_t size;
  int64_t padding;
  int64_t interpolation;
  int64_t pass_order;
  int64_t top;
  int64_t left;
  int64_t height;
  int64_t width;
  int64_t flip;
};

void read(void* bytes, std::size_t count) {
  const auto wanted = static_cast<std::streamsize>(count);
  std::cin.read(static_cast<char*>(bytes), wanted);
  if (std::cin.gcount() != wanted) throw std::runtime_error("the input ends within a request");
}

at::Tensor read_image(int64_t height, int64_t width, int64_t channels) {
  const at::Tensor image = at::empty({height, width, channels}, at::kByte);
  read(image.mutable_data_ptr(), image.nbytes());
  return image;
}

/// The same image, with other strides; [C,H,W] if channels first.
at::Tensor lay_out(const at::Tensor& image, Layout layout) {
  switch (layout) {
    case Layout::Rows:
      return image;
    case Layout::Planes:
      return image.permute({2, 0, 1}).contiguous().permute({1, 2, 0});
    case Layout::ChannelsFirst:
      return image.permute({2, 0, 1}).contiguous();
    case Layout::Columns:
      return image.transpose(0, 1).contiguous().transpose(0, 1);
    case Layout::PartOfALargerImage: {
      const at::Tensor larger =
          at::full({image.size(0) + 3, image.size(1) + 5, image.size(2)}, 77, at::kByte);
      const at::Tensor part = larger.narrow(0, 1, image.size(0)).narrow(1, 2, image.size(1));
      part.copy_(image);
      return part;
    }
  }
  throw std::runtime_error("no such layout");
}

template <typename Options>
Options options(const Request& request, Layout layout) {
  return Options(request.size)
      .interpolation(static_cast<pixmim::Interpolation>(request.interpolation))
      .pass_order(static_cast<pixmim::PassOrder>(request.pass_order))
      .channels_first(layout == Layout::ChannelsFirst)
      .normalize(false);
}

at::Tensor crop(const at::Tensor& image, Layout layout, const Request& request) {
  const pixmim::CropWindow window{request.top, request.left, request.flip != 0, request.height,
                                  request.width};
  switch (static_cast<Kind>(request.kind)) {
    case Kind::SimpleResizedCrop:
      return pixmim::SimpleResizedCrop(options<pixmim::SimpleResizedCropOptions>(request, layout)
                                           .padding(request.padding))
          .apply(image, window);
    case Kind::RandomResizedCrop:
      return pixmim::RandomResizedCrop(options<pixmim::RandomResizedCropOptions>(request, layout))
          .apply(image, window);
  }
  throw std::runtime_error("no such crop");
}

void answer(const at::Tensor& image, Layout layout, const std::vector<Request>& requests) {
  for (const Request& request : requests) {
    const at::Tensor pixels = crop(image, layout, request).contiguous();
    std::cout.write(static_cast<const char*>(pixels.const_data_ptr()),
                    static_cast<std::streamsize>(pixels.nbytes()));
  }
  std::cout.flush();
}

void answer_all() {
  while (std::cin.peek() != std::char_traits<char>::eof()) {
    std::array<int64_t, 5> header{};
    read(header.data(), sizeof(header));
    const auto [height, width, channels, layout, count] = header;
    const at::Tensor image = read_image(height, width, channels);
    std::vector<Request> requests(static_cast<std::size_t>(count));
    read(requests.data(), requests.size() * sizeof(Request));
    const auto wanted = static_cast<Layout>(layout);
    answer(lay_out(image, wanted), wanted, requests);
  }
}

}  // namespace

int main() {
  std::ios::sync_with_stdio(false);
  try {
    answer_all();
  } catch (const c10::Error& error) {
    std::cerr << "crop_pixels: " << error.what_without_backtrace() << '\n';
    return 1;
  } catch (const std::exception& error) {
    std::cerr << "crop_pixels: " << error.what() << '\n';
    return 1;
  }
  return 0;
}
