// SPDX-License-Identifier: Apache-2.0
// Crops of a batch of photos, each of a size and with a window of its own: what detail/crop/ does on the
// CPU, to the bit. Pillow's 8-bit resize, in two passes that round to bytes, then torchvision's values.
//
// A block makes some rows of one crop. What is between the passes stays in shared memory.
#pragma once

#include "crop_table.cuh"
#include "dialect.cuh"

namespace pixmim {
namespace kernels {

constexpr int32 crop_lanes = 32;  // of a warp
/// Fraction bits of a weight.
constexpr int32 crop_weight_bits = 22;
constexpr int32 crop_rounding = 1 << (crop_weight_bits - 1);

PIXMIM_DEVICE double resize_kernel(bool cubic, double x) {
  x = x < 0 ? -x : x;
  if (!cubic) return x < 1 ? 1 - x : 0.0;
  constexpr double a = -0.5;
  if (x < 1) return multiply(multiply(multiply(a + 2, x) - (a + 3), x), x) + 1;
  if (x < 2) return multiply(multiply(multiply(x - 5, x) + 8, x) - 4, a);
  return 0;
}

/// The position in the resized axis that a crop of `size` shows at `place`.
PIXMIM_DEVICE int32 shown_position(const CropTableAxis& axis, int32 place, int32 size) {
  const int32 index = axis.first + (axis.mirrored != 0 ? size - 1 - place : place);
  if (index >= 0 && index < axis.resized) return index;
  if (axis.resized == 1) return 0;
  const int32 period = 2 * (axis.resized - 1);
  const int32 rest = index % period;
  const int32 phase = rest < 0 ? rest + period : rest;
  return phase < period - phase ? phase : period - phase;
}

/// Writes the taps of one of `outputs` outputs, which is `position` of the resized axis: low to taps[0],
/// how many to taps[outputs], then weights, each `outputs` further on.
PIXMIM_DEVICE void write_taps(const CropTableAxis& axis, bool cubic, int32 position, int32 outputs,
                              Shared<int32> taps) {
  if (axis.input == axis.resized) {  // Pillow skips the pass
    taps[0] = position;
    taps[outputs] = 1;
    taps[2 * outputs] = 1 << crop_weight_bits;
    return;
  }
  const double filter_scale = axis.scale < 1 ? 1.0 : axis.scale;
  const double support = multiply(cubic ? 2.0 : 1.0, filter_scale);
  const double middle = multiply(position + 0.5, axis.scale);
  const int32 first = static_cast<int32>(middle - support + 0.5);
  const int32 last = static_cast<int32>(middle + support + 0.5);
  const int32 low = first < 0 ? 0 : first;
  const int32 count = (last < axis.input ? last : axis.input) - low;
  const double inverse = 1.0 / filter_scale;
  const auto value = [&](int32 tap) {
    return resize_kernel(cubic, multiply(low + tap - middle + 0.5, inverse));
  };
  double sum = 0;
  PIXMIM_ROLLED
  for (int32 t = 0; t < count; ++t) sum += value(t);
  taps[0] = low;
  taps[outputs] = count;
  PIXMIM_ROLLED
  for (int32 t = 0; t < count; ++t) {
    const double weight = multiply(value(t) / sum, 1 << crop_weight_bits);
    taps[(2 + t) * outputs] = static_cast<int32>(weight < 0 ? weight - 0.5 : weight + 0.5);
  }
}

PIXMIM_DEVICE uint8 rounded_byte(int32 sum) {
  const int32 value = sum >> crop_weight_bits;
  return static_cast<uint8>(value < 0 ? 0 : value > 255 ? 255 : value);
}

/// Several outputs that have their weights in common: `pixels` is the first tap at offset 0, the next tap
/// is `step` further on.
template <int32 outputs, class Pixels, class Offset>
PIXMIM_DEVICE void weigh(Pixels pixels, Offset step, const Offset (&offsets)[outputs],
                         Shared<const int32> weights, int32 weight_step, int32 count,
                         uint8 (&bytes)[outputs]) {
  int32 sums[outputs];
  PIXMIM_UNROLLED
  for (int32 i = 0; i < outputs; ++i) sums[i] = crop_rounding;
  PIXMIM_UNROLLED_TWICE
  for (int32 t = 0; t < count; ++t) {
    const int32 weight = weights[t * weight_step];
    PIXMIM_UNROLLED
    for (int32 i = 0; i < outputs; ++i) sums[i] += weight * pixels[offsets[i]];
    pixels += step;
  }
  PIXMIM_UNROLLED
  for (int32 i = 0; i < outputs; ++i) bytes[i] = rounded_byte(sums[i]);
}

/// Four elements that are written at once.
template <class Element>
struct alignas(4 * sizeof(Element)) Four {
  Element elements[4];
};

/// What the model reads of a byte of one channel.
template <class Element>
PIXMIM_DEVICE Element value_of(uint8 byte, Shared<const Element> values) {
  return values[byte];
}
template <>
PIXMIM_DEVICE uint8 value_of<uint8>(uint8 byte, Shared<const uint8> /*values*/) {
  return byte;
}

/// (byte / 255 - mean) / std of each byte.
template <class Element>
PIXMIM_DEVICE void write_values(Global<const float> statistics, int32 means,
                                Shared<Element> values) {
  for (int32 i = thread_index(); i < 256 * means; i += threads_a_block()) {
    const int32 set = i / 256;
    const float share = divide(static_cast<float>(i % 256), 255.0f);
    values[i] = round_to<Element>(divide(add(share, -statistics[set]), statistics[means + set]));
  }
}
template <>
PIXMIM_DEVICE void write_values<uint8>(Global<const float> /*statistics*/, int32 /*means*/,
                                       Shared<uint8> /*values*/) {}

/// A block's part of a crop, and its memory.
template <class Element>
struct CropTile {
  CropBatch batch;
  CropTableEntry photo;
  /// Rows of the crop that it makes.
  int32 rows;
  Shared<const Element> values;
  Shared<const int32> column_taps;
  Shared<const int32> row_taps;
  Shared<uint8> lines;
  Global<Element> out;

  PIXMIM_DEVICE Shared<uint8> line(int32 row, int32 channel) const {
    return lines + (row * batch.channels + channel) * photo.line_bytes;
  }
  PIXMIM_DEVICE Global<const uint8> pixels(int32 channel) const {
    return global_memory<const uint8>(photo.address) + channel * photo.channel_stride;
  }
  PIXMIM_DEVICE Global<Element> out_row(int32 row, int32 channel) const {
    return out + (row * batch.row_stride + channel * batch.channel_stride);
  }
  PIXMIM_DEVICE Shared<const Element> values_of(int32 channel) const {
    return values + (batch.means > 1 ? 256 * channel : 0);
  }

  /// Calls `use(row, channel)` for groups of rows and each channel: a warp each, channels side by side.
  template <class Use>
  PIXMIM_DEVICE void each_line(int32 groups, const Use& use) const {
    const int32 warps = threads_a_block() / crop_lanes;
    for (int32 i = thread_index() / crop_lanes; i < groups * batch.channels; i += warps) {
      use(i / batch.channels, i % batch.channels);
    }
  }

  /// The photo's rows first_row .. end_row-1 to lines as wide as the crop. Four rows at a time have their
  /// weights in common.
  PIXMIM_DEVICE void columns_to_lines(int32 first_row, int32 end_row) const {
    constexpr int32 at_once = 4;
    const int32 count = end_row - first_row;
    each_line((count + at_once - 1) / at_once, [&](int32 group, int32 channel) {
      const int32 row = group * at_once;
      const Global<const uint8> source = pixels(channel) + (first_row + row) * photo.row_stride;
      int64 offsets[at_once];
      for (int32 i = 0; i < at_once; ++i) {
        offsets[i] = (row + i < count ? i : count - 1 - row) * photo.row_stride;
      }
      // The vertical pass reads four columns at once, the last ones perhaps for nothing.
      for (int32 x = thread_index() % crop_lanes; x < photo.line_bytes; x += crop_lanes) {
        const Shared<const int32> taps = column_taps + (x < batch.size ? x : batch.size - 1);
        uint8 bytes[at_once];
        weigh(source + taps[0] * photo.column_stride, photo.column_stride, offsets,
              taps + 2 * batch.size, batch.size, taps[batch.size], bytes);
        for (int32 i = 0; i < at_once; ++i) {
          if (row + i < count) line(row + i, channel)[x] = bytes[i];
        }
      }
    });
  }

  /// Lines to rows of the crop, four columns at a time.
  PIXMIM_DEVICE void lines_to_rows(int32 first_row) const {
    constexpr int32 at_once = 4;
    const int32 step = batch.channels * photo.line_bytes;
    each_line(rows, [&](int32 row, int32 channel) {
      const Shared<const int32> taps = row_taps + row;
      const int32 count = taps[photo.tile_rows];
      const Shared<const uint8> source = line(taps[0] - first_row, channel);
      const Shared<const Element> of_byte = values_of(channel);
      const Global<Element> to = out_row(row, channel);
      for (int32 x = at_once * (thread_index() % crop_lanes); x < batch.size;
           x += at_once * crop_lanes) {
        int32 sums[at_once] = {crop_rounding, crop_rounding, crop_rounding, crop_rounding};
        PIXMIM_UNROLLED_TWICE
        for (int32 t = 0; t < count; ++t) {
          const uint32 four = *reinterpret<const uint32>(source + (t * step + x));
          const int32 weight = taps[(2 + t) * photo.tile_rows];
          PIXMIM_UNROLLED
          for (int32 i = 0; i < at_once; ++i) {
            sums[i] += weight * static_cast<int32>((four >> (8 * i)) & 255);
          }
        }
        Four<Element> four;
        PIXMIM_UNROLLED
        for (int32 i = 0; i < at_once; ++i) {
          four.elements[i] = value_of<Element>(rounded_byte(sums[i]), of_byte);
        }
        if (batch.aligned) {
          *reinterpret<Four<Element>>(to + x) = four;
        } else {
          PIXMIM_UNROLLED
          for (int32 i = 0; i < at_once; ++i) {
            if (x + i < batch.size) to[x + i] = four.elements[i];
          }
        }
      }
    });
  }

  /// The photo's columns that the crop needs to lines, which are rows of the tile. Four columns at a time
  /// have their weights in common.
  PIXMIM_DEVICE void rows_to_lines() const {
    constexpr int32 at_once = 4;
    each_line(rows, [&](int32 row, int32 channel) {
      const Shared<const int32> taps = row_taps + row;
      const Global<const uint8> source =
          pixels(channel) + taps[0] * photo.row_stride + photo.first_column * photo.column_stride;
      const Shared<uint8> to = line(row, channel);
      for (int32 x = thread_index() % crop_lanes; x < photo.line_bytes;
           x += at_once * crop_lanes) {
        int64 offsets[at_once];
        for (int32 i = 0; i < at_once; ++i) {
          const int32 column = x + i * crop_lanes;
          offsets[i] = (column < photo.line_bytes ? column : x) * photo.column_stride;
        }
        uint8 bytes[at_once];
        weigh(source, photo.row_stride, offsets, taps + 2 * photo.tile_rows, photo.tile_rows,
              taps[photo.tile_rows], bytes);
        for (int32 i = 0; i < at_once; ++i) {
          const int32 column = x + i * crop_lanes;
          if (column < photo.line_bytes) to[column] = bytes[i];
        }
      }
    });
  }

  /// Lines, which are rows of the tile, to its columns.
  PIXMIM_DEVICE void lines_to_columns() const {
    each_line(rows, [&](int32 row, int32 channel) {
      const Shared<const uint8> source = line(row, channel);
      const Shared<const Element> of_byte = values_of(channel);
      const Global<Element> to = out_row(row, channel);
      const int32 offsets[1] = {0};
      for (int32 x = thread_index() % crop_lanes; x < batch.size; x += crop_lanes) {
        const Shared<const int32> taps = column_taps + x;
        uint8 bytes[1];
        weigh(source + (taps[0] - photo.first_column), 1, offsets, taps + 2 * batch.size,
              batch.size, taps[batch.size], bytes);
        to[x] = value_of<Element>(bytes[0], of_byte);
      }
    });
  }
};

/// out[photo][channel][row][column] of every photo of `table` (see CropBatch). Tiles have up to 32 rows.
template <class Element>
PIXMIM_KERNEL(256)
crop_photos(Global<const uint8> table, CropBatch batch, Global<Element> out) {
  const Global<const CropTableEntry> photos = reinterpret<const CropTableEntry>(table);
  const Global<const int32> photo_of_block = reinterpret<const int32>(photos + batch.photos);
  const int32 number = photo_of_block[block_index()];
  const CropTableEntry photo = photos[number];
  const int32 first = (static_cast<int32>(block_index()) - photo.first_block) * photo.tile_rows;
  const int32 rest = batch.size - first;
  const int32 tile_rows = rest < photo.tile_rows ? rest : photo.tile_rows;

  const CropBlock block(batch, photo, sizeof(Element));
  const int32 columns_offset = static_cast<int32>(block.columns_offset);
  const int32 rows_offset = static_cast<int32>(block.rows_offset);
  const int32 lines_offset = static_cast<int32>(block.lines_offset);
  const int32 end = static_cast<int32>(block.shared_bytes);
  const Shared<Element> values = shared_memory<Element>(0, 256 * batch.means);
  const Shared<int32> columns =
      shared_memory<int32>(columns_offset, (rows_offset - columns_offset) / 4);
  const Shared<int32> rows = shared_memory<int32>(rows_offset, (lines_offset - rows_offset) / 4);

  write_values<Element>(reinterpret<const float>(photo_of_block + block_count()), batch.means,
                        values);
  for (int32 i = thread_index(); i < batch.size + tile_rows; i += threads_a_block()) {
    if (i < batch.size) {
      write_taps(photo.columns, batch.cubic, shown_position(photo.columns, i, batch.size),
                 batch.size, columns + i);
    } else {
      const int32 row = i - batch.size;
      write_taps(photo.rows, batch.cubic, shown_position(photo.rows, first + row, batch.size),
                 photo.tile_rows, rows + row);
    }
  }
  synchronize_block();

  const CropTile<Element> tile = {batch,
                                  photos[number],  // once more: it need not wait in registers
                                  tile_rows,
                                  values,
                                  columns,
                                  rows,
                                  shared_memory<uint8>(lines_offset, end - lines_offset),
                                  out + (number * batch.photo_stride + first * batch.row_stride)};
  if (tile.photo.vertical_first != 0) {
    tile.rows_to_lines();
    synchronize_warp();  // both passes give a line to the same warp
    tile.lines_to_columns();
    return;
  }
  // The photo's rows that the tile needs: a lane looks at one row of the tile.
  const int32 lane = thread_index() % crop_lanes;
  const Shared<const int32> taps = tile.row_taps + (lane < tile.rows ? lane : 0);
  int32 low = taps[0];
  int32 high = low + taps[tile.photo.tile_rows];
  for (int32 mask = crop_lanes / 2; mask > 0; mask /= 2) {
    const int32 other_low = shuffle_xor(low, mask);
    const int32 other_high = shuffle_xor(high, mask);
    low = other_low < low ? other_low : low;
    high = other_high > high ? other_high : high;
  }
  tile.columns_to_lines(low, high);
  synchronize_block();
  tile.lines_to_rows(low);
}

}  // namespace kernels
}  // namespace pixmim
