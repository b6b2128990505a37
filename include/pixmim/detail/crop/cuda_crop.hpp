// SPDX-License-Identifier: Apache-2.0
// Crops of a batch by one launch of detail/cuda/kernels/ragged_crop.cuh: the pixels of the CPU's engine.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/MemoryFormat.h>
#include <c10/core/ScalarType.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "pixmim/detail/crop/geometry.hpp"
#include "pixmim/detail/crop/pixel_values.hpp"
#include "pixmim/detail/crop/taps.hpp"
#include "pixmim/detail/cuda/element_name.hpp"
#include "pixmim/detail/cuda/kernels/crop_table.cuh"
#include "pixmim/detail/cuda/launcher.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {
namespace cuda {

/// The shared memory of a block: that of several blocks a multiprocessor, or all that a generation of GPUs
/// gives one. Few sizes: a kernel is loaded once for each.
inline constexpr std::size_t crop_shared_bytes[] = {48 * 1024, 99 * 1024, 163 * 1024, 227 * 1024};

inline Kernel crop_kernel(c10::ScalarType dtype, std::size_t shared_bytes) {
  return {"ragged_crop.cuh", std::string("crop_photos<") + element_name(dtype) + ">", shared_bytes};
}

/// Every specialisation that may be launched, with the most shared memory.
inline std::vector<Kernel> crop_kernels() {
  std::vector<Kernel> kernels;
  for (const auto dtype : {at::kByte, at::kFloat, at::kHalf, at::kBFloat16}) {
    kernels.push_back(crop_kernel(dtype, *std::rbegin(crop_shared_bytes)));
  }
  return kernels;
}

/// Whether the kernel, which counts in 32 bits, takes the axis.
inline bool crop_axis_fits(const CropAxis& axis) {
  constexpr int64_t most = int64_t{1} << 30;
  return axis.input < most && axis.resized < most && std::abs(axis.first) < most &&
         axis.shown < most;
}

inline kernels::CropTableAxis crop_table_axis(const CropAxis& axis, Interpolation interpolation) {
  kernels::CropTableAxis result{};
  result.scale = static_cast<double>(axis.input) / static_cast<double>(axis.resized);
  result.input = static_cast<int>(axis.input);
  result.resized = static_cast<int>(axis.resized);
  result.first = static_cast<int>(axis.first);
  result.mirrored = axis.mirrored ? 1 : 0;
  const double width = 2 * kernel_support(interpolation) * std::max(result.scale, 1.0);
  result.taps =
      axis.input == axis.resized ? 1 : static_cast<int>(std::min<double>(width + 2, result.input));
  return result;
}

/// How many inputs `outputs` neighbours on an axis need at most.
inline int64_t inputs_of(const kernels::CropTableAxis& axis, int64_t outputs) {
  if (axis.input == axis.resized) return outputs;
  const double more = axis.scale * static_cast<double>(outputs - 1);
  return std::min<int64_t>(static_cast<int64_t>(more) + 1 + axis.taps, axis.input);
}

/// The entry of a photo [H,W,C], with as many rows a tile as fit `shared_bytes`, up to 32. Nothing if not
/// even one does.
inline std::optional<kernels::CropTableEntry> crop_table_entry(const at::Tensor& photo,
                                                               const CropGeometry& geometry,
                                                               const kernels::CropBatch& batch,
                                                               int element_bytes,
                                                               std::size_t shared_bytes) {
  kernels::CropTableEntry entry{};
  entry.row_stride = photo.stride(0);
  entry.column_stride = photo.stride(1);
  entry.channel_stride = photo.stride(2);
  entry.address = static_cast<long long>(reinterpret_cast<std::intptr_t>(photo.const_data_ptr())) +
                  geometry.rows.origin * entry.row_stride +
                  geometry.columns.origin * entry.column_stride;
  entry.rows = crop_table_axis(geometry.rows, geometry.interpolation);
  entry.columns = crop_table_axis(geometry.columns, geometry.interpolation);
  entry.vertical_first = geometry.vertical_first() ? 1 : 0;
  entry.line_bytes = (batch.size + 3) / 4 * 4;
  if (entry.vertical_first != 0) {
    const CropAxis& columns = geometry.columns;
    int64_t lowest = columns.resized;
    int64_t highest = 0;
    for (int64_t place = 0; place < columns.shown; ++place) {
      lowest = std::min(lowest, columns.position(place));
      highest = std::max(highest, columns.position(place));
    }
    const Resize resize(columns.input, columns.resized, geometry.interpolation);
    entry.first_column = static_cast<int>(resize.taps(lowest).low);
    entry.line_bytes = static_cast<int>(resize.taps(highest).high) - entry.first_column;
  }
  const auto set_rows = [&](int rows) {
    entry.tile_rows = rows;
    entry.line_rows =
        entry.vertical_first != 0 ? rows : static_cast<int>(inputs_of(entry.rows, rows));
    return kernels::CropBlock(batch, entry, element_bytes).shared_bytes <=
           static_cast<long long>(shared_bytes);
  };
  constexpr int most_rows = 32;
  int fitting = 0;
  for (int step = most_rows; step > 0; step /= 2) {
    if (fitting + step <= std::min(most_rows, batch.size) && set_rows(fitting + step)) {
      fitting += step;
    }
  }
  if (fitting == 0) return std::nullopt;
  const int tiles = (batch.size + fitting - 1) / fitting;
  set_rows((batch.size + tiles - 1) / tiles);
  return entry;
}

/// The table of a batch, as the kernel reads it.
class CropTable {
 public:
  /// Nothing if a photo does not fit.
  static std::optional<CropTable> of(const Launcher& launcher,
                                     const std::vector<at::Tensor>& photos,
                                     const std::vector<CropGeometry>& geometries,
                                     const kernels::CropBatch& batch, int element_bytes) {
    for (const CropGeometry& geometry : geometries) {
      if (!crop_axis_fits(geometry.rows) || !crop_axis_fits(geometry.columns)) return std::nullopt;
    }
    // Lower tiles resize too many rows of the photo twice.
    const int enough_rows = std::min(8, batch.size);
    std::optional<CropTable> best;
    for (const std::size_t shared_bytes : crop_shared_bytes) {
      if (shared_bytes > launcher.shared_bytes_per_block()) break;
      auto table = with(photos, geometries, batch, element_bytes, shared_bytes);
      if (!table.has_value()) continue;
      best = std::move(table);
      if (best->least_rows_ >= enough_rows) break;
    }
    return best;
  }

  int64_t blocks() const { return static_cast<int64_t>(photo_of_block_.size()); }
  std::size_t shared_bytes() const { return shared_bytes_; }

  /// On `device`, by one copy.
  at::Tensor upload(const PixelValues* values, at::Device device) const {
    std::vector<float> statistics;
    if (values != nullptr) {
      for (const ChannelValues& channel : values->channels()) statistics.push_back(channel.mean);
      for (const ChannelValues& channel : values->channels()) statistics.push_back(channel.std);
    }
    const std::size_t bytes = entries_.size() * sizeof(entries_[0]) +
                              photo_of_block_.size() * sizeof(int) +
                              statistics.size() * sizeof(float);
    const at::Tensor table = at::empty({static_cast<int64_t>(bytes)}, at::kByte);
    auto* to = table.mutable_data_ptr<uint8_t>();
    const auto append = [&to](const auto& list) {
      if (list.empty()) return;
      std::memcpy(to, list.data(), list.size() * sizeof(list[0]));
      to += list.size() * sizeof(list[0]);
    };
    append(entries_);
    append(photo_of_block_);
    append(statistics);
    // From memory that is not pinned the copy is made before this returns, at least to a buffer of CUDA's.
    return device.is_cpu() ? table : table.to(device, at::kByte, /*non_blocking=*/true);
  }

 private:
  static std::optional<CropTable> with(const std::vector<at::Tensor>& photos,
                                       const std::vector<CropGeometry>& geometries,
                                       const kernels::CropBatch& batch, int element_bytes,
                                       std::size_t shared_bytes) {
    CropTable table;
    table.shared_bytes_ = shared_bytes;
    table.least_rows_ = batch.size;
    table.entries_.reserve(photos.size());
    for (std::size_t i = 0; i < photos.size(); ++i) {
      auto entry = crop_table_entry(photos[i], geometries[i], batch, element_bytes, shared_bytes);
      if (!entry.has_value()) return std::nullopt;
      const int tiles = (batch.size + entry->tile_rows - 1) / entry->tile_rows;
      if (table.blocks() + tiles > std::numeric_limits<int>::max()) return std::nullopt;
      entry->first_block = static_cast<int>(table.blocks());
      table.photo_of_block_.insert(table.photo_of_block_.end(), static_cast<std::size_t>(tiles),
                                   static_cast<int>(i));
      table.least_rows_ = std::min(table.least_rows_, entry->tile_rows);
      table.entries_.push_back(*entry);
    }
    return table;
  }

  std::vector<kernels::CropTableEntry> entries_;
  std::vector<int> photo_of_block_;
  std::size_t shared_bytes_ = 0;
  int least_rows_ = 0;
};

/// Crops each photo [H,W,C] into its part of `out` [N,C,size,size], of any strides. `values`: null for
/// uint8. False, and nothing happened, if there is a photo that the kernel does not serve: it is much
/// larger than its crop.
inline bool crop_photos(Launcher& launcher, const std::vector<at::Tensor>& photos,
                        const std::vector<CropGeometry>& geometries, const PixelValues* values,
                        const at::Tensor& out) {
  const c10::DeviceGuard device_guard(out.device());
  const int64_t size = out.size(3);
  if (out.stride(3) != 1 && size > 1) {
    const at::Tensor rows = at::empty_like(out, at::MemoryFormat::Contiguous);
    if (!crop_photos(launcher, photos, geometries, values, rows)) return false;
    out.copy_(rows);
    return true;
  }
  const int64_t channels = out.size(1);
  constexpr int64_t most = std::numeric_limits<int>::max();
  if (channels > most || out.size(0) > most) return false;
  kernels::CropBatch batch{};
  batch.photos = static_cast<int>(out.size(0));
  batch.size = static_cast<int>(size);
  batch.channels = static_cast<int>(channels);
  batch.cubic = geometries[0].interpolation == Interpolation::Bicubic;
  batch.means = values == nullptr ? 0 : static_cast<int>(values->channels().size());
  batch.photo_stride = out.stride(0);
  batch.channel_stride = out.stride(1);
  batch.row_stride = out.stride(2);
  const auto element_bytes = static_cast<int64_t>(out.element_size());
  const auto address = static_cast<int64_t>(reinterpret_cast<std::intptr_t>(out.data_ptr()));
  batch.aligned =
      ((size | batch.photo_stride | batch.channel_stride | batch.row_stride) % 4 == 0) &&
      address % (4 * element_bytes) == 0;

  const auto table =
      CropTable::of(launcher, photos, geometries, batch, static_cast<int>(element_bytes));
  if (!table.has_value()) return false;
  constexpr int threads = 256;
  launcher.launch(
      crop_kernel(out.scalar_type(), table->shared_bytes()), {table->blocks(), threads},
      {Argument::reads(table->upload(values, out.device()), photos), Argument::value(batch),
       out.is_contiguous() ? Argument::writes(out) : Argument::updates(out)});
  return true;
}

}  // namespace cuda
}  // namespace detail
}  // namespace v0
}  // namespace pixmim
