// SPDX-License-Identifier: Apache-2.0
// Compiled kernels in files, so that only the first run of a program compiles. Whatever is wrong with a
// file or the folder costs the time of a compilation, nothing else.
#pragma once

#include <c10/util/hash.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <utility>

#include "pixmim/detail/cuda/compiled_kernel.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {
namespace cuda {

/// PIXMIM_CACHE_DIR, else pixmim in XDG_CACHE_HOME, else in ~/.cache. Empty, which is no cache, if none
/// of them is set, or if PIXMIM_CACHE_DIR is empty.
inline std::string kernel_cache_folder() {
  if (const char* chosen = std::getenv("PIXMIM_CACHE_DIR")) {
    return chosen;
  }
  // The XDG specification has relative paths ignored.
  if (const char* caches = std::getenv("XDG_CACHE_HOME"); caches != nullptr && *caches == '/') {
    return std::string(caches) + "/pixmim";
  }
  if (const char* home = std::getenv("HOME"); home != nullptr && *home != '\0') {
    return std::string(home) + "/.cache/pixmim";
  }
  return {};
}

/// A file a kernel, named by the hash of all that the code depends on (its identity). Processes share a
/// folder: a file appears complete, under a name that it keeps.
class KernelCache {
 public:
  /// An empty `folder` is none: nothing is found or stored.
  explicit KernelCache(std::string folder) : folder_(std::move(folder)) {}

  std::optional<CompiledKernel> find(const std::string& identity) const {
    if (folder_.empty()) {
      return std::nullopt;
    }
    const auto key = c10::sha1(identity).str();
    const auto content = read_file(path_of(key));
    const auto head = head_of(key);
    constexpr std::size_t hash_length = 40;
    if (content.size() < head.size() + sizeof(uint64_t) + hash_length ||
        content.compare(0, head.size(), head) != 0) {
      return std::nullopt;
    }
    const auto end = content.size() - hash_length;
    uint64_t name_length = 0;
    std::memcpy(&name_length, content.data() + head.size(), sizeof(name_length));
    const auto name = head.size() + sizeof(name_length);
    if (content.compare(end, hash_length, c10::sha1(content.substr(0, end)).str()) != 0 ||
        name_length > end - name) {
      return std::nullopt;
    }
    return CompiledKernel{content.substr(name, name_length),
                          content.substr(name + name_length, end - name - name_length)};
  }

  void store(const std::string& identity, const CompiledKernel& kernel) const {
    if (folder_.empty()) {
      return;
    }
    make_folders(folder_);
    const auto key = c10::sha1(identity).str();
    auto content = head_of(key);
    const uint64_t name_length = kernel.lowered_name.size();
    content.append(reinterpret_cast<const char*>(&name_length), sizeof(name_length));
    content += kernel.lowered_name;
    content += kernel.code;
    content += c10::sha1(content).str();

    auto temporary = path_of(key) + ".XXXXXX";
    const int file = ::mkostemp(temporary.data(), O_CLOEXEC);
    if (file < 0) {
      return;
    }
    const bool is_written = write_all(file, content);
    const bool is_closed = ::close(file) == 0;
    if (!is_written || !is_closed || std::rename(temporary.c_str(), path_of(key).c_str()) != 0) {
      ::unlink(temporary.c_str());
    }
  }

 private:
  /// What a file starts with: its format, and whose code it is.
  static std::string head_of(const std::string& key) { return "pixmim kernel 1\n" + key; }

  std::string path_of(const std::string& key) const { return folder_ + "/" + key; }

  static std::string read_file(const std::string& path) {
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) {
      return {};
    }
    std::string content;
    char part[1 << 16];
    ssize_t count = 0;
    while ((count = ::read(file, part, sizeof(part))) > 0) {
      content.append(part, static_cast<std::size_t>(count));
    }
    ::close(file);
    return content;
  }

  static bool write_all(int file, const std::string& content) {
    for (std::size_t written = 0; written < content.size();) {
      const auto count = ::write(file, content.data() + written, content.size() - written);
      if (count <= 0) {
        return false;
      }
      written += static_cast<std::size_t>(count);
    }
    return true;
  }

  /// For the user alone, as the XDG specification asks: what is here is executed.
  static void make_folders(const std::string& folder) {
    for (auto end = folder.find('/', 1);; end = folder.find('/', end + 1)) {
      ::mkdir(folder.substr(0, end).c_str(), 0700);
      if (end == std::string::npos) {
        return;
      }
    }
  }

  std::string folder_;
};

}  // namespace cuda
}  // namespace detail
}  // namespace v0
}  // namespace pixmim
