// SPDX-License-Identifier: Apache-2.0
#include "weights/safetensors.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "weights/mapped_file.hpp"
#include "weights/naming_the_file.hpp"
#include "weights/replace_file.hpp"

namespace weights {
namespace {

using Json = nlohmann::json;

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the formats are little-endian");

constexpr std::pair<const char*, at::ScalarType> dtypes[] = {
    {"BOOL", at::kBool},
    {"U8", at::kByte},
    {"I8", at::kChar},
    {"I16", at::kShort},
    {"U16", at::kUInt16},
    {"I32", at::kInt},
    {"U32", at::kUInt32},
    {"I64", at::kLong},
    {"U64", at::kUInt64},
    {"F16", at::kHalf},
    {"BF16", at::kBFloat16},
    {"F32", at::kFloat},
    {"F64", at::kDouble},
    {"C64", at::kComplexFloat},
    {"F8_E4M3", at::kFloat8_e4m3fn},
    {"F8_E5M2", at::kFloat8_e5m2},
    {"F8_E4M3FNUZ", at::kFloat8_e4m3fnuz},
    {"F8_E5M2FNUZ", at::kFloat8_e5m2fnuz},
    {"F8_E8M0", at::kFloat8_e8m0fnu},
};

constexpr uint64_t size_field = 8;
// The limits of the reference implementation and of LibTorch.
constexpr uint64_t largest_header = 100'000'000;
constexpr std::size_t most_dimensions = 64;

constexpr const char* metadata_name = "__metadata__";

struct Entry {
  std::string name;
  at::ScalarType dtype = at::kFloat;
  std::vector<int64_t> sizes;
  uint64_t begin = 0;
  uint64_t end = 0;
};

/// The header, without recursion, surplus nesting or names that stand twice.
Json parse(std::string_view header) {
  std::vector<std::set<std::string>> names;
  const auto checked = [&names](int depth, Json::parse_event_t event, Json& value) {
    // Depth 0 holds tensors, 1 their fields, 2 the numbers.
    TORCH_CHECK(depth <= 3, "its header is nested too deeply");
    if (event == Json::parse_event_t::object_start) names.emplace_back();
    if (event == Json::parse_event_t::object_end) names.pop_back();
    if (event == Json::parse_event_t::key) {
      const auto& name = value.get_ref<const std::string&>();
      TORCH_CHECK(names.back().insert(name).second, "its header has ", name, " twice");
    }
    return true;
  };
  try {
    Json json = Json::parse(header.begin(), header.end(), checked);
    TORCH_CHECK(json.is_object(), "its header is no JSON object");
    return json;
  } catch (const Json::exception& error) {
    C10_THROW_ERROR(Error, c10::str("its header is no JSON: ", error.what()));
  }
}

const Json& field(const Json& tensor, const std::string& name, const char* key) {
  const auto found = tensor.find(key);
  TORCH_CHECK(found != tensor.end(), name, " has no ", key);
  return *found;
}

uint64_t unsigned_number(const Json& number, const std::string& name, const char* key) {
  TORCH_CHECK(number.is_number_unsigned(), "the ", key, " of ", name,
              " should be whole numbers from 0 on, and are not");
  return number.get<uint64_t>();
}

at::ScalarType dtype_of(const Json& value, const std::string& name) {
  const std::string wanted = value.is_string() ? value.get<std::string>() : "no text";
  for (const auto& [known, dtype] : dtypes) {
    if (wanted == known) return dtype;
  }
  C10_THROW_ERROR(Error, c10::str(name, " has the dtype ", wanted, ", which LibTorch lacks"));
}

/// Checks that offsets fit the shape and lie within `data_size` bytes.
Entry entry_of(const std::string& name, const Json& tensor, uint64_t data_size) {
  TORCH_CHECK(tensor.is_object() && tensor.size() == 3, name,
              " should have dtype, shape and data_offsets");
  Entry entry{name, dtype_of(field(tensor, name, "dtype"), name), {}, 0, 0};
  const Json& shape = field(tensor, name, "shape");
  TORCH_CHECK(shape.is_array() && shape.size() <= most_dimensions, "the shape of ", name,
              " should be a list of up to ", most_dimensions, " sizes");
  int64_t count = 1;
  int64_t reach = static_cast<int64_t>(c10::elementSize(entry.dtype));  // strides overflow by it
  for (const Json& size : shape) {
    const uint64_t length = unsigned_number(size, name, "shape");
    TORCH_CHECK(length <= INT64_MAX &&
                    !__builtin_mul_overflow(reach, std::max<uint64_t>(length, 1), &reach),
                "the shape of ", name, " is larger than any memory");
    count *= static_cast<int64_t>(length);
    entry.sizes.push_back(static_cast<int64_t>(length));
  }
  const Json& offsets = field(tensor, name, "data_offsets");
  TORCH_CHECK(offsets.is_array() && offsets.size() == 2, "the data_offsets of ", name,
              " should be two numbers");
  entry.begin = unsigned_number(offsets[0], name, "data_offsets");
  entry.end = unsigned_number(offsets[1], name, "data_offsets");
  TORCH_CHECK(entry.begin <= entry.end && entry.end <= data_size, "the data_offsets of ", name,
              ", ", entry.begin, " to ", entry.end, ", lie outside the ", data_size,
              " bytes of data: the file is truncated or damaged");
  const uint64_t expected = static_cast<uint64_t>(count) * c10::elementSize(entry.dtype);
  TORCH_CHECK(entry.end - entry.begin == expected, name, " of shape ", at::IntArrayRef(entry.sizes),
              " should have ", expected, " bytes, and has ", entry.end - entry.begin);
  return entry;
}

/// The format has no holes and no overlaps: nothing can hide, and no byte has two meanings.
void check_cover(std::vector<Entry>& entries, uint64_t data_size) {
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  uint64_t reached = 0;
  for (const Entry& entry : entries) {
    TORCH_CHECK(entry.begin == reached, entry.name, " begins at byte ", entry.begin,
                " of the data, where ", reached, " was due: tensors overlap or leave holes");
    reached = entry.end;
  }
  TORCH_CHECK(reached == data_size, "its tensors end at byte ", reached, " of ", data_size,
              " bytes of data");
}

const char* dtype_name(const std::string& name, at::ScalarType wanted) {
  for (const auto& [known, dtype] : dtypes) {
    if (wanted == dtype) return known;
  }
  C10_THROW_ERROR(
      Error, c10::str("write_safetensors: the format has no ", wanted, ", which ", name, " has"));
}

/// Larger numbers first, so that each stands at a multiple of its size.
std::vector<std::pair<std::string, at::Tensor>> in_order_of_size(const Tensors& tensors) {
  std::vector<std::pair<std::string, at::Tensor>> ordered(tensors.begin(), tensors.end());
  std::stable_sort(ordered.begin(), ordered.end(), [](const auto& a, const auto& b) {
    return a.second.element_size() > b.second.element_size();
  });
  return ordered;
}

std::string header_of(const std::vector<std::pair<std::string, at::Tensor>>& ordered,
                      const std::map<std::string, std::string>& metadata) {
  Json json = Json::object();
  if (!metadata.empty()) json[metadata_name] = metadata;
  uint64_t offset = 0;
  for (const auto& [name, tensor] : ordered) {
    TORCH_CHECK(name != metadata_name, "write_safetensors: no tensor may be called ", name);
    const uint64_t bytes =
        static_cast<uint64_t>(tensor.numel()) * static_cast<uint64_t>(tensor.element_size());
    json[name] = {{"dtype", dtype_name(name, tensor.scalar_type())},
                  {"shape", tensor.sizes().vec()},
                  {"data_offsets", {offset, offset + bytes}}};
    offset += bytes;
  }
  try {
    std::string header = json.dump();
    // The data begin at a multiple of 64, so that a mapping of the file is aligned for vectors.
    constexpr std::size_t alignment = 64;
    header.append((alignment - (size_field + header.size()) % alignment) % alignment, ' ');
    return header;
  } catch (const Json::exception& error) {
    C10_THROW_ERROR(Error, c10::str("write_safetensors: a name is no UTF-8: ", error.what()));
  }
}

}  // namespace

Weights read_safetensors(const std::shared_ptr<MappedFile>& file) {
  TORCH_CHECK(file->size() >= size_field, "it is too short for a safetensors file");
  uint64_t header_size = 0;
  std::memcpy(&header_size, file->at(0), size_field);
  TORCH_CHECK(header_size <= largest_header && header_size <= file->size() - size_field,
              "it says that its header has ", header_size, " bytes, and has ",
              file->size() - size_field, " (at most ", largest_header,
              "): it is truncated, or no safetensors file");
  const Json header = parse(file->bytes().substr(size_field, header_size));
  const uint64_t data_begin = size_field + header_size;
  const uint64_t data_size = file->size() - data_begin;

  Weights weights;
  std::vector<Entry> entries;
  for (const auto& [name, value] : header.items()) {
    if (name == metadata_name) {
      TORCH_CHECK(value.is_object(), "its metadata are no JSON object");
      for (const auto& [key, text] : value.items()) {
        TORCH_CHECK(text.is_string(), "its metadata ", key, " are no text");
        weights.metadata.emplace(key, text.get<std::string>());
      }
      continue;
    }
    entries.push_back(entry_of(name, value, data_size));
  }
  check_cover(entries, data_size);
  for (const Entry& entry : entries) {
    weights.tensors.emplace(entry.name,
                            view_of(file, data_begin + entry.begin, entry.sizes, entry.dtype));
  }
  return weights;
}

Weights read_safetensors(const std::filesystem::path& path) {
  return naming_the_file(path, [&path] { return read_safetensors(MappedFile::open(path)); });
}

void write_safetensors(const std::filesystem::path& path, const Tensors& tensors,
                       const std::map<std::string, std::string>& metadata) {
  const auto ordered = in_order_of_size(tensors);
  const std::string header = header_of(ordered, metadata);
  TORCH_CHECK(header.size() <= largest_header, "write_safetensors: names take ", header.size(),
              " bytes, more than the format allows");
  replace_file(path, [&](const std::filesystem::path& temporary) {
    std::ofstream file(temporary, std::ios::binary | std::ios::trunc);
    const uint64_t header_size = header.size();
    file.write(reinterpret_cast<const char*>(&header_size), size_field);
    file.write(header.data(), static_cast<std::streamsize>(header.size()));
    for (const auto& [name, tensor] : ordered) {
      const at::Tensor plain = tensor.detach().resolve_conj().resolve_neg().cpu().contiguous();
      file.write(static_cast<const char*>(plain.const_data_ptr()),
                 static_cast<std::streamsize>(plain.nbytes()));
    }
    file.flush();
    TORCH_CHECK(file.good(), "cannot write ", temporary.string(), ": ", std::strerror(errno));
  });
}

}  // namespace weights
