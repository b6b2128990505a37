// SPDX-License-Identifier: Apache-2.0
#include "data/tar_index.hpp"

#include <archive.h>
#include <archive_entry.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "data/bad_image.hpp"
#include "data/file.hpp"
#include "data/image_name.hpp"
#include "data/packing.hpp"

namespace fs = std::filesystem;

namespace data {
namespace {

struct FreeArchive {
  void operator()(archive* reader) const { archive_read_free(reader); }
};
using Archive = std::unique_ptr<archive, FreeArchive>;

/// Name of the current member; libarchive has it in one of two encodings, by the locale.
std::string_view member_name(archive_entry* entry) {
  if (const char* name = archive_entry_pathname_utf8(entry)) return name;
  if (const char* name = archive_entry_pathname(entry)) return name;
  return {};
}

/// What libarchive says of its last failure, if it says anything.
std::string failure(archive* reader) {
  const char* text = archive_error_string(reader);
  return text != nullptr ? text : "it cannot be read as a tar file";
}

/// Whether the member's own bytes are in the file, one after the other: no link, no holes.
bool is_plain_file(archive_entry* entry) {
  return archive_entry_filetype(entry) == AE_IFREG && archive_entry_hardlink(entry) == nullptr &&
         archive_entry_sparse_count(entry) == 0;
}

Archive open_plain_tar(const fs::path& shard) {
  Archive reader(archive_read_new());
  archive_read_support_format_tar(reader.get());
  // To name the compression, not to read it: members of a compressed file have no places.
  archive_read_support_filter_gzip(reader.get());
  archive_read_support_filter_bzip2(reader.get());
  archive_read_support_filter_xz(reader.get());
  archive_read_support_filter_zstd(reader.get());
  constexpr std::size_t block = 10240;
  const int opened = archive_read_open_filename(reader.get(), shard.c_str(), block);
  if (archive_filter_code(reader.get(), 0) > 0) {
    throw std::runtime_error(shard.string() + " is compressed (" +
                             archive_filter_name(reader.get(), 0) +
                             "), which saves nothing on images and allows no access in any order: "
                             "unpack it with gunzip, unxz or unzstd to a .tar");
  }
  if (opened != ARCHIVE_OK) {
    throw std::runtime_error(shard.string() + ": " + failure(reader.get()));
  }
  return reader;
}

TarIndex read_index(const fs::path& shard, int64_t file_size) {
  const Archive reader = open_plain_tar(shard);
  TarIndex index;
  archive_entry* entry = nullptr;
  for (;;) {
    const int result = archive_read_next_header(reader.get(), &entry);
    if (result == ARCHIVE_EOF) break;
    // One bad header: the next sound one is looked for. A failure beyond that is the end.
    const bool bad_header = result == ARCHIVE_RETRY;
    if (bad_header || result < ARCHIVE_WARN) {
      if (index.damage.empty()) index.damage = failure(reader.get());
      if (bad_header) continue;
      break;
    }
    // What libarchive has read of the file up to here is the member's header and all before it.
    const TarRecord record{archive_filter_bytes(reader.get(), 0), archive_entry_size(entry)};
    if (record.size > file_size - record.offset) {
      index.damage = "it ends within " + std::string(member_name(entry));
      break;
    }
    if (is_plain_file(entry) && is_image_name(member_name(entry))) {
      index.names.add(member_name(entry));
      index.records.push_back(record);
    }
  }
  index.names.shrink_to_fit();
  index.records.shrink_to_fit();
  return index;
}

std::string packed_index(const TarIndex& index, const Stamp& stamp) {
  Packer packed;
  packed.add(std::vector<Stamp>{stamp});
  packed.add(index.names);
  packed.add(index.records);
  packed.add(index.damage);
  return packed.bytes();
}

std::optional<TarIndex> unpacked_index(const std::string& content, const Stamp& stamp) {
  TarIndex index;
  std::vector<Stamp> stamps;
  Unpacker packed(content);
  if (!packed.take(stamps) || stamps.size() != 1 || !(stamps[0] == stamp) ||
      !packed.take(index.names) || !packed.take(index.records) || !packed.take(index.damage) ||
      index.names.size() != index.records.size()) {
    return std::nullopt;
  }
  return index;
}

Stamp stamp_of(const fs::path& shard) {
  try {
    return File(shard).stamp();
  } catch (const BadImage& error) {
    throw std::runtime_error(shard.string() + ": " + error.what());
  }
}

}  // namespace

TarIndex index_tar(const fs::path& shard, const ListingCache& cache) {
  const Stamp stamp = stamp_of(shard);
  const std::string key = "images in " + fs::canonical(shard).string();
  if (const auto content = cache.load(key)) {
    if (auto index = unpacked_index(*content, stamp)) return std::move(*index);
  }
  const int64_t now = wall_clock();
  TarIndex index = read_index(shard, stamp.size);
  if (settled(stamp.modified, now)) cache.store(key, packed_index(index, stamp));
  return index;
}

}  // namespace data
