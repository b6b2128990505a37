// SPDX-License-Identifier: Apache-2.0
// From photographs on disk to batches, by threads that share each batch.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/arg.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "data/bad_images.hpp"
#include "data/batch_buffers.hpp"
#include "data/decode.hpp"
#include "data/image_cache.hpp"
#include "data/sample_stream.hpp"
#include "data/source.hpp"

namespace data {

/// Options of Loader. `LoaderOptions(/*batch=*/64, /*image_size=*/224).workers(4)`
struct LoaderOptions {
  LoaderOptions(int64_t batch, int64_t image_size) : batch_(batch), image_size_(image_size) {}

  /// Samples in a batch.
  TORCH_ARG(int64_t, batch);
  /// Side of the square that the crop makes.
  TORCH_ARG(int64_t, image_size);
  /// Threads that read, decode and crop; 0: the one that calls `next`.
  TORCH_ARG(int64_t, workers) = 2;
  /// Batches that are made ahead of `next`, whatever the number of workers.
  TORCH_ARG(int64_t, prefetch) = 2;
  /// Of the order of the epochs.
  TORCH_ARG(uint64_t, seed) = 0;
  /// Sample of the stream, all ranks together, to start from.
  TORCH_ARG(uint64_t, first) = 0;
  /// Which part of each `world` batches is made here.
  TORCH_ARG(int64_t, rank) = 0;
  TORCH_ARG(int64_t, world) = 1;
  /// true: a photograph that cannot be read is an error. false: its batch is smaller.
  TORCH_ARG(bool, strict) = false;
  /// Bytes of decoded photographs to keep.
  TORCH_ARG(int64_t, cache_bytes) = 0;
  /// true: images are in page-locked memory, for copies to a GPU that do not block.
  TORCH_ARG(bool, pinned) = false;
  TORCH_ARG(DecodeOptions, decode) = DecodeOptions();
};

/// The samples of a batch that could be read, in the order of the stream.
struct Batch {
  /// float32 [n,3,S,S]; undefined if n is 0.
  at::Tensor images;
  /// int64 [n]: the photographs' numbers, and the epochs they are drawn for.
  at::Tensor index;
  at::Tensor epoch;
};

/// Who waited for whom, since the start.
struct LoaderStatistics {
  /// Seconds that `next` took.
  double waited_for_data = 0;
  /// Seconds that workers had nothing to do, for `prefetch` batches were ready; of all together.
  double waited_for_room = 0;
};

/// uint8 [H,W,3] and its draw -> float32 [3,S,S], written into `slot`. Called by several threads;
/// may keep neither tensor.
using Crop = std::function<void(const at::Tensor& image, SampleId id, const at::Tensor& slot)>;

/// An endless sequence of batches, the same whatever the number of workers.
///
/// Workers take a batch's samples one by one, so that the first batch comes as soon as all of them
/// can make it, and memory does not grow with their number. A batch's memory is used for another
/// one when its last tensor is gone.
class Loader {
 public:
  /// Throws c10::Error if an option is out of its range.
  Loader(std::shared_ptr<const Source> source, Crop crop, LoaderOptions options);
  /// Ends the workers when each is done with its sample.
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  /// The next batch. For one thread. Throws what went wrong in a worker, as BadImage if it is a
  /// photograph and `strict`: then the loader is at its end, and std::logic_error from then on.
  Batch next();

  const BadImages& bad_images() const { return bad_images_; }
  LoaderStatistics statistics() const;

 private:
  using Clock = std::chrono::steady_clock;

  /// A batch in the making.
  struct Pending {
    at::Tensor buffer;
    std::vector<SampleId> ids;
    std::vector<char> sound;  // of each slot
    int64_t taken = 0;
    int64_t done = 0;
  };
  /// A slot that a worker has to fill.
  struct Ticket {
    Pending* batch;
    int64_t slot;
    SampleId id;
  };
  /// What a worker keeps from sample to sample.
  struct Tools {
    Decoder decoder;
    std::vector<uint8_t> bytes;
  };

  void work();
  std::optional<Ticket> take_ticket();
  bool has_room() const;
  Ticket next_ticket();
  void fill(const Ticket& ticket, Tools& tools);
  bool read_and_crop(const Ticket& ticket, Tools& tools);
  bool front_is_done() const;
  Batch without_gaps(Pending batch);
  void make_front();
  void join();
  /// Ends workers and `next`; the first error is the one that `next` throws.
  void stop(std::exception_ptr error);
  void count_waiting(int change);

  LoaderOptions options_;
  std::shared_ptr<const Source> source_;
  Crop crop_;
  BadImages bad_images_;
  ImageCache cache_;

  mutable std::mutex mutex_;  // of all that follows
  std::condition_variable room_;
  std::condition_variable ready_;
  SampleStream stream_;
  BatchBuffers buffers_;
  std::deque<Pending> pending_;  // in order; the last one may have slots that nobody has taken
  uint64_t batches_begun_ = 0;
  bool stopped_ = false;
  std::exception_ptr error_;

  int waiting_ = 0;  // workers, for room
  Clock::time_point waiting_since_ = Clock::now();
  LoaderStatistics statistics_;

  Tools own_tools_;  // without workers
  std::vector<std::thread> workers_;
};

}  // namespace data
