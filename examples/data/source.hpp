// SPDX-License-Identifier: Apache-2.0
// Where photographs are: one interface for folders of files and for tar shards.
#pragma once

#include <torch/arg.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "data/listing_cache.hpp"

namespace data {

/// A set of encoded photographs, numbered from 0. Whoever lists the same files has the same numbers.
class Source {
 public:
  virtual ~Source() = default;

  /// How many there are; at least one.
  virtual uint64_t size() const = 0;

  /// What a person calls photograph `index`.
  virtual std::string name(uint64_t index) const = 0;

  /// Reads photograph `index` into `bytes`, whose memory is used again. Several threads may read at
  /// once. Throws BadImage.
  virtual void read(uint64_t index, std::vector<uint8_t>& bytes) const = 0;

  /// The numbers of all photographs, in the order of an epoch: a function of its arguments and of
  /// the listing alone.
  virtual std::vector<uint64_t> order(uint64_t seed, uint64_t epoch) const = 0;

  /// A hash of all names in their order, of the set's place not: a set may be moved, but not
  /// changed.
  virtual uint64_t fingerprint() const = 0;

  /// What is wrong with the set, though it can be used: sentences for the user.
  virtual std::vector<std::string> warnings() const { return {}; }
};

/// Options of open_source. `SourceOptions().shuffle_buffer(1000)`
struct SourceOptions {
  /// Photographs of tar shards that are mixed at a time; 0: in the order of the shards. A folder
  /// of files is mixed as a whole.
  TORCH_ARG(int64_t, shuffle_buffer) = 10000;
  /// Where listings are kept from one run to the next; empty: nowhere.
  TORCH_ARG(std::filesystem::path, cache_folder) = default_cache_folder();
};

/// Opens a folder of image files (class folders or flat), a .tar shard, or a folder of them. Throws
/// std::runtime_error if `path` is nothing of this, or holds both files and shards.
std::unique_ptr<Source> open_source(const std::filesystem::path& path,
                                    const SourceOptions& options = {});

}  // namespace data
