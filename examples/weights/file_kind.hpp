// SPDX-License-Identifier: Apache-2.0
// What a file is, by its first bytes.
#pragma once

#include <string>
#include <string_view>

namespace weights {

enum class FileKind { Safetensors, Zip, Pickle, Other };

FileKind kind_of(std::string_view bytes);

/// "a tar archive", "a web page: did its download fail?": for messages about other files.
std::string seems_to_be(std::string_view bytes);

}  // namespace weights
