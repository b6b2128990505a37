// SPDX-License-Identifier: Apache-2.0
// A crop that is timed a round at a time, in turn with its peers in Python: the C++ side of
// compare_crop.py. One thread.
//
//     crop_rounds simple|random SIZE bilinear|bicubic uint8|float32|float16|bfloat16 IMAGES
//
// IMAGES is a file: of each image three 64-bit integers, height, width and channels, then the bytes
// [H,W,C]. Each line of stdin is an order:
//
//     time N   crops the images in turn, N times, each at a random place; answers the seconds
//     show I   crops image I at a random place; answers "top left height width flip" and a count on a
//              line, then that many bytes, the values [C,size,size]

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <c10/core/GradMode.h>
#include <torch/version.h>
#include <pixmim/random_resized_crop.hpp>
#include <pixmim/simple_resized_crop.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

std::vector<at::Tensor> read_images(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::vector<at::Tensor> images;
  std::array<int64_t, 3> shape{};
  while (file.read(reinterpret_cast<char*>(shape.data()), sizeof(shape))) {
    images.push_back(at::empty(shape, at::kByte));
    file.read(static_cast<char*>(images.back().mutable_data_ptr()),
              static_cast<std::streamsize>(images.back().nbytes()));
    if (!file) throw std::runtime_error(path + " ends within an image");
  }
  if (images.empty()) throw std::runtime_error("there is no image in " + path);
  return images;
}

template <typename Options>
Options with_output(Options options, const std::string& output) {
  if (output == "uint8") return options.normalize(false);
  if (output == "float32") return options;
  if (output == "float16") return options.dtype(at::kHalf);
  if (output == "bfloat16") return options.dtype(at::kBFloat16);
  throw std::runtime_error("no output in " + output);
}

pixmim::Interpolation interpolation(const std::string& name) {
  if (name == "bilinear") return pixmim::Interpolation::Bilinear;
  if (name == "bicubic") return pixmim::Interpolation::Bicubic;
  throw std::runtime_error("no interpolation " + name);
}

template <typename Crop>
double seconds(const Crop& crop, const std::vector<at::Tensor>& images, std::size_t calls) {
  const auto start = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < calls; ++i) crop(images[i % images.size()]);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

template <typename Crop>
void show(const Crop& crop, const at::Tensor& image) {
  const pixmim::CropWindow window = crop.sample(image.size(0), image.size(1));
  const at::Tensor result = crop.apply(image, window).contiguous();
  std::cout << window.top << ' ' << window.left << ' ' << window.height << ' ' << window.width
            << ' ' << window.flip << ' ' << result.nbytes() << '\n';
  std::cout.write(static_cast<const char*>(result.const_data_ptr()),
                  static_cast<std::streamsize>(result.nbytes()));
}

template <typename Crop>
void take_orders(const Crop& crop, const std::vector<at::Tensor>& images) {
  std::string order;
  std::size_t number = 0;
  while (std::cin >> order >> number) {
    if (order == "time") {
      std::cout << std::setprecision(9) << seconds(crop, images, number) << std::endl;
    } else if (order == "show") {
      show(crop, images.at(number));
      std::cout.flush();
    } else {
      throw std::runtime_error("no order " + order);
    }
  }
}

void run(const std::vector<std::string>& arguments) {
  if (arguments.size() != 5) {
    throw std::runtime_error("five arguments: simple|random SIZE INTERPOLATION OUTPUT IMAGES");
  }
  const c10::NoGradGuard no_grad;
  at::set_num_threads(1);
  const int64_t size = std::stoll(arguments[1]);
  const auto kernel = interpolation(arguments[2]);
  const auto images = read_images(arguments[4]);
  std::cout << "LibTorch " << TORCH_VERSION << ' ' << at::get_cpu_capability() << std::endl;
  if (arguments[0] == "simple") {
    const auto options = pixmim::SimpleResizedCropOptions(size).interpolation(kernel);
    take_orders(pixmim::SimpleResizedCrop(with_output(options, arguments[3])), images);
  } else if (arguments[0] == "random") {
    const auto options =
        pixmim::RandomResizedCropOptions(size).scale({0.2, 1.0}).interpolation(kernel);
    take_orders(pixmim::RandomResizedCrop(with_output(options, arguments[3])), images);
  } else {
    throw std::runtime_error("no crop " + arguments[0]);
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    run({argv + 1, argv + argc});
  } catch (const c10::Error& error) {
    std::cerr << "crop_rounds: " << error.what_without_backtrace() << '\n';
    return 1;
  } catch (const std::exception& error) {
    std::cerr << "crop_rounds: " << error.what() << '\n';
    return 1;
  }
  return 0;
}
