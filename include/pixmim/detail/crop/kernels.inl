// SPDX-License-Identifier: Apache-2.0
// The loops of a crop. Included once for each instruction set (simd/multiversion.inl).

namespace pixmim {
inline namespace v0 {
namespace detail {
namespace PIXMIM_SIMD {
namespace crop {

/// Columns that are made at once.
constexpr int64_t column_block = 16;

/// One output column of `rows_at_once` rows.
template <int stride>
PIXMIM_TARGET PIXMIM_ALWAYS_INLINE WeightedSums resample_column(const uint8_t* const* rows,
                                                                int64_t offset,
                                                                const WeightPair* weights,
                                                                int64_t pairs) {
  WeightedSums sums = WeightedSums::zero();
  for (; pairs >= 2; pairs -= 2, weights += 2, offset += 4 * stride) {
    const PixelBytes pixels = PixelBytes::load(rows, offset);
    sums.add(pixels.pair<stride, 0>(), weights[0]);
    sums.add(pixels.pair<stride, 1>(), weights[1]);
  }
  if (pairs > 0) sums.add(PixelBytes::load(rows, offset).template pair<stride, 0>(), weights[0]);
  return sums;
}

/// The horizontal pass: columns of `rows`, of which the first pixel is number `taps.begin`. Channel c of
/// row r goes to `lines[4 * r + c]`. `fixed_pairs`: the pairs of `taps`, or 0 for any.
template <int stride, int64_t fixed_pairs>
PIXMIM_TARGET void resample_columns_of(const uint8_t* const* rows, const TapTable& taps,
                                       int64_t columns, uint8_t* const* lines) {
  const int64_t pairs = fixed_pairs > 0 ? fixed_pairs : taps.pairs;
  const int64_t* low = taps.low.data();
  const WeightPair* weights = taps.weights.data();
  for (int64_t column = 0; column < columns; column += column_block) {
    WeightedSums sums[4][4];
    PIXMIM_UNROLL
    for (int i = 0; i < column_block; ++i) {
      sums[i / 4][i % 4] =
          resample_column<stride>(rows, (low[i] - taps.begin) * stride, weights + i * pairs, pairs);
    }
    store_columns(sums, lines, column);
    low += column_block;
    weights += column_block * pairs;
  }
}

template <int stride>
PIXMIM_TARGET inline void resample_columns(const uint8_t* const* rows, const TapTable& taps,
                                           int64_t columns, uint8_t* const* lines) {
  // Most photographs are made smaller by less than 2 or 3 times.
  switch (taps.pairs) {
    case 1:
      return resample_columns_of<stride, 1>(rows, taps, columns, lines);
    case 2:
      return resample_columns_of<stride, 2>(rows, taps, columns, lines);
    case 3:
      return resample_columns_of<stride, 3>(rows, taps, columns, lines);
    default:
      return resample_columns_of<stride, 0>(rows, taps, columns, lines);
  }
}

/// The vertical pass: the sum of `count` rows. Writes up to `bytes_at_once` more than `bytes`.
template <int64_t fixed_pairs>
PIXMIM_TARGET void resample_rows_of(const uint8_t* const* rows, const WeightPair* weights,
                                    int64_t count, int64_t bytes, uint8_t* to) {
  const int64_t pairs = fixed_pairs > 0 ? fixed_pairs : (count + 1) / 2;
  for (int64_t i = 0; i < bytes; i += bytes_at_once) {
    WeightedSums sums[4];
    PIXMIM_UNROLL
    for (auto& sum : sums) sum = WeightedSums::zero();
    for (int64_t p = 0; p < pairs; ++p) {
      // Behind an odd number of rows follows the last one once more, with no weight.
      const uint8_t* const second = rows[2 * p + 1 < count ? 2 * p + 1 : 2 * p];
      BytePairs both[4];
      interleave(rows[2 * p] + i, second + i, both);
      PIXMIM_UNROLL
      for (int k = 0; k < 4; ++k) sums[k].add(both[k], weights[p]);
    }
    store_bytes(sums, to + i);
  }
}

PIXMIM_TARGET inline void resample_rows(const uint8_t* const* rows, const WeightPair* weights,
                                        int64_t count, int64_t bytes, uint8_t* to) {
  switch ((count + 1) / 2) {
    case 1:
      return resample_rows_of<1>(rows, weights, count, bytes, to);
    case 2:
      return resample_rows_of<2>(rows, weights, count, bytes, to);
    default:
      return resample_rows_of<0>(rows, weights, count, bytes, to);
  }
}

/// (byte / 255 - mean) / std of whole registers, each step as rounded as a division: an estimate by the
/// reciprocal, and what it misses. Returns how many were done.
template <bool normalize, typename Out>
PIXMIM_TARGET PIXMIM_ALWAYS_INLINE int64_t divide_bytes(const uint8_t* bytes, int64_t count,
                                                        const ChannelValues& values, Out* to) {
  using Floats = Vector<float>;
  const Floats whole = Floats::broadcast(255);
  const Floats share_of = Floats::broadcast(1.0F / 255);
  const Floats minus_share_of = Floats::broadcast(-1.0F / 255);
  const Floats mean = Floats::broadcast(values.mean);
  const Floats std = Floats::broadcast(values.std);
  const Floats inverse = Floats::broadcast(1 / values.std);
  const Floats minus_inverse = Floats::broadcast(-1 / values.std);
  int64_t i = 0;
  for (; i + Floats::lanes <= count; i += Floats::lanes) {
    const Floats byte = Floats::load(bytes + i);
    const Floats share = byte * share_of;
    Floats result = multiply_add(multiply_subtract(share, whole, byte), minus_share_of, share);
    if constexpr (normalize) {
      const Floats distance = result - mean;
      const Floats deviations = distance * inverse;
      result =
          multiply_add(multiply_subtract(deviations, std, distance), minus_inverse, deviations);
    }
    result.store(to + i);
  }
  return i;
}

/// Whether `divide_bytes` makes the values of the table, on this machine.
template <bool normalize>
PIXMIM_TARGET bool divides_exactly(const ChannelValues& values) {
  uint8_t bytes[256];
  float results[256];
  for (int i = 0; i < 256; ++i) bytes[i] = static_cast<uint8_t>(i);
  return divide_bytes<normalize>(bytes, 256, values, results) == 256 &&
         std::memcmp(results, values.of_byte.data(), sizeof results) == 0;
}
PIXMIM_TARGET inline bool divides_exactly(const PixelValues& values) {
  for (const ChannelValues& channel : values.channels()) {
    if (!(channel.normalize ? divides_exactly<true>(channel) : divides_exactly<false>(channel))) {
      return false;
    }
  }
  return true;
}

/// Bytes to what the model reads. `divide`: by arithmetic, not by the table.
template <typename Out>
PIXMIM_TARGET void write_values(const uint8_t* bytes, int64_t count, const ChannelValues& values,
                                bool divide, Out* to) {
  int64_t i = 0;
  if (divide) {
    i = values.normalize ? divide_bytes<true>(bytes, count, values, to)
                         : divide_bytes<false>(bytes, count, values, to);
  }
  for (; i < count; ++i) to[i] = static_cast<Out>(values.of_byte[bytes[i]]);
}

/// One row of one channel.
PIXMIM_TARGET inline void write_row(const uint8_t* bytes, int64_t channel, int64_t place,
                                    const CropOutput& out) {
  char* const to = out.row(channel, place);
  if (out.dtype == at::kByte) {
    std::memcpy(to, bytes, static_cast<std::size_t>(out.size));
    return;
  }
  const ChannelValues& values = (*out.values)[channel];
  switch (out.dtype) {
    case at::kFloat:
      return write_values(bytes, out.size, values, out.divide, reinterpret_cast<float*>(to));
    case at::kHalf:
      return write_values(bytes, out.size, values, out.divide, reinterpret_cast<c10::Half*>(to));
    default:
      return write_values(bytes, out.size, values, out.divide,
                          reinterpret_cast<c10::BFloat16*>(to));
  }
}

/// A resized row to each place that shows it: the first is computed, the others copied.
PIXMIM_TARGET inline void show_row(const uint8_t* row, int64_t plane_bytes, int64_t position,
                                   int64_t first_channel, int64_t channels,
                                   const CropWorkspace& workspace, const CropOutput& out) {
  const int64_t first = workspace.first_place[static_cast<std::size_t>(position)];
  for (int64_t c = 0; c < channels; ++c) {
    const int64_t channel = first_channel + c;
    write_row(row + c * plane_bytes, channel, first, out);
    for (int64_t place = first;
         (place = workspace.next_place[static_cast<std::size_t>(place)]) >= 0;) {
      std::memcpy(out.row(channel, place), out.row(channel, first),
                  static_cast<std::size_t>(out.row_bytes()));
    }
  }
}

/// Both passes over up to four channels, row by row: what lies between them stays in the nearest cache.
template <int stride>
PIXMIM_TARGET void crop_channels(PhotoRows& input, int64_t first_channel, bool vertical_first,
                                 int64_t positions, CropWorkspace& workspace,
                                 const CropOutput& out) {
  const TapTable& vertical = workspace.rows;
  const int64_t channels = input.channels();
  const int64_t columns = out.size;
  const int64_t plane_bytes = (columns + 63) / 64 * 64;
  const int64_t line_bytes = channels * plane_bytes;
  const int64_t most_taps = 2 * vertical.pairs;
  workspace.row_pointers.resize(static_cast<std::size_t>(most_taps));
  const uint8_t** const tap_rows = workspace.row_pointers.data();

  const uint8_t* rows[rows_at_once];
  uint8_t* lines[4 * rows_at_once];
  // Where the channels of a row go that the photograph does not have.
  uint8_t* const nowhere = workspace.resized.of_size((rows_at_once * 4 + 1) * plane_bytes);
  uint8_t* const resized = nowhere + plane_bytes;
  const auto lines_of = [&](int64_t row, uint8_t* line) {
    for (int64_t c = 0; c < 4; ++c) {
      lines[4 * row + c] = c < channels ? line + c * plane_bytes : nowhere;
    }
  };
  const auto taps_of = [&](int64_t k, const auto& row_of) {
    const int64_t low = vertical.low[static_cast<std::size_t>(k)];
    const int64_t count = vertical.count[static_cast<std::size_t>(k)];
    for (int64_t t = 0; t < count; ++t) tap_rows[t] = row_of(low + t);
    return count;
  };

  if (vertical_first) {
    const int64_t bytes = input.row_bytes();
    const int64_t halfway_bytes = (bytes + input.margin() + 63) / 64 * 64;
    uint8_t* const halfway = workspace.halfway.of_size(rows_at_once * halfway_bytes);
    for (int64_t k = 0; k < positions; k += rows_at_once) {
      const int64_t some = std::min(rows_at_once, positions - k);
      for (int64_t r = 0; r < rows_at_once; ++r) {
        uint8_t* const to = halfway + r * halfway_bytes;
        rows[r] = to;
        lines_of(r, resized + r * 4 * plane_bytes);
        if (r >= some) continue;
        const int64_t count = taps_of(k + r, [&](int64_t y) { return input[y]; });
        resample_rows(tap_rows, vertical.weights_of(k + r), count, bytes, to);
      }
      resample_columns<stride>(rows, workspace.columns, columns, lines);
      for (int64_t r = 0; r < some; ++r) {
        show_row(lines[4 * r], plane_bytes, k + r, first_channel, channels, workspace, out);
      }
    }
    return;
  }

  int64_t slots = 1;
  while (slots < most_taps + rows_at_once) slots *= 2;
  uint8_t* const ring = workspace.halfway.of_size(slots * line_bytes);
  const auto ring_row = [&](int64_t y) { return ring + (y & (slots - 1)) * line_bytes; };
  int64_t next = vertical.begin;
  for (int64_t k = 0; k < positions; ++k) {
    const int64_t high =
        vertical.low[static_cast<std::size_t>(k)] + vertical.count[static_cast<std::size_t>(k)];
    for (; next < high; next += rows_at_once) {
      for (int64_t r = 0; r < rows_at_once; ++r) {
        rows[r] = input[std::min(next + r, vertical.end - 1)];
        lines_of(r, ring_row(next + r));
      }
      resample_columns<stride>(rows, workspace.columns, columns, lines);
    }
    const int64_t count = taps_of(k, ring_row);
    const uint8_t* row = tap_rows[0];
    if (count > 1) {
      resample_rows(tap_rows, vertical.weights_of(k), count, line_bytes, resized);
      row = resized;
    }
    show_row(row, plane_bytes, k, first_channel, channels, workspace, out);
  }
}

}  // namespace crop
}  // namespace PIXMIM_SIMD
}  // namespace detail
}  // namespace v0
}  // namespace pixmim
