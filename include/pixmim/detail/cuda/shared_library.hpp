// SPDX-License-Identifier: Apache-2.0
// A library that a program can do without.
#pragma once

#include <c10/util/ArrayRef.h>
#include <c10/util/Exception.h>
#include <dlfcn.h>
#include <link.h>
#include <sys/stat.h>

#include <cstdint>
#include <string>

namespace pixmim {
inline namespace v0 {
namespace detail {
namespace cuda {

/// Where `name` is, which the program has loaded already; nothing if it has not.
inline std::string folder_of_loaded(const std::string& name) {
  void* handle = ::dlopen(name.c_str(), RTLD_NOW | RTLD_NOLOAD);
  if (handle == nullptr) {
    return {};
  }
  const ::link_map* map = nullptr;
  const std::string path = ::dlinfo(handle, RTLD_DI_LINKMAP, &map) == 0 ? map->l_name : "";
  ::dlclose(handle);
  return path.substr(0, path.rfind('/') + 1);
}

/// Stays loaded: functions of it may be in use until the program ends.
class SharedLibrary {
 public:
  /// The first of `names` that loads. They are file names, or paths.
  static SharedLibrary open_first(c10::ArrayRef<std::string> names) {
    SharedLibrary library;
    for (const auto& name : names) {
      library.handle_ = ::dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
      if (library.handle_ != nullptr) {
        library.name_ = name;
        break;
      }
      const char* error = ::dlerror();
      library.why_not_ += (library.why_not_.empty() ? "" : "; ");
      library.why_not_ += error != nullptr ? error : name.c_str();
    }
    return library;
  }

  bool is_open() const { return handle_ != nullptr; }
  const std::string& name() const { return name_; }
  /// What the loader said of each name that it could not load.
  const std::string& why_not() const { return why_not_; }

  /// Sets `function` to the library's `symbol`.
  template <class Function>
  void find(const char* symbol, Function*& function) const {
    function = reinterpret_cast<Function*>(::dlsym(handle_, symbol));
    TORCH_CHECK(function != nullptr, name_, " has no function ", symbol);
  }

  /// Its length: what tells builds of one version apart.
  int64_t file_size() const {
    const ::link_map* map = nullptr;
    struct ::stat status {};
    return ::dlinfo(handle_, RTLD_DI_LINKMAP, &map) == 0 && ::stat(map->l_name, &status) == 0
               ? static_cast<int64_t>(status.st_size)
               : 0;
  }

 private:
  SharedLibrary() = default;

  void* handle_ = nullptr;
  std::string name_;
  std::string why_not_;
};

}  // namespace cuda
}  // namespace detail
}  // namespace v0
}  // namespace pixmim
