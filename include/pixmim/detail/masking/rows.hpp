// SPDX-License-Identifier: Apache-2.0
// Whole rows of tokens on the CPU: those that a mask keeps, and back. Bytes are moved, whatever they
// mean; only the sum of the masked rows has a dtype.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/view_as_complex.h>
#include <ATen/ops/view_as_real.h>
#include <ATen/ops/zeros.h>
#include <c10/util/BFloat16.h>
#include <c10/util/Exception.h>
#include <c10/util/Half.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "pixmim/detail/cuda/launcher.hpp"
#include "pixmim/detail/large_pages.hpp"
#include "pixmim/detail/parallel.hpp"
#include "pixmim/detail/simd/instruction_set.hpp"

#define PIXMIM_KERNELS "pixmim/detail/masking/row_sums.inl"
#include "pixmim/detail/simd/multiversion.inl"

namespace pixmim {
inline namespace v0 {
namespace detail {

/// The ids of a TokenMask, contiguous, and who moves rows by them.
struct TokenOrder {
  at::Tensor ids_keep;
  at::Tensor ids_restore;
  /// Starts kernels (cuda_rows.hpp), and outlives what autograd keeps; null on the CPU.
  cuda::Launcher* launcher = nullptr;

  int64_t samples() const { return ids_restore.size(0); }
  int64_t tokens() const { return ids_restore.size(1); }
  int64_t kept() const { return ids_keep.size(1); }
};

/// `tokens`, copied if the bytes of a row do not stand together.
inline at::Tensor with_whole_rows(const at::Tensor& tokens) {
  const at::Tensor plain = tokens.resolve_conj().resolve_neg();
  int64_t step = 1;
  for (int64_t d = plain.dim() - 1; d >= 2; --d) {
    if (plain.size(d) != 1 && plain.stride(d) != step) return plain.contiguous();
    step *= plain.size(d);
  }
  return plain;
}

/// The rows of a tensor [N,M,..] with whole rows.
class Rows {
 public:
  explicit Rows(const at::Tensor& tensor)
      : first_(static_cast<const char*>(tensor.const_data_ptr())),
        sample_step_(tensor.stride(0) * tensor.element_size()),
        row_step_(tensor.stride(1) * tensor.element_size()),
        bytes_(c10::multiply_integers(tensor.sizes().slice(2)) * tensor.element_size()) {}

  int64_t bytes() const { return bytes_; }
  const char* row(int64_t sample, int64_t i) const {
    return first_ + sample * sample_step_ + i * row_step_;
  }

 private:
  const char* first_;
  int64_t sample_step_;
  int64_t row_step_;
  int64_t bytes_;
};

inline void copy_row(const char* from, int64_t bytes, char* to) {
  std::memcpy(to, from, static_cast<std::size_t>(bytes));
}

/// Rows that are worth a thread.
inline int64_t rows_a_part(int64_t bytes) {
  constexpr int64_t bytes_a_part = 1 << 18;
  return std::max<int64_t>(1, bytes_a_part / std::max<int64_t>(bytes, 1));
}

inline void expect_id(const char* name, int64_t id, int64_t count) {
  TORCH_CHECK_INDEX(id >= 0 && id < count, "TokenMask: expected ", name, " in [0, ", count,
                    "), got ", id);
}

/// Everybody may write into a TokenMask, between forward and backward, too. Throws unless ids_restore
/// is a permutation whose first places are those of ids_keep: what follows relies on it.
inline void expect_order(const TokenOrder& order) {
  const int64_t tokens = order.tokens();
  const int64_t kept = order.kept();
  const auto* const ids_keep = order.ids_keep.const_data_ptr<int64_t>();
  const auto* const ids_restore = order.ids_restore.const_data_ptr<int64_t>();
  constexpr int64_t tokens_a_part = 1 << 14;
  const int64_t samples_a_part = tokens_a_part / std::max<int64_t>(tokens, 1);
  parallel_for(
      order.samples(), std::max<int64_t>(1, samples_a_part), [&](int64_t begin, int64_t end) {
        std::vector<char> taken(static_cast<std::size_t>(tokens));
        for (int64_t n = begin; n < end; ++n) {
          const int64_t* const keep = ids_keep + n * kept;
          for (int64_t k = 0; k < kept; ++k) expect_id("ids_keep", keep[k], tokens);
          std::fill(taken.begin(), taken.end(), 0);
          for (int64_t token = 0; token < tokens; ++token) {
            const int64_t place = ids_restore[n * tokens + token];
            expect_id("ids_restore", place, tokens);
            char& is_taken = taken[static_cast<std::size_t>(place)];
            TORCH_CHECK_INDEX(is_taken == 0,
                              "TokenMask: expected ids_restore to be a permutation, got place ",
                              place, " twice in sample ", n);
            is_taken = 1;
            TORCH_CHECK_INDEX(
                place >= kept || keep[place] == token,
                "TokenMask: expected ids_restore to be the inverse of ids_keep, got token ", token,
                " at place ", place, ", where ids_keep has ", keep[place], ", in sample ", n);
          }
        }
      });
}

/// Shape of rows like those of `like` [N,M,..].
inline std::vector<int64_t> with_rows(const at::Tensor& like, int64_t rows) {
  std::vector<int64_t> shape = like.sizes().vec();
  shape[1] = rows;
  return shape;
}

/// tokens [N,L,..] -> [N,K,..], by an order that has been checked.
inline at::Tensor keep_rows(const at::Tensor& tokens, const TokenOrder& order) {
  at::Tensor result = empty_in_large_pages(with_rows(tokens, order.kept()), tokens.scalar_type());
  if (result.numel() == 0) return result;
  const at::Tensor source = with_whole_rows(tokens);
  const Rows from(source);
  const int64_t kept = order.kept();
  const auto* ids = order.ids_keep.const_data_ptr<int64_t>();
  auto* const to = static_cast<char*>(result.mutable_data_ptr());
  parallel_for(order.samples() * kept, rows_a_part(from.bytes()), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      copy_row(from.row(i / kept, ids[i]), from.bytes(), to + i * from.bytes());
    }
  });
  return result;
}

/// visible [N,K,..] and mask_token [..], of one dtype, -> [N,L,..].
inline at::Tensor restore_rows(const at::Tensor& visible, const at::Tensor& mask_token,
                               const TokenOrder& order) {
  expect_order(order);
  const int64_t tokens = order.tokens();
  const int64_t kept = order.kept();
  at::Tensor result = empty_in_large_pages(with_rows(visible, tokens), visible.scalar_type());
  if (result.numel() == 0) return result;
  const at::Tensor source = with_whole_rows(visible);
  const Rows from(source);
  const at::Tensor hidden = mask_token.resolve_conj().resolve_neg().contiguous();
  const auto* const hidden_row = static_cast<const char*>(hidden.const_data_ptr());
  const auto* places = order.ids_restore.const_data_ptr<int64_t>();
  auto* const to = static_cast<char*>(result.mutable_data_ptr());
  parallel_for(order.samples() * tokens, rows_a_part(from.bytes()),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i) {
                   const int64_t place = places[i];
                   const char* row = place < kept ? from.row(i / tokens, place) : hidden_row;
                   copy_row(row, from.bytes(), to + i * from.bytes());
                 }
               });
  return result;
}

/// tokens [N,L,..] with mask_token [..], of one dtype, where hidden [N,L] bool says so.
inline at::Tensor fill_rows(const at::Tensor& tokens, const at::Tensor& mask_token,
                            const at::Tensor& hidden) {
  at::Tensor result = empty_in_large_pages(tokens.sizes(), tokens.scalar_type());
  if (result.numel() == 0) return result;
  const at::Tensor source = with_whole_rows(tokens);
  const Rows from(source);
  const at::Tensor filling = mask_token.resolve_conj().resolve_neg().contiguous();
  const auto* const filling_row = static_cast<const char*>(filling.const_data_ptr());
  const at::Tensor whole = hidden.contiguous();
  const auto* const is_hidden = whole.const_data_ptr<bool>();
  auto* const to = static_cast<char*>(result.mutable_data_ptr());
  parallel_for(hidden.numel(), rows_a_part(from.bytes()), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const char* row =
          is_hidden[i] ? filling_row : from.row(i / tokens.size(1), i % tokens.size(1));
      copy_row(row, from.bytes(), to + i * from.bytes());
    }
  });
  return result;
}

/// Where sums of elements are kept.
template <typename Element>
struct SumOf {
  using Type = float;
};
template <>
struct SumOf<double> {
  using Type = double;
};

/// The sum over the masked rows of full [N,L,..], by an order that has been checked: [..]. The same bits
/// for any number of threads.
template <typename Element>
at::Tensor sum_of_masked_rows(const at::Tensor& full, const TokenOrder& order) {
  using Sum = typename SumOf<Element>::Type;
  const at::Tensor source = with_whole_rows(full);
  const Rows from(source);
  const int64_t tokens = order.tokens();
  const int64_t width = from.bytes() / full.element_size();
  constexpr int64_t rows_a_sum = 64;
  const int64_t sums_a_sample = (tokens + rows_a_sum - 1) / rows_a_sum;
  const int64_t sums = order.samples() * sums_a_sample;
  const at::Tensor partial = at::zeros({sums, width}, c10::CppTypeToScalarType<Sum>::value);
  auto* const partial_sums = partial.mutable_data_ptr<Sum>();
  const auto* places = order.ids_restore.const_data_ptr<int64_t>();
  parallel_for(sums, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t sample = i / sums_a_sample;
      const int64_t first = i % sums_a_sample * rows_a_sum;
      for (int64_t t = first; t < std::min(first + rows_a_sum, tokens); ++t) {
        if (places[sample * tokens + t] < order.kept()) continue;
        PIXMIM_DISPATCH(token_rows::add_row<Element, Sum>(from.row(sample, t), width,
                                                          partial_sums + i * width));
      }
    }
  });
  std::vector<double> total(static_cast<std::size_t>(width));
  for (int64_t i = 0; i < sums; ++i) {
    for (int64_t d = 0; d < width; ++d) {
      total[static_cast<std::size_t>(d)] += static_cast<double>(partial_sums[i * width + d]);
    }
  }
  at::Tensor result = at::empty(full.sizes().slice(2), full.scalar_type());
  auto* const to = result.mutable_data_ptr<Element>();
  for (int64_t d = 0; d < width; ++d) {
    to[d] = static_cast<Element>(static_cast<Sum>(total[static_cast<std::size_t>(d)]));
  }
  return result;
}

inline at::Tensor sum_of_masked_rows(const at::Tensor& full, const TokenOrder& order) {
  switch (full.scalar_type()) {
    case at::kHalf:
      return sum_of_masked_rows<c10::Half>(full, order);
    case at::kBFloat16:
      return sum_of_masked_rows<c10::BFloat16>(full, order);
    case at::kFloat:
      return sum_of_masked_rows<float>(full, order);
    case at::kDouble:
      return sum_of_masked_rows<double>(full, order);
    case at::kComplexFloat:
    case at::kComplexDouble:
      return at::view_as_complex(sum_of_masked_rows(at::view_as_real(full.resolve_conj()), order));
    default:
      TORCH_CHECK_TYPE(false,
                       "TokenMask: expected a gradient of float16, bfloat16, "
                       "float32, float64, complex64 or complex128, got ",
                       full.scalar_type());
  }
}

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
