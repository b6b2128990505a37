// SPDX-License-Identifier: Apache-2.0
// Folders of photographs: their order, links, and the listing that is kept.
#include <unistd.h>

#include <string>
#include <vector>

#include "data/bad_image.hpp"
#include "data/image_folder.hpp"
#include "data/source.hpp"
#include "data_path/files.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

namespace fs = std::filesystem;

namespace {

using data_path::age;
using data_path::write_bytes;

std::vector<std::string> listed(const fs::path& folder, const fs::path& cache = {}) {
  const data::Names names = data::list_images(folder, data::ListingCache(cache));
  std::vector<std::string> result;
  for (std::size_t i = 0; i < names.size(); ++i) result.emplace_back(names[i]);
  return result;
}

/// Photographs of two classes, an hour old, and a place for the cache.
class Photographs {
 public:
  Photographs() {
    for (const char* name : {"b/2.jpg", "b/1.png", "a/3.jpeg"}) write_bytes(folder() / name, {0});
    age(folder());
  }
  fs::path folder() const { return root_.path() / "photographs"; }
  fs::path cache() const { return root_.path() / "deep" / "cache"; }
  std::vector<std::string> list() const { return listed(folder(), cache()); }
  fs::path cache_file() const { return fs::directory_iterator(cache())->path(); }

  /// Adds a file in a way that the time of its folder does not tell.
  void add_in_secret(const std::string& name) const {
    const fs::path file = folder() / name;
    const auto before = fs::last_write_time(file.parent_path());
    write_bytes(file, {0});
    fs::last_write_time(file.parent_path(), before);
  }

 private:
  support::TemporaryFolder root_;
};

using Listed = std::vector<std::string>;
const Listed original = {"a/3.jpeg", "b/1.png", "b/2.jpg"};
const Listed with_secret = {"a/3.jpeg", "b/0.jpg", "b/1.png", "b/2.jpg"};

}  // namespace

TEST_CASE("photographs are listed in the order of their names' bytes", "[data_path]") {
  const support::TemporaryFolder folder;
  for (const char* name : {"z.JPEG", "b/x.png", "a.JpG", "notes.txt", "b/y.gif", "b-c/1.jpg",
                           "b.jpg", "b/d/1.jpg", "jpg", "b0.png", "folder.jpg/in.jpg"}) {
    write_bytes(folder.path() / name, {0});
  }
  CHECK(listed(folder.path()) == Listed{"a.JpG", "b-c/1.jpg", "b.jpg", "b/d/1.jpg", "b/x.png",
                                        "b0.png", "folder.jpg/in.jpg", "z.JPEG"});
}

TEST_CASE("links are followed, and each folder is listed once", "[data_path]") {
  const support::TemporaryFolder folder;
  write_bytes(folder.path() / "photos/a/1.jpg", {0});
  write_bytes(folder.path() / "elsewhere/2.jpg", {0});
  const fs::path photos = folder.path() / "photos";
  fs::create_directory_symlink(photos, photos / "a" / "self");
  fs::create_directory_symlink("../elsewhere", photos / "y");
  fs::create_directory_symlink("../elsewhere", photos / "x");
  fs::create_symlink("1.jpg", photos / "a" / "link.jpg");
  fs::create_symlink("nowhere.jpg", photos / "a" / "broken.jpg");
  fs::create_symlink("loop.jpg", photos / "loop.jpg");
  fs::create_directory_symlink("a", photos / "b");  // listed already
  CHECK(listed(photos) == Listed{"a/1.jpg", "a/link.jpg", "x/2.jpg"});
}

TEST_CASE("what cannot be listed is skipped below the folder, and an error at its top",
          "[data_path]") {
  const Photographs photographs;
  CHECK_THROWS_WITH(data::open_source(photographs.folder() / "none"),
                    ContainsSubstring("is no folder"));
  const support::TemporaryFolder empty;
  CHECK_THROWS_WITH(data::open_source(empty.path()), ContainsSubstring("there is no *.jpg"));
  if (geteuid() == 0) return;  // who may read everything
  fs::permissions(photographs.folder() / "b", fs::perms::none);
  CHECK(photographs.list() == Listed{"a/3.jpeg"});
  // What could not be read may be readable the next time, without a change of the folder's time.
  fs::permissions(photographs.folder() / "b", fs::perms::owner_all);
  CHECK(photographs.list() == original);
}

TEST_CASE("a listing is kept until a folder changes", "[data_path]") {
  const Photographs photographs;
  CHECK(photographs.list() == original);
  // Proof that the second listing is the kept one: it does not know of a change without a trace.
  photographs.add_in_secret("b/0.jpg");
  CHECK(photographs.list() == original);
  CHECK(listed(photographs.folder()) == with_secret);

  write_bytes(photographs.folder() / "a/c/new.png", {0});
  CHECK(photographs.list() == Listed{"a/3.jpeg", "a/c/new.png", "b/0.jpg", "b/1.png", "b/2.jpg"});
  age(photographs.folder());
  CHECK(photographs.list().size() == 5);
  fs::remove_all(photographs.folder() / "a");
  CHECK(photographs.list() == Listed{"b/0.jpg", "b/1.png", "b/2.jpg"});
}

TEST_CASE("a young folder's listing is not kept", "[data_path]") {
  const Photographs photographs;
  fs::last_write_time(photographs.folder() / "b", fs::file_time_type::clock::now());
  CHECK(photographs.list() == original);
  photographs.add_in_secret("b/0.jpg");
  CHECK(photographs.list() == with_secret);
}

TEST_CASE("a kept listing that is damaged is not used, and is written anew", "[data_path]") {
  const Photographs photographs;
  REQUIRE(photographs.list() == original);
  const auto sound = data_path::bytes_of(photographs.cache_file());
  photographs.add_in_secret("b/0.jpg");
  REQUIRE(photographs.list() == original);
  const auto time = fs::last_write_time(photographs.folder() / "b");
  const auto expect_anew = [&](const data_path::Bytes& damaged) {
    write_bytes(photographs.cache_file(), damaged);
    REQUIRE(photographs.list() == with_secret);
    photographs.add_in_secret("b/00.jpg");
    REQUIRE(photographs.list() == with_secret);
    fs::remove(photographs.folder() / "b/00.jpg");
    fs::last_write_time(photographs.folder() / "b", time);
  };
  for (std::size_t i = 0; i < sound.size(); ++i) {
    auto flipped = sound;
    flipped[i] ^= 0x40;
    expect_anew(flipped);
    expect_anew({sound.begin(), sound.begin() + static_cast<std::ptrdiff_t>(i)});
  }
}

TEST_CASE("without a place for the listing all is well", "[data_path]") {
  const Photographs photographs;
  write_bytes(photographs.folder().parent_path() / "file", {0});
  CHECK(listed(photographs.folder(), photographs.folder().parent_path() / "file") == original);
  CHECK(listed(photographs.folder(), "/proc/nothing") == original);
  CHECK(listed(photographs.folder(), {}) == original);
}

TEST_CASE("a folder's photographs are read, and named where they cannot be", "[data_path]") {
  const support::TemporaryFolder folder;
  write_bytes(folder.path() / "1.jpg", {1, 2, 3});
  write_bytes(folder.path() / "2.jpg", {});
  write_bytes(folder.path() / "3.jpg", {0});
  const auto source = data::open_source(folder.path());
  fs::remove(folder.path() / "3.jpg");
  std::ofstream(folder.path() / "2.jpg").seekp((int64_t{1} << 40) - 1).put(0);  // a hole
  REQUIRE(source->size() == 3);
  std::vector<uint8_t> bytes;
  source->read(0, bytes);
  CHECK(bytes == data_path::Bytes{1, 2, 3});
  CHECK_THROWS_WITH(source->read(1, bytes), ContainsSubstring("1099511627776 bytes"));
  CHECK_THROWS_WITH(source->read(2, bytes), ContainsSubstring("cannot be opened"));
  CHECK(source->name(2) == (folder.path() / "3.jpg").string());
}
