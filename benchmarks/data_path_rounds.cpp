// SPDX-License-Identifier: Apache-2.0
// The example's data path, from JPEG files to normalised batches, timed an epoch at a time: the C++
// side of compare_crop.py.
//
//     data_path_rounds FOLDER WORKERS exact|fast
//
// Each line of stdin is an order:
//
//     epoch    one epoch in whole batches; answers the images and the seconds
//     stages   reads, decodes and crops photographs in one thread; answers the mean seconds of each
//     memory   one epoch; answers the images so far, VmRSS and VmHWM in KiB now and then, each on a
//              line, and an empty line at its end

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/torch.h>
#include <pixmim/simple_resized_crop.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "data/decode.hpp"
#include "data/loader.hpp"
#include "data/source.hpp"

namespace {

namespace fs = std::filesystem;

constexpr uint64_t batch_size = 64;
constexpr int64_t image_size = 224;
constexpr uint64_t seed = 0;
constexpr uint64_t staged_images = 400;
constexpr uint64_t memory_samples = 20;

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
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
  DataPath(const fs::path& folder, int64_t workers, bool fast)
      : photographs_(data::open_source(folder, data::SourceOptions().cache_folder({}))),
        workers_(workers),
        crop_(image_size) {
    if (fast) decode_.fast_short_side(image_size);
    if (photographs_->size() < batch_size) {
      throw std::runtime_error("there are fewer files than a batch");
    }
  }

  void answer_epoch() {
    uint64_t images = 0;
    // The loader that is made here has nothing ready: a running one would work ahead while a peer
    // is timed.
    const auto start = Clock::now();
    const auto loader = next_epoch();
    while (images < epoch_images()) images += next_batch(*loader);
    std::cout << images << ' ' << seconds_since(start) << std::endl;
  }

  void answer_stages() const {
    at::set_num_threads(1);
    data::Decoder decoder(decode_);
    std::vector<uint8_t> bytes;
    const at::Tensor slot = at::empty({3, image_size, image_size});
    double read = 0;
    double decode = 0;
    double crop = 0;
    const uint64_t count = std::min(photographs_->size(), staged_images);
    for (uint64_t i = 0; i < count; ++i) {
      auto start = Clock::now();
      photographs_->read(i, bytes);
      read += seconds_since(start);
      start = Clock::now();
      const at::Tensor image = decoder.decode(bytes);
      decode += seconds_since(start);
      start = Clock::now();
      crop_into(slot, image, {i, 0});
      crop += seconds_since(start);
    }
    const auto images = static_cast<double>(count);
    std::cout << read / images << ' ' << decode / images << ' ' << crop / images << std::endl;
  }

  void answer_memory() {
    const uint64_t interval = std::max(epoch_images() / memory_samples, batch_size);
    const auto loader = next_epoch();
    uint64_t next = 0;
    for (uint64_t images = 0; images < epoch_images();) {
      images += next_batch(*loader);
      if (images < next) continue;
      next += interval;
      std::cout << images << ' ' << status("VmRSS") << ' ' << status("VmHWM") << std::endl;
    }
    std::cout << std::endl;
  }

 private:
  uint64_t epoch_images() const { return photographs_->size() / batch_size * batch_size; }

  std::unique_ptr<data::Loader> next_epoch() {
    return std::make_unique<data::Loader>(
        photographs_,
        [this](const at::Tensor& image, data::SampleId id, const at::Tensor& slot) {
          crop_into(slot, image, id);
        },
        data::LoaderOptions(batch_size, image_size)
            .workers(workers_)
            .first(epoch_++ * photographs_->size())
            .strict(true)
            .decode(decode_));
  }

  static uint64_t next_batch(data::Loader& loader) {
    return static_cast<uint64_t>(loader.next().images.size(0));
  }

  void crop_into(const at::Tensor& slot, const at::Tensor& image, data::SampleId id) const {
    crop_.apply_out(slot, image,
                    crop_.sample(image.size(0), image.size(1), seed, id.index, id.epoch));
  }

  std::shared_ptr<const data::Source> photographs_;
  int64_t workers_;
  pixmim::SimpleResizedCrop crop_;
  data::DecodeOptions decode_;
  uint64_t epoch_ = 0;
};

void run(const std::vector<std::string>& arguments) {
  if (arguments.size() != 3 || (arguments[2] != "exact" && arguments[2] != "fast")) {
    throw std::runtime_error("three arguments: FOLDER WORKERS exact|fast");
  }
  DataPath path(arguments[0], std::stoll(arguments[1]), arguments[2] == "fast");
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
    std::cerr << "data_path_rounds: " << error.what_without_backtrace() << '\n';
    return 1;
  } catch (const std::exception& error) {
    std::cerr << "data_path_rounds: " << error.what() << '\n';
    return 1;
  }
  return 0;
}
