// SPDX-License-Identifier: Apache-2.0
#include "weights/file_kind.hpp"

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <cstring>

namespace weights {
namespace {

using namespace std::string_view_literals;

bool begins(std::string_view bytes, std::string_view start) {
  return bytes.substr(0, start.size()) == start;
}

/// A header of a size that the file has room for, which is a JSON object: no zip archive has '{'
/// there, where its method of compression stands, and no pickle of torch.save.
bool is_safetensors(std::string_view bytes) {
  uint64_t header = 0;
  if (bytes.size() <= sizeof header || bytes[sizeof header] != '{') return false;
  std::memcpy(&header, bytes.data(), sizeof header);
  return header <= bytes.size() - sizeof header || (!begins(bytes, "PK") && bytes[0] != '\x80');
}

bool is_text(std::string_view bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](char byte) {
    const auto code = static_cast<unsigned char>(byte);
    return code >= 0x80 || std::isprint(code) != 0 || std::isspace(code) != 0;
  });
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& letter : result) {
    letter = static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
  }
  return result;
}

}  // namespace

FileKind kind_of(std::string_view bytes) {
  if (is_safetensors(bytes)) return FileKind::Safetensors;
  if (begins(bytes, "PK\x03\x04"sv)) return FileKind::Zip;
  if (begins(bytes, "\x80"sv)) return FileKind::Pickle;
  return FileKind::Other;
}

std::string seems_to_be(std::string_view bytes) {
  static constexpr struct {
    std::string_view start;
    const char* what;
  } known[] = {
      {"PK\x05\x06"sv, "a zip archive without files"},
      {"\x1f\x8b"sv, "compressed by gzip: unpack it"},
      {"BZh"sv, "compressed by bzip2: unpack it"},
      {"\xfd"
       "7zXZ"sv,
       "compressed by xz: unpack it"},
      {"\x28\xb5\x2f\xfd"sv, "compressed by zstd: unpack it"},
      {"7z\xbc\xaf"sv, "a 7z archive"},
      {"\x89HDF"sv, "HDF5, as Keras writes it"},
      {"\x93NUMPY"sv, "an array of NumPy"},
      {"\x89PNG"sv, "a PNG image"},
      {"\xff\xd8\xff"sv, "a JPEG image"},
      {"GGUF"sv, "GGUF"},
      {"version https://git-lfs"sv, "a pointer of Git LFS in place of the file: git lfs pull"},
      {"(dp"sv, "a pickle of protocol 0, as torch.save does not write it"},
      {"{"sv, "JSON, such as the index of a model in several files: name one of those"},
  };
  for (const auto& [start, what] : known) {
    if (begins(bytes, start)) return what;
  }
  if (bytes.size() > 262 && bytes.substr(257, 5) == "ustar") {
    return "a tar archive, as torch.save wrote before PyTorch 0.2: unpack it, or save it anew";
  }
  const std::string_view start = bytes.substr(0, 512);
  const std::string text = lower(start);
  if (text.find("<html") != std::string::npos || text.find("<!doctype") != std::string::npos) {
    return "a web page: did its download fail?";
  }
  if (is_text(start)) return "a text";
  if (start.find_first_not_of('\0') == std::string_view::npos) {
    return "zeros: did its download fail?";
  }
  return "of another format";
}

}  // namespace weights
