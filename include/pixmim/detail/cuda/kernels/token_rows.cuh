// SPDX-License-Identifier: Apache-2.0
// Whole rows of tokens: those that a mask keeps, and back; and the sum of the masked ones.
//
// Ids that are out of range, or that contradict each other, cannot be reported from here without making
// the host wait. No row is read for them: theirs becomes all ones, which is not a number in every
// floating-point format, so that the loss says it at once.
#pragma once

#include "dialect.cuh"
#include "elements.cuh"

namespace pixmim {
namespace kernels {

template <class Word>
PIXMIM_DEVICE Word all_ones() {
  return static_cast<Word>(~Word{0});
}
template <>
PIXMIM_DEVICE Vector16 all_ones<Vector16>() {
  return Vector16{{~0u, ~0u, ~0u, ~0u}};
}

/// The lanes that share a row: 2^`lanes_log2` threads in a row.
struct RowLanes {
  int32 lane;
  int32 lanes;
  /// Of all rows of the launch.
  int64 row;
};
PIXMIM_DEVICE RowLanes row_lanes(int32 lanes_log2) {
  const int32 lanes = 1 << lanes_log2;
  const int64 rows_a_block = threads_a_block() >> lanes_log2;
  return {thread_index() & (lanes - 1), lanes,
          block_index() * rows_a_block + (thread_index() >> lanes_log2)};
}

template <class Word>
PIXMIM_DEVICE void fill_row(Word value, int64 words, const RowLanes& at, Global<Word> to) {
  for (int64 i = at.lane; i < words; i += at.lanes) to[i] = value;
}

template <class Word>
PIXMIM_DEVICE void copy_row(Global<const Word> from, int64 words, const RowLanes& at,
                            Global<Word> to) {
  constexpr int32 in_flight = 4;  // loads that wait for memory together
  for (int64 first = at.lane; first < words; first += in_flight * at.lanes) {
    Word values[in_flight];
    for (int32 i = 0; i < in_flight; ++i) {
      if (first + i * at.lanes < words) values[i] = from[first + i * at.lanes];
    }
    for (int32 i = 0; i < in_flight; ++i) {
      if (first + i * at.lanes < words) to[first + i * at.lanes] = values[i];
    }
  }
}

/// to[n][k] = tokens[n][ids_keep[n][k]]: `rows` = N K rows of `words`. Steps are in words.
template <class Word>
PIXMIM_KERNEL(256)
keep_rows(Global<const Word> tokens, int64 sample_step, int64 row_step,
          Global<const int64> ids_keep, int32 token_count, int32 kept, int32 rows, int64 words,
          int32 lanes_log2, Global<Word> to) {
  const RowLanes at = row_lanes(lanes_log2);
  if (at.row >= rows) return;
  const int32 row = static_cast<int32>(at.row);
  const int64 token = ids_keep[row];
  const Global<Word> target = to + row * words;
  if (token < 0 || token >= token_count) return fill_row(all_ones<Word>(), words, at, target);
  copy_row<Word>(tokens + (row / kept * sample_step + token * row_step), words, at, target);
}

/// to[n][l] = visible[n][ids_restore[n][l]] where that is a kept row, else `hidden`, or zeros if that is
/// null: `rows` = N L rows of `words`.
template <class Word>
PIXMIM_KERNEL(256)
restore_rows(Global<const Word> visible, int64 sample_step, int64 row_step,
             Global<const Word> hidden, Global<const int64> ids_keep,
             Global<const int64> ids_restore, int32 token_count, int32 kept, int32 rows,
             int64 words, int32 lanes_log2, Global<Word> to) {
  const RowLanes at = row_lanes(lanes_log2);
  if (at.row >= rows) return;
  const int32 row = static_cast<int32>(at.row);
  const int32 sample = row / token_count;
  const int32 token = row - sample * token_count;
  const int64 place = ids_restore[row];
  const Global<Word> target = to + row * words;
  if (place >= kept && place < token_count) {
    if (!hidden) return fill_row(Word{}, words, at, target);
    return copy_row<Word>(hidden, words, at, target);
  }
  const bool in_range = place >= 0 && place < token_count;
  if (!in_range || ids_keep[int64{sample} * kept + place] != token) {
    return fill_row(all_ones<Word>(), words, at, target);
  }
  copy_row<Word>(visible + (sample * sample_step + place * row_step), words, at, target);
}

PIXMIM_DEVICE double to_sum(double value) {
  return value;
}
template <class Element>
PIXMIM_DEVICE float to_sum(Element value) {
  return to_float(value);
}

/// sums[n * sums_a_sample + s] = the sum of those masked rows of full[n] that are among the `rows_a_sum`
/// from s * rows_a_sum on: `sums_count` = N * sums_a_sample rows of `packs` packs. Steps are in packs.
template <class Element, int32 pack, class Sum>
PIXMIM_KERNEL(256)
sum_masked_rows(Global<const Neighbours<Element, pack>> full, int64 sample_step, int64 row_step,
                Global<const int64> ids_restore, int32 token_count, int32 kept, int32 rows_a_sum,
                int32 sums_a_sample, int32 sums_count, int32 packs, Global<Sum> sums) {
  const int64 index = block_index() * threads_a_block() + thread_index();
  const int64 sum = index / packs;
  if (sum >= sums_count) return;
  const int32 column = static_cast<int32>(index - sum * packs);
  const int32 sample = static_cast<int32>(sum) / sums_a_sample;
  const int32 first = (static_cast<int32>(sum) - sample * sums_a_sample) * rows_a_sum;
  const int32 end = token_count - first < rows_a_sum ? token_count : first + rows_a_sum;
  Sum totals[pack] = {};
  for (int32 token = first; token < end; ++token) {
    if (ids_restore[int64{sample} * token_count + token] < kept) continue;
    const Neighbours<Element, pack> row = full[sample * sample_step + token * row_step + column];
    for (int32 i = 0; i < pack; ++i) totals[i] += to_sum(row.values[i]);
  }
  for (int32 i = 0; i < pack; ++i) sums[index * pack + i] = totals[i];
}

template <class Element>
PIXMIM_DEVICE Element from_sum(double total) {
  return round_to<Element>(static_cast<float>(total));
}
template <>
PIXMIM_DEVICE double from_sum<double>(double total) {
  return total;
}

/// to[d] = sums[0][d] + .. + sums[sums_count - 1][d], in double: a warp adds every eighth row of 32
/// columns, then the eight sums are added in order.
template <class Element, class Sum>
PIXMIM_KERNEL(256)
add_sums(Global<const Sum> sums, int32 sums_count, int32 width, Global<Element> to) {
  constexpr int32 columns = 32;
  const Shared<double> totals = shared_memory<double>(0, threads_a_block());
  const int32 warps = threads_a_block() / columns;
  const int32 warp = thread_index() / columns;
  const int64 column = block_index() * columns + thread_index() % columns;
  double total = 0;
  if (column < width) {
    for (int64 i = warp; i < sums_count; i += warps) total += to_sum(sums[i * width + column]);
  }
  totals[thread_index()] = total;
  synchronize_block();
  if (warp > 0 || column >= width) return;
  for (int32 w = 1; w < warps; ++w) total += totals[w * columns + thread_index()];
  to[column] = from_sum<Element>(total);
}

}  // namespace kernels
}  // namespace pixmim
