// SPDX-License-Identifier: Apache-2.0
// Photographs in tar files, as WebDataset has them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "data/listing_cache.hpp"
#include "data/open_files.hpp"
#include "data/source.hpp"
#include "data/tar_index.hpp"

namespace data {

/// Reads any photograph of any shard at any time. Its orders mix the shards, then neighbours within
/// a buffer, so that reads stay close together: in a few shards, a stretch of each.
class TarShards : public Source {
 public:
  /// Throws std::runtime_error as index_tar, or if there is no image in any shard.
  TarShards(std::vector<std::filesystem::path> shards, int64_t shuffle_buffer,
            const ListingCache& cache);

  uint64_t size() const override { return ends_.back(); }
  std::string name(uint64_t index) const override;
  void read(uint64_t index, std::vector<uint8_t>& bytes) const override;
  std::vector<uint64_t> order(uint64_t seed, uint64_t epoch) const override;
  uint64_t fingerprint() const override;
  std::vector<std::string> warnings() const override;

 private:
  struct Place {
    std::size_t shard;
    std::size_t record;
  };
  Place place(uint64_t index) const;
  uint64_t first(std::size_t shard) const { return shard == 0 ? 0 : ends_[shard - 1]; }

  std::vector<std::filesystem::path> shards_;
  std::vector<TarIndex> indices_;
  std::vector<uint64_t> ends_;  // of each shard, the number after its last photograph's
  uint64_t shuffle_buffer_;
  mutable OpenFiles files_;
};

}  // namespace data
