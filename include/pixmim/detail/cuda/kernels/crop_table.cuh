// SPDX-License-Identifier: Apache-2.0
// What the crop kernel knows of a batch, and a block's places in shared memory: for the host, too.
#pragma once

#ifdef __CUDACC__
#define PIXMIM_ANYWHERE __host__ __device__
#else
#define PIXMIM_ANYWHERE
#endif

namespace pixmim {
namespace kernels {

/// One axis: `input` pixels are resized to `resized`, of which `size` from `first` on are shown, by
/// reflection where they are outside, and backwards if `mirrored`.
struct CropTableAxis {
  /// input / resized
  double scale;
  int input;
  int resized;
  int first;
  int mirrored;
  /// At least as many as any output has.
  int taps;
};

/// One photo. A block makes `tile_rows` rows of its crop, the last one fewer.
struct CropTableEntry {
  /// Of the box's first pixel.
  long long address;
  /// In bytes.
  long long row_stride;
  long long column_stride;
  long long channel_stride;
  CropTableAxis rows;
  CropTableAxis columns;
  int vertical_first;
  int tile_rows;
  int first_block;
  /// What the first pass leaves to the second: rows of `line_bytes` for each channel. Rows of the photo,
  /// of the crop's width; or if it was the vertical one, rows of the tile, of the photo's columns from
  /// `first_column` on.
  int line_rows;
  int line_bytes;
  int first_column;
};

/// The table: an entry for each of `photos`; int, for each block the number of its photo; float, each
/// mean, then each std.
struct CropBatch {
  int photos;
  int size;
  int channels;
  bool cubic;
  /// Means: none for uint8, one for all channels, or one for each.
  int means;
  /// Of the result, in elements.
  long long photo_stride;
  long long channel_stride;
  long long row_stride;
  /// Whether the result has room for aligned fours of elements.
  bool aligned;
};

/// Values of the bytes, if there are means; taps of columns and of rows: two ints for each output, the first
/// input and how many, then its weights; lines.
struct CropBlock {
  long long columns_offset;
  long long rows_offset;
  long long lines_offset;
  long long shared_bytes;

  PIXMIM_ANYWHERE constexpr CropBlock(const CropBatch& batch, const CropTableEntry& photo,
                                      int element_bytes)
      : columns_offset(256LL * batch.means * element_bytes),
        rows_offset(columns_offset + tap_bytes(photo.columns, batch.size)),
        lines_offset(rows_offset + tap_bytes(photo.rows, photo.tile_rows)),
        shared_bytes(lines_offset +
                     rounded(1LL * photo.line_rows * batch.channels * photo.line_bytes)) {}

 private:
  PIXMIM_ANYWHERE static constexpr long long rounded(long long bytes) {
    return (bytes + 15) / 16 * 16;
  }
  PIXMIM_ANYWHERE static constexpr long long tap_bytes(const CropTableAxis& axis, int outputs) {
    return rounded(4LL * (axis.taps + 2LL) * outputs);
  }
};

}  // namespace kernels
}  // namespace pixmim
