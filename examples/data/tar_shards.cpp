// SPDX-License-Identifier: Apache-2.0
#include "data/tar_shards.hpp"

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <utility>

#include "data/file.hpp"
#include "data/order.hpp"

namespace fs = std::filesystem;

namespace data {
namespace {

constexpr std::size_t files_kept_open = 64;

uint64_t checked_buffer(int64_t size) {
  if (size >= 0) return static_cast<uint64_t>(size);
  throw std::runtime_error("expected a shuffle buffer of 0 photographs or more, got " +
                           std::to_string(size));
}

}  // namespace

TarShards::TarShards(std::vector<fs::path> shards, int64_t shuffle_buffer,
                     const ListingCache& cache)
    : shards_(std::move(shards)),
      shuffle_buffer_(checked_buffer(shuffle_buffer)),
      files_(files_kept_open) {
  uint64_t count = 0;
  for (const fs::path& shard : shards_) {
    indices_.push_back(index_tar(shard, cache));
    count += indices_.back().records.size();
    ends_.push_back(count);
  }
  if (count == 0) {
    throw std::runtime_error("there is no *.jpg, *.jpeg or *.png in " +
                             (shards_.empty() ? "no shards" : shards_.front().string()) +
                             (shards_.size() > 1 ? " and the shards beside it" : ""));
  }
}

TarShards::Place TarShards::place(uint64_t index) const {
  const auto shard =
      static_cast<std::size_t>(std::upper_bound(ends_.begin(), ends_.end(), index) - ends_.begin());
  return {shard, static_cast<std::size_t>(index - first(shard))};
}

std::string TarShards::name(uint64_t index) const {
  const auto [shard, record] = place(index);
  return shards_[shard].string() + '/' + std::string(indices_[shard].names[record]);
}

void TarShards::read(uint64_t index, std::vector<uint8_t>& bytes) const {
  const auto [shard, record] = place(index);
  const TarRecord where = indices_[shard].records[record];
  files_.get(shard, shards_[shard])->read(where.offset, where.size, bytes);
}

std::vector<uint64_t> TarShards::order(uint64_t seed, uint64_t epoch) const {
  OrderBits bits(seed, epoch);
  std::vector<uint64_t> sequence;
  sequence.reserve(size());
  for (const uint64_t shard : permutation(shards_.size(), bits)) {
    for (uint64_t index = first(shard); index < ends_[shard]; ++index) sequence.push_back(index);
  }
  return shuffled_nearby(std::move(sequence), shuffle_buffer_, bits);
}

uint64_t TarShards::fingerprint() const {
  uint64_t hash = Names().hash();
  for (std::size_t shard = 0; shard < shards_.size(); ++shard) {
    Names name;
    name.add(shards_[shard].filename().string());
    hash = indices_[shard].names.hash(name.hash(hash));
  }
  return hash;
}

std::vector<std::string> TarShards::warnings() const {
  std::vector<std::string> result;
  for (std::size_t shard = 0; shard < shards_.size(); ++shard) {
    const TarIndex& index = indices_[shard];
    if (index.damage.empty()) continue;
    result.push_back(shards_[shard].string() + " is damaged: " + index.damage + "; " +
                     std::to_string(index.records.size()) + " whole images of it are used");
  }
  return result;
}

}  // namespace data
