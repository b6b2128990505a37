// SPDX-License-Identifier: Apache-2.0
// An endless, reproducible stream of photographs for LibTorch's DataLoader.
#pragma once

#include <ATen/core/PhiloxRNGEngine.h>
#include <torch/data/datasets/base.h>
#include <torch/data/samplers/base.h>
#include <torch/types.h>

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "data/decode.hpp"

namespace data {

/// One draw of the stream: what is random about it depends on this alone, not on who draws it.
struct SampleId {
  uint64_t index;
  uint64_t epoch;
};
using SampleIds = std::vector<SampleId>;

/// Each epoch a permutation of its own, epoch after epoch, from sample number `first` of the stream
/// on.
class EpochSampler : public torch::data::samplers::Sampler<SampleIds> {
 public:
  EpochSampler(std::size_t size, uint64_t seed, uint64_t first)
      : size_(size), seed_(seed), next_(first) {}

  void reset(std::optional<std::size_t> /*size*/ = std::nullopt) override {}
  void save(torch::serialize::OutputArchive& /*archive*/) const override {}
  void load(torch::serialize::InputArchive& /*archive*/) override {}

  std::optional<SampleIds> next(std::size_t batch_size) override {
    SampleIds ids;
    for (std::size_t i = 0; i < batch_size; ++i, ++next_) {
      const uint64_t epoch = next_ / size_;
      if (order_.empty() || epoch != epoch_) shuffle(epoch);
      ids.push_back({order_[next_ % size_], epoch});
    }
    return ids;
  }

 private:
  void shuffle(uint64_t epoch) {
    epoch_ = epoch;
    order_.resize(size_);
    std::iota(order_.begin(), order_.end(), 0);
    at::philox_engine random(seed_, epoch);
    for (std::size_t i = size_; i > 1; --i) {
      const uint64_t bits = uint64_t{random()} << 32 | random();
      std::swap(order_[i - 1], order_[bits % i]);
    }
  }

  std::size_t size_;
  uint64_t seed_;
  uint64_t next_;
  uint64_t epoch_ = 0;
  std::vector<uint64_t> order_;
};

/// The files that could not be read, each told once. Shared by the workers.
class BadImages {
 public:
  void add(const std::filesystem::path& path, const std::string& why) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (files_.emplace(path, why).second) {
      std::fprintf(stderr, "\nskipped %s: %s\n", path.c_str(), why.c_str());
    }
  }
  std::size_t count() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return files_.size();
  }
  std::map<std::filesystem::path, std::string> files() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return files_;
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::filesystem::path, std::string> files_;
};

/// Decoded images kept in memory, up to a number of bytes: what does not fit is decoded each time.
/// Shared by the workers.
class ImageCache {
 public:
  explicit ImageCache(int64_t capacity) : room_(capacity) {}

  torch::Tensor get(uint64_t index, const std::filesystem::path& path) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      const auto found = images_.find(index);
      if (found != images_.end()) return found->second;
    }
    const auto image = read_image(path);
    const std::lock_guard<std::mutex> lock(mutex_);
    if (image.numel() <= room_ && images_.emplace(index, image).second) room_ -= image.numel();
    return image;
  }

 private:
  std::mutex mutex_;
  std::map<uint64_t, torch::Tensor> images_;
  int64_t room_;
};

/// The images of a batch, [N,C,S,S]; undefined if none could be read.
struct PhotoBatch {
  torch::Tensor images;
};

/// uint8 [H,W,3] and its draw -> what the model reads.
using Transform = std::function<torch::Tensor(const torch::Tensor& image, SampleId id)>;

/// Reads, decodes and transforms the photographs of a batch.
class Photos : public torch::data::datasets::BatchDataset<Photos, PhotoBatch, SampleIds> {
 public:
  /// Throws BadImage on a file that cannot be read if `strict`; else it is left out of its batch.
  /// `in_worker`: the caller is one of several threads, and must not start more for each operator.
  /// `cache_bytes` of decoded images are kept.
  Photos(std::vector<std::filesystem::path> files, Transform transform, bool strict, bool in_worker,
         int64_t cache_bytes)
      : files_(std::make_shared<const std::vector<std::filesystem::path>>(std::move(files))),
        transform_(std::move(transform)),
        strict_(strict),
        in_worker_(in_worker),
        cache_(std::make_shared<ImageCache>(cache_bytes)) {}

  PhotoBatch get_batch(SampleIds ids) override {
    if (in_worker_ && torch::get_num_threads() > 1) torch::set_num_threads(1);
    std::vector<torch::Tensor> images;
    for (const SampleId id : ids) {
      const auto& path = (*files_)[id.index];
      try {
        images.push_back(transform_(cache_->get(id.index, path), id));
      } catch (const BadImage& error) {
        if (strict_) throw BadImage(path.string() + ": " + error.what());
        bad_->add(path, error.what());
      }
    }
    if (images.empty()) return {};
    return {torch::stack(images)};
  }

  std::optional<std::size_t> size() const override { return files_->size(); }

  const std::shared_ptr<BadImages>& bad_images() const { return bad_; }

 private:
  std::shared_ptr<const std::vector<std::filesystem::path>> files_;
  Transform transform_;
  bool strict_;
  bool in_worker_;
  std::shared_ptr<ImageCache> cache_;
  std::shared_ptr<BadImages> bad_ = std::make_shared<BadImages>();
};

}  // namespace data
