// SPDX-License-Identifier: Apache-2.0
// Whole rows of tokens by the kernels of detail/cuda/kernels/token_rows.cuh: what rows.hpp does on the CPU.
//
// Differs: ids that are out of range, or that contradict each other, give rows of NaN (see the kernels)
// where the CPU throws: the host does not wait for what it started.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/view_as_complex.h>
#include <ATen/ops/view_as_real.h>
#include <c10/core/DeviceGuard.h>
#include <c10/util/Exception.h>

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "pixmim/detail/cuda/launcher.hpp"
#include "pixmim/detail/masking/rows.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {
namespace cuda {

inline std::string word_name(int64_t bytes) {
  switch (bytes) {
    case 16:
      return "Vector16";
    case 8:
      return "uint64";
    case 4:
      return "uint32";
    case 2:
      return "uint16";
    default:
      return "uint8";
  }
}

inline Kernel row_kernel(const std::string& name) {
  return {"token_rows.cuh", name};
}

/// The kernel that adds rows of a dtype, `pack` elements at once, and the one that adds the sums.
struct SumKernels {
  Kernel rows;
  Kernel sums;
};
inline SumKernels sum_kernels(c10::ScalarType dtype, int64_t pack) {
  constexpr int threads = 256;
  std::string element = "float";
  if (dtype == at::kHalf) element = "float16";
  if (dtype == at::kBFloat16) element = "bfloat16";
  if (dtype == at::kDouble) element = "double";
  const std::string sum = dtype == at::kDouble ? "double" : "float";
  SumKernels result;
  result.rows =
      row_kernel("sum_masked_rows<" + element + ", " + std::to_string(pack) + ", " + sum + ">");
  result.sums = row_kernel("add_sums<" + element + ", " + sum + ">");
  result.sums.shared_bytes = threads * sizeof(double);
  return result;
}

/// Every specialisation that may be launched.
inline std::vector<Kernel> token_row_kernels() {
  std::vector<Kernel> kernels;
  for (const int64_t bytes : {1, 2, 4, 8, 16}) {
    kernels.push_back(row_kernel("keep_rows<" + word_name(bytes) + ">"));
    kernels.push_back(row_kernel("restore_rows<" + word_name(bytes) + ">"));
  }
  for (const auto dtype : {at::kHalf, at::kBFloat16, at::kFloat, at::kDouble}) {
    const auto wide = static_cast<int64_t>(16 / c10::elementSize(dtype));
    kernels.push_back(sum_kernels(dtype, 1).rows);
    kernels.push_back(sum_kernels(dtype, wide).rows);
    kernels.push_back(sum_kernels(dtype, wide).sums);
  }
  return kernels;
}

inline int32_t expect_32_bits(const char* name, int64_t value) {
  TORCH_CHECK(value <= std::numeric_limits<int32_t>::max(), "TokenMask: expected less than 2^31 ",
              name, " on a GPU, got ", value);
  return static_cast<int32_t>(value);
}

/// Rows of `words` words are moved by 2^lanes_log2 threads each.
struct RowLaunch {
  int32_t lanes_log2;
  LaunchShape shape;
};
inline RowLaunch row_launch(int64_t rows, int64_t words) {
  constexpr int threads = 256;
  constexpr int32_t most_log2 = 5;
  int32_t lanes_log2 = 0;
  while (lanes_log2 < most_log2 && (int64_t{1} << lanes_log2) < words) ++lanes_log2;
  const int64_t rows_a_block = threads >> lanes_log2;
  return {lanes_log2, {(rows + rows_a_block - 1) / rows_a_block, threads}};
}

inline int64_t address_of(const at::Tensor& tensor) {
  return static_cast<int64_t>(reinterpret_cast<std::intptr_t>(tensor.const_data_ptr()));
}

/// Where the rows of a tensor [N,M,..] with whole rows are, in bytes.
struct RowPlaces {
  explicit RowPlaces(const at::Tensor& tensor)
      : first(address_of(tensor)),
        sample_step(tensor.stride(0) * tensor.element_size()),
        row_step(tensor.stride(1) * tensor.element_size()),
        bytes(c10::multiply_integers(tensor.sizes().slice(2)) * tensor.element_size()) {}

  int64_t first;
  int64_t sample_step;
  int64_t row_step;
  /// Of a row.
  int64_t bytes;
};

/// The bytes that a thread moves at once: the most that all of these are multiples of.
inline int64_t bytes_at_once(const RowPlaces& rows, int64_t other_address = 0) {
  constexpr int64_t widest = 16;
  const int64_t bits =
      widest | rows.first | rows.sample_step | rows.row_step | rows.bytes | other_address;
  return bits & -bits;
}

/// tokens [N,L,..] -> [N,K,..].
inline at::Tensor keep_rows(Launcher& launcher, const at::Tensor& tokens, const TokenOrder& order) {
  const c10::DeviceGuard device_guard(tokens.device());
  const at::Tensor source = with_whole_rows(tokens);
  const at::Tensor result = at::empty(with_rows(tokens, order.kept()), source.options());
  if (result.numel() == 0) return result;
  const RowPlaces from(source);
  const int64_t word = bytes_at_once(from);
  const int32_t rows = expect_32_bits("rows", order.samples() * order.kept());
  const int64_t words = from.bytes / word;
  const RowLaunch launch = row_launch(rows, words);
  launcher.launch(
      row_kernel("keep_rows<" + word_name(word) + ">"), launch.shape,
      {Argument::reads(source), Argument::value(from.sample_step / word),
       Argument::value(from.row_step / word), Argument::reads(order.ids_keep),
       Argument::value(static_cast<int32_t>(order.tokens())),
       Argument::value(static_cast<int32_t>(order.kept())), Argument::value(rows),
       Argument::value(words), Argument::value(launch.lanes_log2), Argument::writes(result)});
  return result;
}

/// visible [N,K,..] and mask_token [..], of one dtype, -> [N,L,..]. An undefined mask token means zeros:
/// the gradient of keep_rows.
inline at::Tensor restore_rows(Launcher& launcher, const at::Tensor& visible,
                               const at::Tensor& mask_token, const TokenOrder& order) {
  const c10::DeviceGuard device_guard(visible.device());
  const at::Tensor source = with_whole_rows(visible);
  const at::Tensor result = at::empty(with_rows(visible, order.tokens()), source.options());
  if (result.numel() == 0) return result;
  at::Tensor hidden;
  if (mask_token.defined()) hidden = mask_token.resolve_conj().resolve_neg().contiguous();
  const RowPlaces from(source);
  const int64_t word = bytes_at_once(from, hidden.defined() ? address_of(hidden) : 0);
  const int32_t rows = expect_32_bits("rows", order.samples() * order.tokens());
  const int64_t words = from.bytes / word;
  const RowLaunch launch = row_launch(rows, words);
  launcher.launch(
      row_kernel("restore_rows<" + word_name(word) + ">"), launch.shape,
      {Argument::reads(source), Argument::value(from.sample_step / word),
       Argument::value(from.row_step / word), Argument::reads(hidden),
       Argument::reads(order.ids_keep), Argument::reads(order.ids_restore),
       Argument::value(static_cast<int32_t>(order.tokens())),
       Argument::value(static_cast<int32_t>(order.kept())), Argument::value(rows),
       Argument::value(words), Argument::value(launch.lanes_log2), Argument::writes(result)});
  return result;
}

/// The sum over the masked rows of full [N,L,..]: [..]. The same bits every time: sums of 64 rows in
/// float32, or float64 for float64, then sums of these in float64.
inline at::Tensor sum_of_masked_rows(Launcher& launcher, const at::Tensor& full,
                                     const TokenOrder& order) {
  const c10::DeviceGuard device_guard(full.device());
  if (full.is_complex()) {
    return at::view_as_complex(
        sum_of_masked_rows(launcher, at::view_as_real(full.resolve_conj()), order));
  }
  const auto dtype = full.scalar_type();
  TORCH_CHECK_TYPE(
      dtype == at::kHalf || dtype == at::kBFloat16 || dtype == at::kFloat || dtype == at::kDouble,
      "TokenMask::restore: expected a gradient of float16, bfloat16, float32, float64, complex64 "
      "or "
      "complex128, got ",
      dtype);
  const at::Tensor source = with_whole_rows(full);
  const at::Tensor result = at::empty(full.sizes().slice(2), source.options());
  if (result.numel() == 0) return result;
  constexpr int threads = 256;
  constexpr int64_t rows_a_sum = 64;
  constexpr int64_t columns_a_block = 32;
  const RowPlaces from(source);
  const int64_t element = full.element_size();
  const int32_t width = expect_32_bits("columns", from.bytes / element);
  const int64_t sums_a_sample = (order.tokens() + rows_a_sum - 1) / rows_a_sum;
  const int32_t sums = expect_32_bits("sums", order.samples() * sums_a_sample);
  const int64_t pack = bytes_at_once(from) == 16 ? 16 / element : 1;
  const SumKernels kernels = sum_kernels(dtype, pack);
  const at::Tensor partial =
      at::empty({sums, width}, source.options().dtype(dtype == at::kDouble ? dtype : at::kFloat));
  if (sums > 0) {
    const auto packs = static_cast<int32_t>(width / pack);
    launcher.launch(
        kernels.rows, {(int64_t{sums} * packs + threads - 1) / threads, threads},
        {Argument::reads(source), Argument::value(from.sample_step / (pack * element)),
         Argument::value(from.row_step / (pack * element)), Argument::reads(order.ids_restore),
         Argument::value(static_cast<int32_t>(order.tokens())),
         Argument::value(static_cast<int32_t>(order.kept())),
         Argument::value(static_cast<int32_t>(rows_a_sum)),
         Argument::value(static_cast<int32_t>(sums_a_sample)), Argument::value(sums),
         Argument::value(packs), Argument::writes(partial)});
  }
  launcher.launch(kernels.sums, {(width + columns_a_block - 1) / columns_a_block, threads},
                  {Argument::reads(partial), Argument::value(sums), Argument::value(width),
                   Argument::writes(result)});
  return result;
}

}  // namespace cuda
}  // namespace detail
}  // namespace v0
}  // namespace pixmim
