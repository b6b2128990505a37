// SPDX-License-Identifier: Apache-2.0
// The image files below a folder.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "data/listing_cache.hpp"
#include "data/names.hpp"
#include "data/source.hpp"

namespace data {

/// The *.jpg, *.jpeg and *.png below `folder` (class folders or flat; any case), relative to it and
/// sorted by byte, so that a photograph has the same number on every machine. Links are followed,
/// but each folder is listed once, under the first of its names; folders that may not be read are
/// left out. Taken from the cache while no folder has changed since. Throws std::runtime_error if a
/// folder cannot be listed.
Names list_images(const std::filesystem::path& folder, const ListingCache& cache);

class ImageFolder : public Source {
 public:
  /// `files` are relative to `folder`.
  ImageFolder(const std::filesystem::path& folder, Names files);

  uint64_t size() const override { return files_.size(); }
  std::string name(uint64_t index) const override;
  void read(uint64_t index, std::vector<uint8_t>& bytes) const override;
  std::vector<uint64_t> order(uint64_t seed, uint64_t epoch) const override;
  uint64_t fingerprint() const override { return files_.hash(); }

 private:
  std::string prefix_;
  Names files_;
};

}  // namespace data
