// SPDX-License-Identifier: Apache-2.0
// Adds rows of tokens. Included once for each instruction set: see detail/simd/multiversion.inl.

namespace pixmim {
inline namespace v0 {
namespace detail {
namespace PIXMIM_SIMD {
namespace token_rows {

/// sum[i] += row[i]
template <typename Element, typename Sum>
PIXMIM_TARGET void add_row(const void* row, int64_t width, Sum* sum) {
  constexpr int64_t lanes = Vector<Sum>::lanes;
  const auto* from = static_cast<const Element*>(row);
  int64_t i = 0;
  for (; i + lanes <= width; i += lanes) {
    (Vector<Sum>::load(sum + i) + Vector<Sum>::load(from + i)).store(sum + i);
  }
  for (; i < width; ++i) sum[i] += static_cast<Sum>(from[i]);
}

}  // namespace token_rows
}  // namespace PIXMIM_SIMD
}  // namespace detail
}  // namespace v0
}  // namespace pixmim
