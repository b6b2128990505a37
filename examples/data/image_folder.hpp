// SPDX-License-Identifier: Apache-2.0
// The image files below a folder.
#pragma once

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

namespace data {

inline bool is_image_name(const std::filesystem::path& path) {
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return extension == ".jpg" || extension == ".jpeg" || extension == ".png";
}

/// The *.jpg, *.jpeg and *.png below `folder` (class folders or flat; any case; links are
/// followed), sorted by name, so that a sample has the same index on every machine. Throws
/// std::runtime_error if there is none.
inline std::vector<std::filesystem::path> list_images(const std::filesystem::path& folder) {
  namespace fs = std::filesystem;
  if (!fs::is_directory(folder)) throw std::runtime_error(folder.string() + " is no folder");
  std::vector<fs::path> files;
  const auto options = fs::directory_options::follow_directory_symlink |
                       fs::directory_options::skip_permission_denied;
  std::set<fs::path> seen = {fs::canonical(folder)};
  for (auto walk = fs::recursive_directory_iterator(folder, options);
       walk != fs::recursive_directory_iterator(); ++walk) {
    const auto& entry = *walk;
    // A link may lead back to a folder above it.
    if (entry.is_symlink() && entry.is_directory() &&
        !seen.insert(fs::canonical(entry.path())).second) {
      walk.disable_recursion_pending();
    }
    // By name first: asking what a file is costs a system call where the name is free.
    if (is_image_name(entry.path()) && entry.is_regular_file()) files.push_back(entry.path());
  }
  if (files.empty()) {
    throw std::runtime_error("there is no *.jpg, *.jpeg or *.png below " + folder.string());
  }
  std::sort(files.begin(), files.end(),
            [](const fs::path& a, const fs::path& b) { return a.native() < b.native(); });
  return files;
}

}  // namespace data
