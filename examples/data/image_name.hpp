// SPDX-License-Identifier: Apache-2.0
// Names that promise an image.
#pragma once

#include <algorithm>
#include <cctype>
#include <string_view>

namespace data {

/// Whether `name` ends in `extension`, which is in lower case and has its dot; any case.
inline bool has_extension(std::string_view name, std::string_view extension) {
  return name.size() >= extension.size() &&
         std::equal(extension.begin(), extension.end(), name.end() - extension.size(),
                    [](char wanted, char c) {
                      return std::tolower(static_cast<unsigned char>(c)) == wanted;
                    });
}

inline bool is_image_name(std::string_view name) {
  return has_extension(name, ".jpg") || has_extension(name, ".jpeg") || has_extension(name, ".png");
}

}  // namespace data
