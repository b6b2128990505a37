// SPDX-License-Identifier: Apache-2.0
// The example's data path, from JPEG files to normalised batches, timed an epoch at a time: the C++
// side of compare_crop.py.
//
//     data_path_bench FOLDER WORKERS exact|fast
//
// Each line of stdin is an order:
//
//     epoch    one epoch in whole batches; answers the images and the seconds
//     stages   reads, decodes and crops photographs in one thread; answers the mean seconds of each
//     memory   one epoch; answers the images so far, VmRSS and VmHWM in KiB now and then, each on a
//              line, and an empty line at its end

#include <torch/torch.h>
#include <pixmim/simple_resized_crop.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iomanip>
#include <iostream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include "data/decode.hpp"
#include "data/image_folder.hpp"
#include "data/photo_stream.hpp"

namespace {

namespace fs = std::filesystem;

constexpr std::size_t batch_size = 64;
constexpr int64_t image_size = 224;
constexpr std::size_t staged_images = 400;
constexpr std::size_t memory_samples = 20;

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// A field of /proc/self/status in KiB.
int64_t status(const std::string& field) {
  std::ifstream file("/proc/self/status");
  std::string line;
  while (std::getline(file, line)) {
    if (line.rfind(field + ":", 0) == 0) return std::stoll(line.substr(field.size() + 1));
  }
  throw std::runtime_error("the system does not tell " + field);
}

class DataPath {
 public:
  DataPath(const fs::path& folder, std::size_t workers, bool fast)
      : files_(data::list_images(folder)), workers_(workers), crop_(image_size) {
    if (fast) throw std::runtime_error("there is no fast decoding yet");
    if (files_.size() < batch_size) throw std::runtime_error("there are fewer files than a batch");
  }

  /// Calls `seen` with the number of images after each batch; returns that number.
  std::size_t run_epoch(const std::function<void(std::size_t images)>& seen) {
    const auto transform = [this](const torch::Tensor& image, data::SampleId id) {
      return crop_.apply(
          image, crop_.sample(image.size(0), image.size(1), /*seed=*/0, id.index, id.epoch));
    };
    const std::size_t images = files_.size() / batch_size * batch_size;
    auto loader = torch::data::make_data_loader(
        data::Photos(files_, transform, /*strict=*/true, /*in_worker=*/true, /*cache_bytes=*/0),
        data::EpochSampler(files_.size(), /*seed=*/0, epoch_++ * files_.size()),
        torch::data::DataLoaderOptions(batch_size).workers(workers_));
    std::size_t count = 0;
    for (auto& batch : *loader) {
      count += static_cast<std::size_t>(batch.images.size(0));
      seen(count);
      if (count == images) break;
    }
    return count;
  }

  void answer_stages() const {
    torch::set_num_threads(1);
    double read = 0;
    double decode = 0;
    double crop = 0;
    const std::size_t count = std::min(files_.size(), staged_images);
    for (std::size_t i = 0; i < count; ++i) {
      std::vector<uint8_t> bytes;
      torch::Tensor image;
      read += seconds_of([&] {
        std::ifstream file(files_[i], std::ios::binary);
        bytes.assign(std::istreambuf_iterator<char>(file), {});
      });
      decode += seconds_of([&] { image = data::decode_image(bytes); });
      crop += seconds_of(
          [&] { crop_.apply(image, crop_.sample(image.size(0), image.size(1), /*seed=*/0, i)); });
    }
    const auto images = static_cast<double>(count);
    std::cout << read / images << ' ' << decode / images << ' ' << crop / images << std::endl;
  }

  void answer_epoch() {
    std::size_t images = 0;
    const double seconds = seconds_of([&] { images = run_epoch([](std::size_t) {}); });
    std::cout << images << ' ' << seconds << std::endl;
  }

  void answer_memory() {
    const std::size_t interval = std::max(files_.size() / memory_samples, batch_size);
    std::size_t next = 0;
    run_epoch([&](std::size_t images) {
      if (images < next) return;
      next += interval;
      std::cout << images << ' ' << status("VmRSS") << ' ' << status("VmHWM") << std::endl;
    });
    std::cout << std::endl;
  }

 private:
  std::vector<fs::path> files_;
  std::size_t workers_;
  pixmim::SimpleResizedCrop crop_;
  uint64_t epoch_ = 0;
};

void run(const std::vector<std::string>& arguments) {
  if (arguments.size() != 3 || (arguments[2] != "exact" && arguments[2] != "fast")) {
    throw std::runtime_error("three arguments: FOLDER WORKERS exact|fast");
  }
  DataPath path(arguments[0], std::stoull(arguments[1]), arguments[2] == "fast");
  std::cout << std::setprecision(9);
  std::string order;
  while (std::getline(std::cin, order)) {
    if (order == "epoch") {
      path.answer_epoch();
    } else if (order == "stages") {
      path.answer_stages();
    } else if (order == "memory") {
      path.answer_memory();
    } else {
      throw std::runtime_error("no order " + order);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    run({argv + 1, argv + argc});
  } catch (const c10::Error& error) {
    std::cerr << "data_path_bench: " << error.what_without_backtrace() << '\n';
    return 1;
  } catch (const std::exception& error) {
    std::cerr << "data_path_bench: " << error.what() << '\n';
    return 1;
  }
  return 0;
}
