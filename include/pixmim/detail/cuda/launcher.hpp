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
    return Argument(tensor.defined() ? tensor.const_data_ptr() : nullptr, tensor, Access::Read);
  }
  /// The same of a table with addresses of elements of `tensors`, which the kernel reads by
  /// global_memory(). The list must live until launch() returns.
  static Argument reads(const at::Tensor& table, c10::ArrayRef<at::Tensor> tensors) {
    Argument argument = reads(table);
    argument.reached_ = tensors;
    return argument;
  }
  /// Memory that the kernel writes, and reads only where it wrote. What it does not write is not
  /// defined afterwards.
  static Argument writes(const at::Tensor& tensor) {
    return Argument(tensor.defined() ? tensor.mutable_data_ptr() : nullptr, tensor, Access::Write);
  }
  /// Memory that the kernel finds written, and changes.
  static Argument updates(const at::Tensor& tensor) {
    return Argument(tensor.defined() ? tensor.mutable_data_ptr() : nullptr, tensor, Access::Update);
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

  bool is_memory() const { return access_ != Access::Value; }
  bool is_written() const { return access_ == Access::Write || access_ == Access::Update; }
  /// Whether the memory has values before.
  bool is_initialized() const { return access_ == Access::Read || access_ == Access::Update; }
  /// The parameter as it is passed: a pointer, or the value.
  const void* data() const { return bytes_.data(); }
  std::size_t size() const { return size_; }
  /// Bytes from the tensor's first element to the end of its last one.
  std::size_t extent() const { return extent_; }
  /// What a table has addresses of.
  c10::ArrayRef<at::Tensor> reached() const { return reached_; }

 private:
  enum class Access { Value, Read, Write, Update };

  Argument() = default;
  Argument(const void* first, const at::Tensor& tensor, Access access)
      : size_(sizeof(first)), extent_(bytes_spanned(tensor)), access_(access) {
    std::memcpy(bytes_.data(), &first, sizeof(first));
  }
  static std::size_t bytes_spanned(const at::Tensor& tensor) {
    if (!tensor.defined() || tensor.numel() == 0) return 0;
    int64_t last = 0;
    for (int64_t d = 0; d < tensor.dim(); ++d) last += (tensor.size(d) - 1) * tensor.stride(d);
    return static_cast<std::size_t>((last + 1) * tensor.element_size());
  }

  alignas(16) std::array<unsigned char, 128> bytes_{};
  std::size_t size_ = 0;
  std::size_t extent_ = 0;
  Access access_ = Access::Value;
  c10::ArrayRef<at::Tensor> reached_;
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
