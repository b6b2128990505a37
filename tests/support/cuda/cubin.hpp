// SPDX-License-Identifier: Apache-2.0
// What machine code says about its kernels' parameters.
#pragma once

#include <elf.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace support {

/// The sizes of the parameters of `kernel` (a lowered name) in a cubin; none if it has no such kernel.
inline std::optional<std::vector<std::size_t>> parameter_sizes(const std::string& cubin,
                                                               const std::string& kernel) {
  const auto read = [&](auto& value, std::size_t offset) {
    if (offset + sizeof(value) > cubin.size()) {
      return false;
    }
    std::memcpy(&value, cubin.data() + offset, sizeof(value));
    return true;
  };
  Elf64_Ehdr header;
  Elf64_Shdr names;
  if (!read(header, 0) || cubin.compare(0, SELFMAG, ELFMAG) != 0 ||
      !read(names, header.e_shoff + std::size_t{header.e_shstrndx} * header.e_shentsize)) {
    return std::nullopt;
  }
  for (std::size_t i = 0; i < header.e_shnum; ++i) {
    Elf64_Shdr section;
    if (!read(section, header.e_shoff + i * header.e_shentsize) ||
        cubin.c_str() + names.sh_offset + section.sh_name != ".nv.info." + kernel) {
      continue;
    }
    // Attributes: format, number, and either two bytes or two bytes of length and so many more.
    constexpr uint8_t sized = 4;
    constexpr uint8_t parameter = 0x17;  // index, ordinal, offset, and the size from bit 18 on
    std::map<uint16_t, std::size_t> sizes;
    for (auto at = section.sh_offset; at + 4 <= section.sh_offset + section.sh_size;) {
      uint8_t format = 0;
      uint8_t attribute = 0;
      uint16_t length = 0;
      read(format, at);
      read(attribute, at + 1);
      read(length, at + 2);
      if (format == sized && attribute == parameter) {
        uint16_t ordinal = 0;
        uint32_t flags = 0;
        read(ordinal, at + 8);
        read(flags, at + 12);
        sizes[ordinal] = flags >> 18;
      }
      at += 4 + (format == sized ? std::size_t{length} : 0);
    }
    std::vector<std::size_t> result;
    for (const auto& [ordinal, size] : sizes) {
      result.push_back(size);
    }
    return result;
  }
  return std::nullopt;
}

}  // namespace support
