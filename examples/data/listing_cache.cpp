// SPDX-License-Identifier: Apache-2.0
#include "data/listing_cache.hpp"

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string_view>
#include <system_error>

#include "data/packing.hpp"

namespace fs = std::filesystem;

namespace data {
namespace {

/// Changes with the format of any listing.
constexpr std::string_view format = "pixmim listing 1\n";

/// FNV-1a: against accidents, not against enemies.
uint64_t checksum(std::string_view bytes) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char byte : bytes) {
    hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001b3;
  }
  return hash;
}

/// Format, checksum of the rest, key, content.
std::string sealed(const std::string& key, const std::string& content) {
  Packer body;
  body.add(key);
  body.add(content);
  const uint64_t sum = checksum(body.bytes());
  std::string file(format);
  file.append(reinterpret_cast<const char*>(&sum), sizeof sum);
  return file += body.bytes();
}

std::optional<std::string> unsealed(const std::string& key, std::string_view file) {
  uint64_t sum = 0;
  if (file.size() < format.size() + sizeof sum || file.substr(0, format.size()) != format) {
    return std::nullopt;
  }
  std::memcpy(&sum, file.data() + format.size(), sizeof sum);
  file.remove_prefix(format.size() + sizeof sum);
  std::string its_key;
  std::string content;
  Unpacker body(file);
  if (checksum(file) != sum || !body.take(its_key) || !body.take(content) || its_key != key) {
    return std::nullopt;
  }
  return content;
}

}  // namespace

fs::path default_cache_folder() {
  // The XDG specification: a relative path counts for nothing.
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache != nullptr && cache[0] == '/') {
    return fs::path(cache) / "pixmim";
  }
  if (const char* home = std::getenv("HOME"); home != nullptr && home[0] == '/') {
    return fs::path(home) / ".cache" / "pixmim";
  }
  return {};
}

int64_t wall_clock() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

bool settled(int64_t modified, int64_t read) {
  return modified < read - 2'000'000'000;
}

fs::path ListingCache::file(const std::string& key) const {
  char name[32];
  std::snprintf(name, sizeof name, "%016llx.listing",
                static_cast<unsigned long long>(checksum(key)));
  return folder_ / name;
}

std::optional<std::string> ListingCache::load(const std::string& key) const {
  if (folder_.empty()) return std::nullopt;
  std::ifstream stream(file(key), std::ios::binary | std::ios::ate);
  if (!stream) return std::nullopt;
  const std::streamoff size = stream.tellg();
  if (size <= 0) return std::nullopt;
  std::string bytes(static_cast<std::size_t>(size), '\0');
  stream.seekg(0);
  if (!stream.read(bytes.data(), size)) return std::nullopt;
  return unsealed(key, bytes);
}

void ListingCache::store(const std::string& key, const std::string& content) const {
  if (folder_.empty()) return;
  std::error_code ignored;
  fs::create_directories(folder_, ignored);
  const fs::path target = file(key);
  // A name of its own: other ranks may be writing the same listing.
  std::string temporary = target.string() + ".XXXXXX";
  const int descriptor = mkstemp(temporary.data());
  if (descriptor < 0) return;
  close(descriptor);
  std::ofstream stream(temporary, std::ios::binary);
  const std::string bytes = sealed(key, content);
  stream.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  stream.close();
  std::error_code failed;
  if (stream) fs::rename(temporary, target, failed);
  if (!stream || failed) fs::remove(temporary, ignored);
}

}  // namespace data
