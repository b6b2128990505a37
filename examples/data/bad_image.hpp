// SPDX-License-Identifier: Apache-2.0
// What is thrown for a file that is no sound image.
#pragma once

#include <stdexcept>

namespace data {

/// A file that is not a whole, sound image. The message says why, without the file's name.
struct BadImage : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace data
