// SPDX-License-Identifier: Apache-2.0
// Errors that say which file they are about.
#pragma once

#include <c10/util/Exception.h>

#include <exception>
#include <filesystem>

namespace weights {

/// The result of `call()`; its c10::Error comes out with the path before the message.
template <typename Call>
auto naming_the_file(const std::filesystem::path& path, const Call& call) {
  try {
    return call();
  } catch (const c10::Error& error) {
    C10_THROW_ERROR(Error, c10::str(path.string(), ": ", error.what_without_backtrace()));
  }
}

}  // namespace weights
