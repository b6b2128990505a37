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

/// Both passes over up to four channels, row by row: what lies between them stays in the nearest
/// caches. Channels lie apart in what a pass leaves: a row is a line of `plane_bytes` for each.
template <int stride>
class Passes {
 public:
  Passes(PhotoRows& input, int64_t first_channel, int64_t positions, CropWorkspace& workspace,
         const CropOutput& out)
      : input_(input),
        first_channel_(first_channel),
        positions_(positions),
        workspace_(workspace),
        out_(out),
        plane_bytes_((out.size + 63) / 64 * 64),
        row_bytes_(input.channels() * plane_bytes_),
        resized_(workspace.resized.of_size(rows_at_once * row_bytes_ + plane_bytes_)),
        nowhere_(resized_ + rows_at_once * row_bytes_) {
    workspace.row_pointers.resize(static_cast<std::size_t>(2 * workspace.rows.pairs));
  }

  PIXMIM_TARGET void horizontal_first() {
    const TapTable& vertical = workspace_.rows;
    int64_t slots = 1;
    while (slots < 2 * vertical.pairs + rows_at_once) slots *= 2;
    uint8_t* const ring = workspace_.halfway.of_size(slots * row_bytes_);
    const auto ring_row = [&](int64_t y) { return ring + (y & (slots - 1)) * row_bytes_; };
    int64_t next = vertical.begin;
    for (int64_t k = 0; k < positions_; ++k) {
      const TapRange taps = vertical.range(k);
      for (; next < taps.high; next += rows_at_once) {
        for (int64_t r = 0; r < rows_at_once; ++r) {
          from_[r] = input_[std::min(next + r, vertical.end - 1)];
          send_to(r, ring_row(next + r));
        }
        resample_columns<stride>(from_, workspace_.columns, out_.size, lines_);
      }
      if (taps.count() == 1) {  // its weight is 1
        show(k, ring_row(taps.low));
      } else {
        list_rows(taps, ring_row);
        resample_rows(workspace_.row_pointers.data(), vertical.weights_of(k), taps.count(),
                      row_bytes_, resized_);
        show(k, resized_);
      }
    }
  }

  PIXMIM_TARGET void vertical_first() {
    const TapTable& vertical = workspace_.rows;
    const int64_t halfway_bytes = (input_.row_bytes() + input_.margin() + 63) / 64 * 64;
    uint8_t* const halfway = workspace_.halfway.of_size(rows_at_once * halfway_bytes);
    for (int64_t r = 0; r < rows_at_once; ++r) {
      from_[r] = halfway + r * halfway_bytes;
      send_to(r, resized_ + r * row_bytes_);
    }
    for (int64_t k = 0; k < positions_; k += rows_at_once) {
      const int64_t some = std::min(rows_at_once, positions_ - k);
      for (int64_t r = 0; r < some; ++r) {
        const TapRange taps = vertical.range(k + r);
        list_rows(taps, [&](int64_t y) { return input_[y]; });
        resample_rows(workspace_.row_pointers.data(), vertical.weights_of(k + r), taps.count(),
                      input_.row_bytes(), halfway + r * halfway_bytes);
      }
      resample_columns<stride>(from_, workspace_.columns, out_.size, lines_);
      for (int64_t r = 0; r < some; ++r) show(k + r, resized_ + r * row_bytes_);
    }
  }

 private:
  /// Lets row `r` of the next horizontal pass go to `line`; channels that the photograph does not have, to
  /// nowhere.
  void send_to(int64_t r, uint8_t* line) {
    for (int64_t c = 0; c < 4; ++c) {
      lines_[4 * r + c] = c < input_.channels() ? line + c * plane_bytes_ : nowhere_;
    }
  }

  template <typename RowOf>
  void list_rows(TapRange taps, const RowOf& row_of) {
    const uint8_t** pointers = workspace_.row_pointers.data();
    for (int64_t y = taps.low; y < taps.high; ++y) *pointers++ = row_of(y);
  }

  /// A resized row to each place that shows it: the first is computed, the others copied.
  PIXMIM_TARGET void show(int64_t position, const uint8_t* row) {
    const int64_t first = workspace_.first_place[static_cast<std::size_t>(position)];
    const auto after = [&](int64_t place) {
      return workspace_.next_place[static_cast<std::size_t>(place)];
    };
    for (int64_t c = 0; c < input_.channels(); ++c) {
      const int64_t channel = first_channel_ + c;
      write_row(row + c * plane_bytes_, channel, first, out_);
      for (int64_t place = after(first); place >= 0; place = after(place)) {
        std::memcpy(out_.row(channel, place), out_.row(channel, first),
                    static_cast<std::size_t>(out_.row_bytes()));
      }
    }
  }

  PhotoRows& input_;
  int64_t first_channel_;
  int64_t positions_;
  CropWorkspace& workspace_;
  const CropOutput& out_;
  int64_t plane_bytes_;
  int64_t row_bytes_;
  uint8_t* resized_;
  uint8_t* nowhere_;
  const uint8_t* from_[rows_at_once];
  uint8_t* lines_[4 * rows_at_once];
};

template <int stride>
PIXMIM_TARGET void crop_channels(PhotoRows& input, int64_t first_channel, bool vertical_first,
                                 int64_t positions, CropWorkspace& workspace,
                                 const CropOutput& out) {
  Passes<stride> passes(input, first_channel, positions, workspace, out);
  vertical_first ? passes.vertical_first() : passes.horizontal_first();
}

}  // namespace crop
}  // namespace PIXMIM_SIMD
}  // namespace detail
}  // namespace v0
}  // namespace pixmim
