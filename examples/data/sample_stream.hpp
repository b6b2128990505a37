// SPDX-License-Identifier: Apache-2.0
// An endless stream of samples, epoch after epoch, that can start anywhere and be shared by ranks.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "data/source.hpp"

namespace data {

/// One draw of the stream: what is random about it depends on this alone, not on who draws it.
struct SampleId {
  uint64_t index = 0;
  uint64_t epoch = 0;
};

/// Sample n of the stream is number n % size in the order of epoch n / size, so that batches go on
/// over the end of an epoch. Of each `world` x `batch` samples a rank takes its own `batch`.
class SampleStream {
 public:
  SampleStream(std::shared_ptr<const Source> source, uint64_t seed, uint64_t first, int64_t batch,
               int64_t rank, int64_t world)
      : source_(std::move(source)),
        seed_(seed),
        first_(first + static_cast<uint64_t>(rank * batch)),
        step_(static_cast<uint64_t>(world * batch)) {}

  /// Sample `slot` of this rank's batch number `batch`, counted from sample `first` on.
  SampleId at(uint64_t batch, uint64_t slot) {
    const uint64_t number = first_ + batch * step_ + slot;
    const uint64_t epoch = number / source_->size();
    if (order_.empty() || epoch != epoch_) {
      order_ = source_->order(seed_, epoch);
      epoch_ = epoch;
    }
    return {order_[number % source_->size()], epoch};
  }

 private:
  std::shared_ptr<const Source> source_;
  uint64_t seed_;
  uint64_t first_;
  uint64_t step_;
  uint64_t epoch_ = 0;
  std::vector<uint64_t> order_;
};

}  // namespace data
