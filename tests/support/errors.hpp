// SPDX-License-Identifier: Apache-2.0
// The message of a c10::Error, to compare with what the documentation promises.
#pragma once

#include <c10/util/Exception.h>

#include <string>

namespace support {

/// The message of the c10::Error that `call` throws; a text that matches nothing if it throws none.
template <typename Call>
std::string error_of(const Call& call) {
  try {
    call();
  } catch (const c10::Error& error) {
    return error.what_without_backtrace();
  }
  return "(no error)";
}

}  // namespace support
