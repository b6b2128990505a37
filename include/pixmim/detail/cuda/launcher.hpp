// SPDX-License-Identifier: Apache-2.0
// How an engine starts a kernel, whatever runs it: a GPU, or the executor of the tests.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/ArrayRef.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>

namespace pixmim {
inline namespace v0 {
namespace detail {
namespace cuda {

/// One specialisation of a kernel.
struct Kernel {
  /// In detail/cuda/kernels, e.g. "token_rows.cuh".
  std::string file;
  /// In namespace pixmim::kernels, with its template arguments: "copy_rows<16>".
  std::string name;
  /// Dynamic shared memory of a block.
  std::size_t shared_bytes = 0;
};

/// Blocks in a row, threads in a row: kernels compute the rest.
struct LaunchShape {
  int64_t blocks;
  int threads;
};

/// A parameter of a kernel: memory of a tensor, or a small value.
class Argument {
 public:
  /// Memory that the kernel reads. An undefined tensor is a null pointer.
  static Argument reads(const at::Tensor& tensor) {
    return Argument(tensor.defined() ? tensor.const_data_ptr() : nullptr, tensor, false);
  }
  /// Memory that the kernel writes, and may read.
  static Argument writes(const at::Tensor& tensor) {
    return Argument(tensor.defined() ? tensor.mutable_data_ptr() : nullptr, tensor, true);
  }
  template <class Value>
  static Argument value(const Value& value) {
    static_assert(std::is_trivially_copyable_v<Value> && !std::is_pointer_v<Value>,
                  "memory is given by reads() and writes()");
    static_assert(sizeof(Value) <= sizeof(bytes_));
    Argument argument;
    argument.size_ = sizeof(Value);
    std::memcpy(argument.bytes_.data(), &value, sizeof(Value));
    return argument;
  }

  bool is_memory() const { return is_memory_; }
  bool is_written() const { return is_written_; }
  /// The parameter as it is passed: a pointer, or the value.
  const void* data() const { return bytes_.data(); }
  std::size_t size() const { return size_; }
  /// How much memory stands behind the pointer.
  std::size_t extent() const { return extent_; }

 private:
  Argument() = default;
  Argument(const void* first, const at::Tensor& tensor, bool is_written)
      : size_(sizeof(first)),
        extent_(tensor.defined()
                    ? tensor.storage().nbytes() -
                          static_cast<std::size_t>(tensor.storage_offset()) * tensor.element_size()
                    : 0),
        is_memory_(true),
        is_written_(is_written) {
    std::memcpy(bytes_.data(), &first, sizeof(first));
  }

  alignas(16) std::array<unsigned char, 128> bytes_{};
  std::size_t size_ = 0;
  std::size_t extent_ = 0;
  bool is_memory_ = false;
  bool is_written_ = false;
};

/// Starts kernels on one device, on the stream that is current for it.
class Launcher {
 public:
  virtual ~Launcher() = default;

  /// Compiles and loads what launch() needs, which a stream that is being captured could not do.
  virtual void prepare(const Kernel& kernel) = 0;
  /// Starts, and does not wait. Arguments are read before it returns.
  virtual void launch(const Kernel& kernel, const LaunchShape& shape,
                      c10::ArrayRef<Argument> arguments) = 0;

  virtual int64_t multiprocessors() const = 0;
  /// The most dynamic shared memory that a block may ask for.
  virtual std::size_t shared_bytes_per_block() const = 0;
};

}  // namespace cuda
}  // namespace detail
}  // namespace v0
}  // namespace pixmim
