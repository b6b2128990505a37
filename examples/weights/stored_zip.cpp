// SPDX-License-Identifier: Apache-2.0
#include "weights/stored_zip.hpp"

#include <c10/util/Exception.h>
#include <minizip/unzip.h>

#include <algorithm>
#include <array>

namespace weights {
namespace {

constexpr const char* damaged = "its zip directory is damaged or truncated";

}  // namespace

StoredZip::StoredZip(const std::filesystem::path& path, uint64_t size)
    : zip_(unzOpen64(path.c_str())), archive_size_(size) {
  TORCH_CHECK(zip_ != nullptr, damaged);
  try {
    unz_global_info64 about{};
    TORCH_CHECK(unzGetGlobalInfo64(zip_, &about) == UNZ_OK, damaged);
    // Each file has a header of its own, of 46 bytes or more.
    TORCH_CHECK(about.number_entry <= size / 46, "its zip directory claims ", about.number_entry,
                " files, more than it has room for");
    for (uint64_t i = 0; i < about.number_entry; ++i) {
      TORCH_CHECK((i == 0 ? unzGoToFirstFile(zip_) : unzGoToNextFile(zip_)) == UNZ_OK, damaged);
      unz_file_info64 info{};
      std::array<char, 1024> name{};
      TORCH_CHECK(unzGetCurrentFileInfo64(zip_, &info, name.data(), name.size(), nullptr, 0,
                                          nullptr, 0) == UNZ_OK &&
                      info.size_filename < name.size(),
                  damaged);
      unz64_file_pos place{};
      TORCH_CHECK(unzGetFilePos64(zip_, &place) == UNZ_OK, damaged);
      const std::string text(name.data(), info.size_filename);
      const Entry entry{place.pos_in_zip_directory, place.num_of_file};
      TORCH_CHECK(entries_.emplace(text, entry).second, "its zip directory has ", text, " twice");
    }
  } catch (...) {
    unzClose(zip_);
    throw;
  }
}

StoredZip::~StoredZip() {
  unzClose(zip_);
}

uint64_t StoredZip::open(const std::string& name, bool raw) {
  const auto found = entries_.find(name);
  TORCH_CHECK(found != entries_.end(), "it has no ", name);
  unz64_file_pos place{found->second.directory_offset, found->second.directory_index};
  unz_file_info64 info{};
  TORCH_CHECK(
      unzGoToFilePos64(zip_, &place) == UNZ_OK &&
          unzGetCurrentFileInfo64(zip_, &info, nullptr, 0, nullptr, 0, nullptr, 0) == UNZ_OK,
      damaged);
  TORCH_CHECK(info.compression_method == 0 && info.compressed_size == info.uncompressed_size, name,
              " is compressed (", info.compressed_size, " bytes that claim to be ",
              info.uncompressed_size, "): torch.save stores, and nothing is unpacked here");
  TORCH_CHECK((info.flag & 1) == 0, name, " is encrypted");
  TORCH_CHECK(info.uncompressed_size <= archive_size_, name, " claims ", info.uncompressed_size,
              " bytes, more than the whole archive has");
  int method = 0;
  int level = 0;
  TORCH_CHECK(unzOpenCurrentFile2(zip_, &method, &level, raw ? 1 : 0) == UNZ_OK, "the header of ",
              name, " is damaged, or not that of the directory");
  return info.uncompressed_size;
}

StoredZip::Place StoredZip::find(const std::string& name) {
  const uint64_t size = open(name, /*raw=*/true);
  const uint64_t offset = unzGetCurrentFileZStreamPos64(zip_);
  unzCloseCurrentFile(zip_);
  TORCH_CHECK(offset <= archive_size_ && size <= archive_size_ - offset, name, ", ", size,
              " bytes at ", offset, ", ends outside the archive of ", archive_size_,
              " bytes: the file is truncated or damaged");
  return {offset, size};
}

std::string StoredZip::read(const std::string& name) {
  const uint64_t size = open(name, /*raw=*/false);
  // An archive may be sparse: a terabyte that costs nothing on disk.
  constexpr uint64_t largest = uint64_t{1} << 30;
  TORCH_CHECK(size <= largest, name, " has ", size, " bytes, more than any pickle of weights");
  std::string bytes(size, '\0');
  std::size_t done = 0;
  while (done < bytes.size()) {
    constexpr std::size_t step = std::size_t{1} << 20;
    const auto wanted = static_cast<unsigned>(std::min(step, bytes.size() - done));
    const int got = unzReadCurrentFile(zip_, bytes.data() + done, wanted);
    if (got <= 0) break;
    done += static_cast<std::size_t>(got);
  }
  const int closed = unzCloseCurrentFile(zip_);
  TORCH_CHECK(done == bytes.size(), name, " is truncated");
  TORCH_CHECK(closed == UNZ_OK, name, " is damaged: its checksum is another");
  return bytes;
}

}  // namespace weights
