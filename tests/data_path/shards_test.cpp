// SPDX-License-Identifier: Apache-2.0
// Tar shards: places of the images in every dialect, damage, compression, order.
#include <dirent.h>

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "data/bad_image.hpp"
#include "data/order.hpp"
#include "data/source.hpp"
#include "data/tar_index.hpp"
#include "data_path/files.hpp"
#include "data_path/tar.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

namespace fs = std::filesystem;

namespace {

using data_path::Bytes;
using data_path::Members;
using data_path::write_tar;

Bytes random_bytes(std::size_t size, unsigned seed) {
  std::mt19937 random(seed);
  Bytes bytes(size);
  for (auto& byte : bytes) byte = static_cast<uint8_t>(random());
  return bytes;
}

/// Images among other members, their sizes around those of a tar's blocks.
Members members(const std::string& prefix) {
  Members result;
  unsigned seed = 0;
  for (const std::size_t size : {0, 1, 511, 512, 513, 10239, 10240, 10241, 100000}) {
    const std::string key = prefix + std::to_string(size);
    result.emplace_back(key + (size % 2 == 0 ? ".jpg" : ".PNG"), random_bytes(size, ++seed));
    result.emplace_back(key + ".cls", Bytes{'7'});
    result.emplace_back(key + ".json", Bytes{'{', '}'});
  }
  return result;
}

data::SourceOptions uncached() {
  return data::SourceOptions().cache_folder({});
}

void expect_members(const data::Source& source, const Members& expected) {
  uint64_t index = 0;
  Bytes bytes;
  for (const auto& [name, content] : expected) {
    if (name.find(".jpg") == std::string::npos && name.find(".PNG") == std::string::npos) continue;
    REQUIRE(index < source.size());
    source.read(index, bytes);
    CHECK(bytes == content);
    CHECK_THAT(source.name(index), ContainsSubstring(name));
    ++index;
  }
  CHECK(index == source.size());
}

std::ptrdiff_t open_descriptors() {
  std::ptrdiff_t count = 0;
  for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
    static_cast<void>(entry);
    ++count;
  }
  return count;
}

}  // namespace

TEST_CASE("images of a shard are read where they are, in every dialect of tar", "[data_path]") {
  const support::TemporaryFolder folder;
  const std::string dialects[] = {"ustar", "pax", "gnutar", "v7"};
  for (const auto& format : dialects) {
    const fs::path shard = folder.path() / (format + ".tar");
    write_tar(shard, members("n0/"), format);
    expect_members(*data::open_source(shard, uncached()), members("n0/"));
  }
  // Names beyond the header's 100 bytes (and ustar's 255) come in records of their own before it.
  const std::string accents = "caf\xc3\xa9/";
  for (const std::string& prefix :
       {std::string(180, 'x') + "/", std::string(3000, 'y') + "/", accents}) {
    for (const char* format : {"pax", "gnutar"}) {
      const fs::path shard = folder.path() / "long.tar";
      write_tar(shard, members(prefix), format);
      expect_members(*data::open_source(shard, uncached()), members(prefix));
    }
  }
}

TEST_CASE("a folder of shards is one set, sorted by the shards' names", "[data_path]") {
  const support::TemporaryFolder folder;
  write_tar(folder.path() / "1.tar", members("one"));
  write_tar(folder.path() / "2.tar", {{"notes.txt", {'n'}}});
  write_tar(folder.path() / "0.TAR", members("zero"));
  auto all = members("zero");
  for (auto& member : members("one")) all.push_back(member);
  const auto source = data::open_source(folder.path(), uncached());
  expect_members(*source, all);
  CHECK(source->warnings().empty());

  data_path::write_bytes(folder.path() / "x/stray.jpg", {0});
  CHECK_THROWS_WITH(data::open_source(folder.path(), uncached()),
                    ContainsSubstring("name a folder that holds one kind"));
}

TEST_CASE("links in a shard are no images", "[data_path]") {
  const support::TemporaryFolder folder;
  data_path::write_bytes(folder.path() / "in/a.jpg", {1, 2, 3});
  fs::create_symlink("a.jpg", folder.path() / "in/b.jpg");
  fs::create_hard_link(folder.path() / "in/a.jpg", folder.path() / "in/c.jpg");
  const std::string command = "tar -C " + folder.path().string() + " -cf " +
                              (folder.path() / "s.tar").string() + " in/a.jpg in/b.jpg in/c.jpg";
  REQUIRE(std::system(command.c_str()) == 0);
  expect_members(*data::open_source(folder.path() / "s.tar", uncached()),
                 {{"in/a.jpg", {1, 2, 3}}});
}

TEST_CASE("of a truncated shard the whole members are used", "[data_path]") {
  const support::TemporaryFolder folder;
  const fs::path shard = folder.path() / "a.tar";
  const Members two = {{"1.jpg", random_bytes(1000, 1)}, {"2.jpg", random_bytes(1000, 2)}};
  write_tar(shard, two);
  const auto whole = data_path::bytes_of(shard);
  // Header, two blocks, header, two blocks: the ends of each, and places between them.
  const auto images_left = [&](std::size_t size, bool told) {
    data_path::write_bytes(shard,
                           {whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)});
    const auto source = data::open_source(shard, uncached());
    CHECK(source->warnings().size() == (told ? 1U : 0U));
    if (told) CHECK_THAT(source->warnings()[0], ContainsSubstring("a.tar is damaged"));
    return source->size();
  };
  CHECK(images_left(whole.size(), false) == 2);
  CHECK(images_left(512 + 1024 + 512 + 1000, true) == 2);
  CHECK(images_left(512 + 1024 + 512 + 999, true) == 1);
  CHECK(images_left(512 + 1024 + 512, true) == 1);
  CHECK(images_left(512 + 1024 + 511, true) == 1);
  CHECK(images_left(512 + 1024, false) == 1);
  CHECK(images_left(512 + 1000, true) == 1);
  data_path::write_bytes(shard, {whole.begin(), whole.begin() + 700});
  CHECK_THROWS_WITH(data::open_source(shard, uncached()), ContainsSubstring("there is no *.jpg"));
}

TEST_CASE("a shard with a damaged header gives the members around it", "[data_path]") {
  const support::TemporaryFolder folder;
  const fs::path shard = folder.path() / "a.tar";
  const Members three = {
      {"1.jpg", Bytes(600, 1)}, {"2.jpg", Bytes(600, 2)}, {"3.jpg", Bytes(600, 3)}};
  write_tar(shard, three);
  auto bytes = data_path::bytes_of(shard);
  bytes[512 + 1024 + 3] ^= 0x10;
  data_path::write_bytes(shard, bytes);
  const auto source = data::open_source(shard, uncached());
  expect_members(*source, {three[0], three[2]});
  CHECK(source->warnings().size() == 1);
}

TEST_CASE("what is compressed or no shard is refused with a reason", "[data_path]") {
  const support::TemporaryFolder folder;
  write_tar(folder.path() / "a.tar.gz", members(""), "ustar", "gzip");
  write_tar(folder.path() / "b.tar", members(""), "pax", "zstd");
  write_tar(folder.path() / "more/c.tar.xz", members(""), "pax", "xz");
  data_path::write_bytes(folder.path() / "garbage.tar", random_bytes(5000, 1));
  data_path::write_bytes(folder.path() / "empty.tar", {});
  data_path::write_bytes(folder.path() / "photo.jpg", {});
  const auto refused = [&](const char* name, const char* why) {
    CHECK_THROWS_WITH(data::open_source(folder.path() / name, uncached()), ContainsSubstring(why));
  };
  refused("a.tar.gz", "compressed (gzip)");
  refused("b.tar", "unzstd");
  refused("more", "compressed (xz)");
  refused("garbage.tar", "garbage.tar");
  refused("empty.tar", "empty.tar");
  refused("photo.jpg", "no folder and no .tar file");
}

TEST_CASE("a shard's index is kept until the shard changes", "[data_path]") {
  const support::TemporaryFolder folder;
  const fs::path shard = folder.path() / "a.tar";
  const data::ListingCache cache(folder.path() / "cache");
  const Bytes content = random_bytes(600, 1);
  const auto write = [&](const std::string& name) {
    write_tar(shard, {{name, content}});
    fs::last_write_time(shard, fs::file_time_type::clock::now() - std::chrono::hours(1));
  };
  write("old.jpg");
  const auto time = fs::last_write_time(shard);
  CHECK(data::index_tar(shard, cache).names[0] == "old.jpg");
  write("new.jpg");
  fs::last_write_time(shard, time);  // same time, same size: the kept index is taken
  CHECK(data::index_tar(shard, cache).names[0] == "old.jpg");
  fs::last_write_time(shard, time + std::chrono::milliseconds(1));
  CHECK(data::index_tar(shard, cache).names[0] == "new.jpg");

  // Damage is told of every time.
  fs::resize_file(shard, 512 + 100);
  fs::last_write_time(shard, time);
  for (int i = 0; i < 2; ++i) CHECK_FALSE(data::index_tar(shard, cache).damage.empty());

  // Written just now: not kept.
  write_tar(shard, {{"young.jpg", content}});
  const auto now = fs::last_write_time(shard);
  CHECK(data::index_tar(shard, cache).names[0] == "young.jpg");
  write_tar(shard, {{"other.jpg", content}});
  fs::last_write_time(shard, now);
  CHECK(data::index_tar(shard, cache).names[0] == "other.jpg");
}

TEST_CASE("few shards are open at once", "[data_path]") {
  const support::TemporaryFolder folder;
  for (int i = 0; i < 200; ++i) {
    write_tar(folder.path() / (std::to_string(1000 + i) + ".tar"),
              {{"image.jpg", Bytes(10, static_cast<uint8_t>(i))}});
  }
  const auto before = open_descriptors();
  const auto source = data::open_source(folder.path(), uncached());
  REQUIRE(source->size() == 200);
  Bytes bytes;
  for (int round = 0; round < 2; ++round) {
    for (uint64_t i = 0; i < 200; ++i) {
      source->read(i, bytes);
      CHECK(bytes == Bytes(10, static_cast<uint8_t>(i)));
    }
  }
  CHECK(open_descriptors() <= before + 64);
}

TEST_CASE("a shard that shrank is a bad image, not a crash", "[data_path]") {
  const support::TemporaryFolder folder;
  write_tar(folder.path() / "a.tar", {{"a.jpg", Bytes(5000, 1)}});
  const auto source = data::open_source(folder.path() / "a.tar", uncached());
  fs::resize_file(folder.path() / "a.tar", 1000);
  Bytes bytes;
  CHECK_THROWS_AS(source->read(0, bytes), data::BadImage);
}

TEST_CASE("an epoch of shards is a permutation that stays near a sequence", "[data_path]") {
  const support::TemporaryFolder folder;
  constexpr uint64_t shards = 20;
  constexpr uint64_t images = 50;
  for (uint64_t s = 0; s < shards; ++s) {
    Members content;
    for (uint64_t i = 0; i < images; ++i) content.emplace_back(std::to_string(i) + ".jpg", Bytes{});
    write_tar(folder.path() / (std::to_string(100 + s) + ".tar"), content);
  }
  const auto order = [&](int64_t buffer, uint64_t seed, uint64_t epoch) {
    auto options = uncached();
    return data::open_source(folder.path(), options.shuffle_buffer(buffer))->order(seed, epoch);
  };
  std::vector<uint64_t> all(shards * images);
  std::iota(all.begin(), all.end(), 0);
  for (const int64_t buffer : {0, 1, 2, 60, 1000, 100000}) {
    auto sorted = order(buffer, 1, 2);
    CHECK(order(buffer, 1, 2) == sorted);
    CHECK(order(buffer, 1, 3) != sorted);
    CHECK(order(buffer, 2, 2) != sorted);
    std::sort(sorted.begin(), sorted.end());
    CHECK(sorted == all);
  }
  // Without a buffer shards are whole and in sequence; with one, no sample comes out before
  // it can have come in.
  const auto sequence = order(0, 1, 2);
  for (uint64_t i = 0; i < sequence.size(); ++i) {
    if (i % images != 0) CHECK(sequence[i] == sequence[i - 1] + 1);
  }
  constexpr uint64_t buffer = 60;
  std::vector<uint64_t> came_in(sequence.size());
  for (uint64_t i = 0; i < sequence.size(); ++i) came_in[sequence[i]] = i;
  const auto mixed = order(buffer, 1, 2);
  uint64_t moved = 0;
  for (uint64_t i = 0; i < mixed.size(); ++i) {
    CHECK(came_in[mixed[i]] < i + buffer);
    if (mixed[i] != sequence[i]) ++moved;
  }
  CHECK(moved > mixed.size() * 9 / 10);
}

TEST_CASE("orders are uniform", "[data_path]") {
  // Every image is first equally often: 6 of 6000 epochs, within five deviations.
  std::vector<int> first(6);
  for (uint64_t epoch = 0; epoch < 6000; ++epoch) {
    data::OrderBits bits(/*seed=*/1, epoch);
    ++first[data::permutation(6, bits)[0]];
  }
  for (const int count : first) CHECK(std::abs(count - 1000) < 5 * 29);
}
