// SPDX-License-Identifier: Apache-2.0
#include "weights/stored_zip.hpp"

#include <c10/util/Exception.h>
#include <minizip/unzip.h>

#include <array>
#include <cstring>

namespace weights {
namespace {

constexpr const char* damaged = "its zip directory is damaged or truncated";

// --- minizip's input and output: bytes in memory ---

struct Cursor {
  std::string_view bytes;
  uint64_t place = 0;
};

Cursor& cursor_of(voidpf stream) {
  return *static_cast<Cursor*>(stream);
}

voidpf open_bytes(voidpf bytes, const void* /*name*/, int mode) {
  if ((mode & ZLIB_FILEFUNC_MODE_WRITE) != 0) return nullptr;
  return new Cursor{*static_cast<const std::string_view*>(bytes)};
}

uLong read_bytes(voidpf /*bytes*/, voidpf stream, void* target, uLong size) {
  Cursor& cursor = cursor_of(stream);
  const std::string_view taken = cursor.bytes.substr(cursor.place, size);
  std::memcpy(target, taken.data(), taken.size());
  cursor.place += taken.size();
  return static_cast<uLong>(taken.size());
}

uLong write_nothing(voidpf /*bytes*/, voidpf /*stream*/, const void* /*source*/, uLong /*size*/) {
  return 0;
}

ZPOS64_T tell(voidpf /*bytes*/, voidpf stream) {
  return cursor_of(stream).place;
}

long seek(voidpf /*bytes*/, voidpf stream, ZPOS64_T offset, int origin) {
  Cursor& cursor = cursor_of(stream);
  const uint64_t size = cursor.bytes.size();
  uint64_t from = 0;
  if (origin == ZLIB_FILEFUNC_SEEK_CUR) from = cursor.place;
  if (origin == ZLIB_FILEFUNC_SEEK_END) from = size;
  if (offset > size - from) return -1;
  cursor.place = from + offset;
  return 0;
}

int close_bytes(voidpf /*bytes*/, voidpf stream) {
  delete static_cast<Cursor*>(stream);
  return 0;
}

int no_error(voidpf /*bytes*/, voidpf /*stream*/) {
  return 0;
}

}  // namespace

StoredZip::StoredZip(std::string_view bytes) : bytes_(bytes) {
  zlib_filefunc64_def functions = {open_bytes, read_bytes,  write_nothing, tell,
                                   seek,       close_bytes, no_error,      &bytes_};
  zip_ = unzOpen2_64("", &functions);
  TORCH_CHECK(zip_ != nullptr, damaged);
  try {
    index();
  } catch (...) {
    unzClose(zip_);
    throw;
  }
}

StoredZip::~StoredZip() {
  unzClose(zip_);
}

void StoredZip::index() {
  unz_global_info64 about{};
  TORCH_CHECK(unzGetGlobalInfo64(zip_, &about) == UNZ_OK, damaged);
  // Each file has a header of its own, of 46 bytes or more.
  TORCH_CHECK(about.number_entry <= bytes_.size() / 46, "its zip directory claims ",
              about.number_entry, " files, more than it has room for");
  for (uint64_t i = 0; i < about.number_entry; ++i) {
    TORCH_CHECK((i == 0 ? unzGoToFirstFile(zip_) : unzGoToNextFile(zip_)) == UNZ_OK, damaged);
    unz_file_info64 info{};
    std::array<char, 1024> name{};
    TORCH_CHECK(unzGetCurrentFileInfo64(zip_, &info, name.data(), name.size(), nullptr, 0, nullptr,
                                        0) == UNZ_OK &&
                    info.size_filename < name.size(),
                damaged);
    unz64_file_pos place{};
    TORCH_CHECK(unzGetFilePos64(zip_, &place) == UNZ_OK, damaged);
    const std::string text(name.data(), info.size_filename);
    const Entry entry{place.pos_in_zip_directory, place.num_of_file, info.uncompressed_size};
    TORCH_CHECK(entries_.emplace(text, entry).second, "its zip directory has ", text, " twice");
  }
}

const StoredZip::Entry& StoredZip::entry(const std::string& name) const {
  const auto found = entries_.find(name);
  TORCH_CHECK(found != entries_.end(), "it has no ", name);
  return found->second;
}

StoredZip::Place StoredZip::find(const std::string& name) {
  const Entry& known = entry(name);
  unz64_file_pos directory{known.directory_offset, known.directory_index};
  unz_file_info64 info{};
  TORCH_CHECK(
      unzGoToFilePos64(zip_, &directory) == UNZ_OK &&
          unzGetCurrentFileInfo64(zip_, &info, nullptr, 0, nullptr, 0, nullptr, 0) == UNZ_OK,
      damaged);
  TORCH_CHECK(info.compression_method == 0 && info.compressed_size == info.uncompressed_size, name,
              " is compressed (", info.compressed_size, " bytes that claim to be ",
              info.uncompressed_size, "): torch.save stores, and nothing is unpacked here");
  TORCH_CHECK((info.flag & 1) == 0, name, " is encrypted");
  int method = 0;
  int level = 0;
  TORCH_CHECK(unzOpenCurrentFile2(zip_, &method, &level, /*raw=*/1) == UNZ_OK, "the header of ",
              name, " is damaged, or not that of the directory");
  const uint64_t offset = unzGetCurrentFileZStreamPos64(zip_);
  unzCloseCurrentFile(zip_);
  TORCH_CHECK(offset <= bytes_.size() && known.size <= bytes_.size() - offset, name, ", ",
              known.size, " bytes at ", offset, ", ends outside the archive of ", bytes_.size(),
              " bytes: the file is truncated or damaged");
  return {offset, known.size};
}

std::string_view StoredZip::read(const std::string& name) {
  const Place place = find(name);
  // An archive may be sparse: a terabyte that costs nothing on disk.
  constexpr uint64_t largest = uint64_t{1} << 30;
  TORCH_CHECK(place.size <= largest, name, " has ", place.size,
              " bytes, more than any pickle of weights");
  // minizip sums up what it hands out; the bytes themselves are used where they lie.
  TORCH_CHECK(unzOpenCurrentFile(zip_) == UNZ_OK, damaged);
  std::array<char, 1 << 14> part{};
  int got = 1;
  while (got > 0) got = unzReadCurrentFile(zip_, part.data(), static_cast<unsigned>(part.size()));
  const int closed = unzCloseCurrentFile(zip_);
  TORCH_CHECK(got == 0, name, " is truncated");
  TORCH_CHECK(closed == UNZ_OK, name, " is damaged: its checksum is another");
  return bytes_.substr(place.offset, place.size);
}

}  // namespace weights
