// SPDX-License-Identifier: Apache-2.0
#include "data/image_folder.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "data/file.hpp"
#include "data/image_name.hpp"
#include "data/order.hpp"
#include "data/packing.hpp"

namespace fs = std::filesystem;

namespace data {
namespace {

int64_t modified(const struct stat& status) {
  return int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec;
}

/// What a walk found, and when each folder that it listed was last changed.
struct Listing {
  Names files;
  Names folders;
  std::vector<int64_t> modified;
};

/// Lists a tree by readdir, which tells files from folders without a call for each.
class Walk {
 public:
  explicit Walk(const std::string& root) : root_(root) {
    list("");
    listing_.files.shrink_to_fit();
  }

  const Listing& listing() const { return listing_; }
  Names take_files() { return std::move(listing_.files); }
  /// Whether a change after the walk is sure to show in the folders' times.
  bool cacheable() const { return cacheable_; }

 private:
  struct CloseFolder {
    void operator()(DIR* folder) const { closedir(folder); }
  };
  using Folder = std::unique_ptr<DIR, CloseFolder>;
  using Identity = std::pair<dev_t, ino_t>;

  /// `relative` is empty or ends in a slash, as the folders among the entries do: sorted like this, one
  /// folder after the other, all paths come out in the order of their bytes.
  void list(const std::string& relative) {
    std::vector<std::string> entries = entries_of(relative);
    std::sort(entries.begin(), entries.end());
    for (const std::string& entry : entries) {
      if (entry.back() != '/') {
        listing_.files.add(relative + entry);
      } else {
        list(relative + entry);
      }
    }
  }

  std::vector<std::string> entries_of(const std::string& relative) {
    const Folder folder(opendir((root_ + relative).c_str()));
    if (!folder) {
      const bool hidden = errno == EACCES || errno == ENOENT;  // forbidden, or gone meanwhile
      if (!hidden || relative.empty()) fail(relative);
      cacheable_ = false;
      return {};
    }
    struct stat status {};
    // Before the entries are read: a change while they are read shows in the time later.
    if (fstat(dirfd(folder.get()), &status) != 0) fail(relative);
    // Each folder once: a link may lead back to a folder above it, or to one that is listed anyway.
    if (!listed_.insert({status.st_dev, status.st_ino}).second) return {};
    if (!settled(modified(status), wall_clock())) cacheable_ = false;
    listing_.folders.add(relative);
    listing_.modified.push_back(modified(status));

    std::vector<std::string> entries;
    errno = 0;
    while (const dirent* entry = readdir(folder.get())) {
      const std::string_view name = entry->d_name;
      const mode_t type = name == "." || name == ".." ? 0 : type_of(folder.get(), *entry);
      if (type == S_IFDIR) {
        entries.push_back(std::string(name) + '/');
      } else if (type == S_IFREG && is_image_name(name)) {
        entries.emplace_back(name);
      }
      errno = 0;
    }
    if (errno != 0) fail(relative);
    return entries;
  }

  /// What an entry is, links followed; 0: neither a file nor a folder.
  static mode_t type_of(DIR* folder, const dirent& entry) {
    if (entry.d_type == DT_DIR) return S_IFDIR;
    if (entry.d_type == DT_REG) return S_IFREG;
    if (entry.d_type != DT_LNK && entry.d_type != DT_UNKNOWN) return 0;
    struct stat status {};
    if (fstatat(dirfd(folder), entry.d_name, &status, 0) != 0) return 0;
    return status.st_mode & S_IFMT;
  }

  [[noreturn]] void fail(const std::string& relative) const {
    throw std::runtime_error("cannot list " + root_ + relative + ": " + std::strerror(errno));
  }

  std::string root_;
  Listing listing_;
  std::set<Identity> listed_;
  bool cacheable_ = true;
};

/// The listing that was stored, if no folder has changed since.
std::optional<Names> cached_files(const std::string& root, const std::string& content) {
  Listing listing;
  Unpacker packed(content);
  if (!packed.take(listing.files) || !packed.take(listing.folders) ||
      !packed.take(listing.modified) || listing.folders.size() != listing.modified.size()) {
    return std::nullopt;
  }
  for (std::size_t i = 0; i < listing.folders.size(); ++i) {
    struct stat status {};
    const std::string folder = root + std::string(listing.folders[i]);
    if (stat(folder.c_str(), &status) != 0 || !S_ISDIR(status.st_mode) ||
        modified(status) != listing.modified[i]) {
      return std::nullopt;
    }
  }
  return std::move(listing.files);
}

}  // namespace

Names list_images(const fs::path& folder, const ListingCache& cache) {
  const std::string root = fs::canonical(folder).string() + '/';
  const std::string key = "images below " + root;
  if (const auto content = cache.load(key)) {
    if (auto files = cached_files(root, *content)) return std::move(*files);
  }
  Walk walk(root);
  if (walk.cacheable()) {
    Packer packed;
    packed.add(walk.listing().files);
    packed.add(walk.listing().folders);
    packed.add(walk.listing().modified);
    cache.store(key, packed.bytes());
  }
  return walk.take_files();
}

ImageFolder::ImageFolder(const fs::path& folder, Names files)
    : prefix_((folder / "").string()), files_(std::move(files)) {}

std::string ImageFolder::name(uint64_t index) const {
  return prefix_ + std::string(files_[index]);
}

void ImageFolder::read(uint64_t index, std::vector<uint8_t>& bytes) const {
  const File file(name(index));
  file.read(0, file.stamp().size, bytes);
}

std::vector<uint64_t> ImageFolder::order(uint64_t seed, uint64_t epoch) const {
  OrderBits bits(seed, epoch);
  return permutation(size(), bits);
}

}  // namespace data
