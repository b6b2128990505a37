// SPDX-License-Identifier: Apache-2.0
// Files of bytes, and what tests do to them.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>

#include "weights/tensors.hpp"

namespace files {

inline std::string read(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path.string());
  return std::string(std::istreambuf_iterator<char>(file), {});
}

inline void write(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

inline std::filesystem::path fixture(const std::string& name) {
  return std::filesystem::path(WEIGHTS_TEST_DATA) / name;
}

/// The bytes of a little-endian number.
template <typename Number>
std::string bytes_of(Number number) {
  return std::string(reinterpret_cast<const char*>(&number), sizeof number);
}

/// Cut off, flipped, overwritten by extreme numbers, doubled, or with a part left out.
inline std::string damaged(std::string bytes, std::mt19937& random) {
  const auto below = [&random](std::size_t end) {
    return std::uniform_int_distribution<std::size_t>(0, end - 1)(random);
  };
  static const std::string extremes[] = {
      std::string(8, '\xff'), std::string(8, '\0'), bytes_of(INT64_MAX),   bytes_of(INT64_MIN),
      bytes_of(INT32_MAX),    bytes_of(UINT32_MAX), std::string(1, '\xff')};
  for (std::size_t rounds = 1 + below(4); rounds > 0 && !bytes.empty(); --rounds) {
    const std::size_t place = below(bytes.size());
    const std::size_t length = std::min(1 + below(16), bytes.size() - place);
    switch (below(6)) {
      case 0:
        bytes.resize(place);
        break;
      case 1:
      case 2:
        bytes[place] = static_cast<char>(random());
        break;
      case 3: {
        const std::string& extreme = extremes[below(std::size(extremes))];
        bytes.replace(place, std::min(extreme.size(), bytes.size() - place), extreme);
        break;
      }
      case 4:
        bytes.insert(below(bytes.size()), bytes.substr(place, length));
        break;
      default:
        bytes.erase(place, length);
    }
  }
  return bytes;
}

/// Reads every number: a view that leaves its file ends the program here.
inline void touch(const weights::Tensors& tensors) {
  for (const auto& item : tensors) {
    const auto bytes = item.second.contiguous().view({-1}).view(torch::kByte);
    volatile int64_t sum = bytes.sum().item<int64_t>();
    static_cast<void>(sum);
  }
}

/// Equal to the bit, in dtype and shape.
inline bool same(const at::Tensor& a, const at::Tensor& b) {
  if (a.scalar_type() != b.scalar_type() || a.sizes() != b.sizes()) return false;
  const auto bytes = [](const at::Tensor& tensor) {
    return tensor.contiguous().view({-1}).view(torch::kByte);
  };
  return at::equal(bytes(a), bytes(b));
}

}  // namespace files
