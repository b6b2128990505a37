// SPDX-License-Identifier: Apache-2.0
#include "data/source.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "data/image_folder.hpp"
#include "data/image_name.hpp"
#include "data/tar_shards.hpp"

namespace fs = std::filesystem;

namespace data {
namespace {

/// Compressed ones too, so that they are refused with a reason and not overlooked.
bool is_tar_name(const std::string& name) {
  for (const char* extension : {".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst"}) {
    if (has_extension(name, extension)) return true;
  }
  return false;
}

/// The tar files in a folder, not below it, sorted by name.
std::vector<fs::path> tar_files(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (is_tar_name(entry.path().filename().string()) && !entry.is_directory())
      files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::unique_ptr<Source> open_folder(const fs::path& folder, const SourceOptions& options) {
  const ListingCache cache(options.cache_folder());
  const std::vector<fs::path> shards = tar_files(folder);
  Names images = list_images(folder, cache);
  if (!images.empty() && !shards.empty()) {
    // A guess would be found out after days of training on the wrong half.
    throw std::runtime_error(folder.string() + " holds image files (" + std::string(images[0]) +
                             ", ...) and tar shards (" + shards[0].filename().string() +
                             ", ...): name a folder that holds one kind");
  }
  if (!images.empty()) return std::make_unique<ImageFolder>(folder, std::move(images));
  if (!shards.empty()) {
    return std::make_unique<TarShards>(shards, options.shuffle_buffer(), cache);
  }
  throw std::runtime_error("there is no *.jpg, *.jpeg or *.png below " + folder.string() +
                           ", and no *.tar in it");
}

}  // namespace

std::unique_ptr<Source> open_source(const fs::path& path, const SourceOptions& options) {
  if (fs::is_directory(path)) return open_folder(path, options);
  if (!fs::is_regular_file(path) || !is_tar_name(path.string())) {
    throw std::runtime_error(path.string() + " is no folder and no .tar file");
  }
  return std::make_unique<TarShards>(std::vector<fs::path>{path}, options.shuffle_buffer(),
                                     ListingCache(options.cache_folder()));
}

}  // namespace data
