// SPDX-License-Identifier: Apache-2.0
// A Launcher that runs kernels on the CPU: those that were added to it, compiled by the host's compiler.
#pragma once

#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <pixmim/detail/cuda/launcher.hpp>

#include "support/simt/pointer.hpp"

namespace simt {

using pixmim::detail::cuda::Argument;
using pixmim::detail::cuda::Kernel;
using pixmim::detail::cuda::LaunchShape;

/// The arguments of a launch as a kernel takes them.
class Parameters {
 public:
  Parameters(c10::ArrayRef<Argument> arguments, c10::ArrayRef<Range> memories)
      : arguments_(arguments), memories_(memories) {}

  template <class T>
  std::decay_t<T> get(std::size_t i) const {
    return get(i, static_cast<std::decay_t<T>*>(nullptr));
  }

 private:
  template <class T>
  Pointer<T, Space::Global> get(std::size_t i, Pointer<T, Space::Global>* /*type*/) const {
    expect(i, arguments_[i].is_memory(), "memory");
    if constexpr (!std::is_const_v<T>) {
      expect(i, arguments_[i].is_written(), "memory that may be written");
    }
    return {memories_[i], memories_[i].first};
  }
  template <class T>
  T get(std::size_t i, T* /*type*/) const {
    expect(i, !arguments_[i].is_memory() && arguments_[i].size() == sizeof(T),
           "a value of " + std::to_string(sizeof(T)) + " bytes");
    T value;
    std::memcpy(&value, arguments_[i].data(), sizeof(T));
    return value;
  }
  static void expect(std::size_t i, bool fits, const std::string& what);

  c10::ArrayRef<Argument> arguments_;
  c10::ArrayRef<Range> memories_;
};

/// What runs one thread.
struct CompiledKernel {
  std::size_t parameters;
  std::function<std::function<void()>(const Parameters&)> bind;
};

/// A launch as an engine asked for it.
struct LaunchRecord {
  std::string kernel;
  LaunchShape shape;
  std::size_t shared_bytes;
};

/// Memory that a kernel got by Argument::writes() counts as unwritten, and is filled with ones, which are
/// not a number, before it runs: what a kernel forgets to write is seen.
///
/// A launch that does something wrong throws c10::Error: kernel, block, thread, and what.
///
///     simt::Executor executor(seed);
///     PIXMIM_ADD_KERNEL(executor, copy_rows<Vector16>);
///     engine(executor, tensors on the CPU);
class Executor : public pixmim::detail::cuda::Launcher {
 public:
  explicit Executor(uint64_t seed = 0) : seed_(seed) {}

  /// `name` as an engine names it, spaces aside.
  template <class... Ts>
  void add(const std::string& name, void (*kernel)(Ts...)) {
    add(name, kernel, std::index_sequence_for<Ts...>());
  }

  void prepare(const Kernel& kernel) override;
  void launch(const Kernel& kernel, const LaunchShape& shape,
              c10::ArrayRef<Argument> arguments) override;
  int64_t multiprocessors() const override { return 4; }
  std::size_t shared_bytes_per_block() const override { return shared_bytes_allowed_; }

  /// As of the GPU that the tests stand for: 163 KiB on sm_80, 227 KiB on sm_90, 99 KiB on sm_120.
  void allow_shared_bytes(std::size_t bytes) { shared_bytes_allowed_ = bytes; }
  void use_seed(uint64_t seed) { seed_ = seed; }
  const std::vector<LaunchRecord>& launches() const { return launches_; }
  /// The names that prepare() was called with.
  const std::vector<std::string>& prepared() const { return prepared_; }

 private:
  template <class... Ts, std::size_t... is>
  void add(const std::string& name, void (*kernel)(Ts...), std::index_sequence<is...> /*indices*/) {
    CompiledKernel compiled;
    compiled.parameters = sizeof...(Ts);
    compiled.bind = [kernel](const Parameters& parameters) -> std::function<void()> {
      return [kernel, arguments = std::tuple<std::decay_t<Ts>...>{
                          parameters.template get<Ts>(is)...}] { std::apply(kernel, arguments); };
    };
    add_compiled(name, std::move(compiled));
  }
  void add_compiled(const std::string& name, CompiledKernel kernel);
  const CompiledKernel& find(const Kernel& kernel) const;

  uint64_t seed_;
  std::size_t shared_bytes_allowed_ = 227 * 1024;
  std::map<std::string, CompiledKernel> kernels_;
  std::vector<LaunchRecord> launches_;
  std::vector<std::string> prepared_;
};

}  // namespace simt

/// Adds pixmim::kernels::<the rest> under the name that it is written with.
#define PIXMIM_ADD_KERNEL(executor, ...)            \
  do {                                              \
    using namespace ::pixmim::kernels; /* NOLINT */ \
    (executor).add(#__VA_ARGS__, &__VA_ARGS__);     \
  } while (false)
