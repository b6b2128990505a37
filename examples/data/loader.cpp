// SPDX-License-Identifier: Apache-2.0
#include "data/loader.hpp"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/tensor.h>
#include <c10/util/Exception.h>

#include <cstddef>
#include <stdexcept>
#include <string>
#include <utility>

namespace data {
namespace {

using Seconds = std::chrono::duration<double>;

const LoaderOptions& checked(const LoaderOptions& options) {
  const auto at_least = [](const char* name, int64_t value, int64_t least) {
    TORCH_CHECK(value >= least, "Loader: expected ", name, " >= ", least, ", got ", value);
  };
  at_least("batch", options.batch(), 1);
  at_least("image_size", options.image_size(), 1);
  at_least("workers", options.workers(), 0);
  at_least("prefetch", options.prefetch(), 1);
  at_least("cache_bytes", options.cache_bytes(), 0);
  at_least("max_pixels", options.decode().max_pixels(), 1);
  at_least("fast_short_side", options.decode().fast_short_side(), 0);
  at_least("world", options.world(), 1);
  at_least("rank", options.rank(), 0);
  TORCH_CHECK(options.rank() < options.world(), "Loader: expected rank < world, got ",
              options.rank(), " of ", options.world());
  return options;
}

/// The last user of a batch may drop it after `next` has returned the one after it.
std::size_t buffers_kept(const LoaderOptions& options) {
  return static_cast<std::size_t>(options.prefetch()) + 2;
}

}  // namespace

Loader::Loader(std::shared_ptr<const Source> source, Crop crop, LoaderOptions options)
    : options_(checked(options)),
      source_(std::move(source)),
      crop_(std::move(crop)),
      bad_images_(source_->size()),
      cache_(options.cache_bytes()),
      stream_(source_, options.seed(), options.first(), options.batch(), options.rank(),
              options.world()),
      buffers_({options.batch(), 3, options.image_size(), options.image_size()},
               buffers_kept(options), options.pinned()),
      own_tools_{Decoder(options.decode()), {}} {
  // A thread's first operator takes the number of threads that was set last, by whomever. The
  // caller's must not be that of a worker, so it is taken now.
  at::get_num_threads();
  try {
    for (int64_t i = 0; i < options_.workers(); ++i) workers_.emplace_back([this] { work(); });
  } catch (...) {
    join();
    throw;
  }
}

Loader::~Loader() {
  join();
}

void Loader::join() {
  stop(nullptr);
  for (std::thread& worker : workers_) worker.join();
}

void Loader::stop(std::exception_ptr error) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!stopped_) error_ = std::move(error);
  stopped_ = true;
  room_.notify_all();
  ready_.notify_all();
}

void Loader::work() {
  try {
    at::set_num_threads(1);  // the workers are the threads
    const at::NoGradGuard no_grad;
    Tools tools{Decoder(options_.decode()), {}};
    while (const auto ticket = take_ticket()) fill(*ticket, tools);
  } catch (...) {
    stop(std::current_exception());
  }
}

void Loader::make_front() {
  try {
    const at::NoGradGuard no_grad;
    while (!stopped_ && !front_is_done()) fill(next_ticket(), own_tools_);
  } catch (...) {
    stop(std::current_exception());
  }
}

bool Loader::has_room() const {
  const bool slot_left = !pending_.empty() && pending_.back().taken < options_.batch();
  return slot_left || static_cast<int64_t>(pending_.size()) < options_.prefetch();
}

std::optional<Loader::Ticket> Loader::take_ticket() {
  std::unique_lock<std::mutex> lock(mutex_);
  if (!stopped_ && !has_room()) {
    count_waiting(+1);
    room_.wait(lock, [this] { return stopped_ || has_room(); });
    count_waiting(-1);
  }
  if (stopped_) return std::nullopt;
  return next_ticket();
}

Loader::Ticket Loader::next_ticket() {
  if (pending_.empty() || pending_.back().taken == options_.batch()) {
    const auto batch = static_cast<std::size_t>(options_.batch());
    Pending fresh;
    fresh.buffer = buffers_.take();
    fresh.sound.resize(batch);
    for (uint64_t slot = 0; slot < batch; ++slot) {
      fresh.ids.push_back(stream_.at(batches_begun_, slot));
    }
    pending_.push_back(std::move(fresh));
    ++batches_begun_;
  }
  // A deque leaves its elements where they are when others come and go at its ends.
  Pending& batch = pending_.back();
  const int64_t slot = batch.taken++;
  return {&batch, slot, batch.ids[static_cast<std::size_t>(slot)]};
}

void Loader::fill(const Ticket& ticket, Tools& tools) {
  const bool sound = read_and_crop(ticket, tools);
  // A giant's memory goes with its file.
  constexpr std::size_t kept = std::size_t{64} << 20;
  if (tools.bytes.capacity() > kept) std::vector<uint8_t>().swap(tools.bytes);
  const std::lock_guard<std::mutex> lock(mutex_);
  ticket.batch->sound[static_cast<std::size_t>(ticket.slot)] = sound;
  if (++ticket.batch->done == options_.batch() && ticket.batch == &pending_.front()) {
    ready_.notify_one();
  }
}

/// Returns whether the slot holds an image.
bool Loader::read_and_crop(const Ticket& ticket, Tools& tools) {
  const uint64_t index = ticket.id.index;
  try {
    const at::Tensor image = cache_.get(index, [&] {
      source_->read(index, tools.bytes);
      return tools.decoder.decode(tools.bytes);
    });
    crop_(image, ticket.id, ticket.batch->buffer.select(0, ticket.slot));
  } catch (const BadImage& error) {
    if (options_.strict()) throw BadImage(source_->name(index) + ": " + error.what());
    bad_images_.add(index, source_->name(index), error.what());
    return false;
  }
  return true;
}

/// The sound samples, moved up to where bad ones left their slots empty.
Batch Loader::without_gaps(Pending batch) {
  std::vector<int64_t> index;
  std::vector<int64_t> epoch;
  int64_t count = 0;
  for (int64_t slot = 0; slot < options_.batch(); ++slot) {
    const auto i = static_cast<std::size_t>(slot);
    if (!batch.sound[i]) continue;
    if (slot != count) batch.buffer.select(0, count).copy_(batch.buffer.select(0, slot));
    index.push_back(static_cast<int64_t>(batch.ids[i].index));
    epoch.push_back(static_cast<int64_t>(batch.ids[i].epoch));
    ++count;
  }
  return {count > 0 ? batch.buffer.narrow(0, 0, count) : at::Tensor(), at::tensor(index, at::kLong),
          at::tensor(epoch, at::kLong)};
}

bool Loader::front_is_done() const {
  return !pending_.empty() && pending_.front().done == options_.batch();
}

Batch Loader::next() {
  const auto start = Clock::now();
  if (options_.workers() == 0) make_front();
  std::unique_lock<std::mutex> lock(mutex_);
  ready_.wait(lock, [this] { return stopped_ || front_is_done(); });
  statistics_.waited_for_data += Seconds(Clock::now() - start).count();
  if (stopped_) {
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
    throw std::logic_error("Loader: no more batches after an error");
  }
  Pending done = std::move(pending_.front());
  pending_.pop_front();
  lock.unlock();
  room_.notify_all();
  return without_gaps(std::move(done));
}

void Loader::count_waiting(int change) {
  const auto now = Clock::now();
  statistics_.waited_for_room += waiting_ * Seconds(now - waiting_since_).count();
  waiting_since_ = now;
  waiting_ += change;
}

LoaderStatistics Loader::statistics() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  LoaderStatistics result = statistics_;
  result.waited_for_room += waiting_ * Seconds(Clock::now() - waiting_since_).count();
  return result;
}

}  // namespace data
