// SPDX-License-Identifier: Apache-2.0
// Files to read: the sample images, and what tests make of them.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "support/golden.hpp"

namespace data_path {

using Bytes = std::vector<uint8_t>;

/// The folder of the sample images, one of every kind that data sets hold.
inline std::filesystem::path sample_images() {
  return std::filesystem::path(support::golden_files("decoded_images").front()).parent_path() /
         "images";
}

inline Bytes bytes_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void write_bytes(const std::filesystem::path& path, const Bytes& bytes) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
}

/// Makes everything below a folder, and itself, an hour old: listings of young folders are not kept.
inline void age(const std::filesystem::path& folder) {
  namespace fs = std::filesystem;
  const auto then = fs::last_write_time(folder) - std::chrono::hours(1);
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_symlink()) fs::last_write_time(entry.path(), then);
  }
  fs::last_write_time(folder, then);
}

}  // namespace data_path
