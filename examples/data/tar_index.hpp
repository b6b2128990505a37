// SPDX-License-Identifier: Apache-2.0
// Where the images of a tar file are in it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "data/listing_cache.hpp"
#include "data/names.hpp"

namespace data {

/// The bytes of an image in its tar file.
struct TarRecord {
  int64_t offset = 0;
  int64_t size = 0;
};

struct TarIndex {
  Names names;
  std::vector<TarRecord> records;
  /// Why there may be more that was not found; empty: nothing is wrong.
  std::string damage;
};

/// Finds the *.jpg, *.jpeg and *.png (any case) of a plain tar file of any dialect, in their order,
/// without reading them. Of a truncated or damaged file those that are whole. Taken from the cache
/// while size and time of the file are the same. Throws std::runtime_error if the file cannot be
/// read, is compressed or no tar file.
TarIndex index_tar(const std::filesystem::path& shard, const ListingCache& cache);

}  // namespace data
