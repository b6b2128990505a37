// SPDX-License-Identifier: Apache-2.0
#include "data/file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

#include "data/bad_image.hpp"

namespace data {

// A pipe that took a photograph's name must not block: O_NONBLOCK means nothing to regular files.
File::File(const std::filesystem::path& path)
    : descriptor_(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
  if (descriptor_ < 0) {
    throw BadImage("it cannot be opened: " + std::string(std::strerror(errno)));
  }
  struct stat status {};
  if (fstat(descriptor_, &status) != 0 || !S_ISREG(status.st_mode)) {
    close(descriptor_);
    throw BadImage("it is no regular file");
  }
  stamp_ = {int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec,
            int64_t{status.st_size}};
}

File::~File() {
  close(descriptor_);
}

void File::read(int64_t offset, int64_t size, std::vector<uint8_t>& bytes) const {
  // A file may be sparse: a terabyte that costs nothing on disk.
  constexpr int64_t limit = int64_t{1} << 30;
  if (size < 0) throw BadImage("it has a size below 0, " + std::to_string(size));
  if (size > limit) {
    throw BadImage("it has " + std::to_string(size) + " bytes, more than " + std::to_string(limit));
  }
  bytes.resize(static_cast<std::size_t>(size));
  for (int64_t done = 0; done < size;) {
    const ssize_t got = pread(descriptor_, bytes.data() + done,
                              static_cast<std::size_t>(size - done), offset + done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw BadImage("it cannot be read: " + std::string(std::strerror(errno)));
    if (got == 0) throw BadImage("it is shorter than it was");
    done += got;
  }
}

}  // namespace data
