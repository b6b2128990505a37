// SPDX-License-Identifier: Apache-2.0
// Reading images: every kind that data sets hold, and files that are not images.
#include <torch/torch.h>
#include <pixmim/simple_resized_crop.hpp>

#include <fstream>
#include <random>
#include <set>

#include "data/decode.hpp"
#include "data/image_folder.hpp"
#include "data/photo_stream.hpp"
#include "support/catch.hpp"
#include "support/golden.hpp"
#include "support/temporary_folder.hpp"

namespace fs = std::filesystem;

namespace {

const fs::path images =
    fs::path(support::golden_files("decoded_images").front()).parent_path() / "images";

std::vector<uint8_t> bytes_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write_bytes(const fs::path& path, const std::vector<uint8_t>& bytes) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
}

}  // namespace

TEST_CASE("every kind of image decodes to Pillow's pixels", "[pretrain]") {
  const auto golden = support::golden("decoded_images");
  int count = 0;
  for (const auto& entry : fs::directory_iterator(images)) {
    const std::string name = entry.path().filename().string();
    const auto image = data::read_image(entry.path());
    // Two builds of libjpeg may round apart by a little; PNG is exact.
    const double allowed = entry.path().extension() == ".jpg" ? 2 : 0;
    const double difference = support::largest_difference(image, golden[name]);
    support::report("image " + name, difference, allowed);
    CHECK(difference <= allowed);
    ++count;
  }
  CHECK(count == 10);
}

TEST_CASE("what is no whole image is refused with a reason", "[pretrain]") {
  CHECK_THROWS_WITH(data::decode_image({}), ContainsSubstring("empty"));
  CHECK_THROWS_WITH(data::decode_image({'h', 'e', 'l', 'l', 'o'}),
                    ContainsSubstring("neither a JPEG nor a PNG"));
  CHECK_THROWS_AS(data::read_image("no/such/file.jpg"), data::BadImage);
  for (const char* name : {"rgb.jpg", "palette.png", "alpha.png"}) {
    auto bytes = bytes_of(images / name);
    bytes.resize(bytes.size() * 6 / 10);
    CHECK_THROWS_AS(data::decode_image(bytes), data::BadImage);
  }
}

TEST_CASE("flipped bytes never crash", "[pretrain]") {
  std::mt19937 random(1);
  int refused = 0;
  for (const auto& entry : fs::directory_iterator(images)) {
    const auto sound = bytes_of(entry.path());
    for (int i = 0; i < 200; ++i) {
      auto bytes = sound;
      for (int k = 0; k < 4; ++k) bytes[random() % bytes.size()] = static_cast<uint8_t>(random());
      try {
        data::decode_image(bytes);
      } catch (const data::BadImage&) {
        ++refused;
      }
    }
  }
  CHECK(refused > 100);
}

TEST_CASE("an image that lies about its size is refused", "[pretrain]") {
  auto bytes = bytes_of(images / "grey.png");
  bytes[16] = 0x7f;  // width of 2 thousand millions; the checksum is wrong then too
  CHECK_THROWS_AS(data::decode_image(bytes), data::BadImage);
}

TEST_CASE("PNG round trip", "[pretrain]") {
  const support::TemporaryFolder folder;
  const auto image = torch::randint(256, {7, 5, 3}, torch::kByte);
  data::write_png(folder.path() / "a.png", image);
  CHECK(at::equal(data::read_image(folder.path() / "a.png"), image));
}

TEST_CASE("images are listed in the order of their names, class folders or flat", "[pretrain]") {
  const support::TemporaryFolder folder;
  fs::create_directories(folder.path() / "b");
  for (const char* name : {"z.JPEG", "b/x.png", "a.JpG", "notes.txt", "b/y.gif"}) {
    write_bytes(folder.path() / name, {0});
  }
  const auto files = data::list_images(folder.path());
  REQUIRE(files.size() == 3);
  CHECK(files[0].filename() == "a.JpG");
  CHECK(files[1].filename() == "x.png");
  CHECK(files[2].filename() == "z.JPEG");
  fs::create_directory_symlink(folder.path(), folder.path() / "b" / "self");
  CHECK(data::list_images(folder.path()).size() == 3);
  CHECK_THROWS_WITH(data::list_images(folder.path() / "none"), ContainsSubstring("is no folder"));
  const support::TemporaryFolder empty;
  CHECK_THROWS_WITH(data::list_images(empty.path()), ContainsSubstring("there is no *.jpg"));
}

TEST_CASE("bad images are skipped and counted, or stop a strict reader", "[pretrain]") {
  const support::TemporaryFolder folder;
  auto truncated = bytes_of(images / "rgb.jpg");
  truncated.resize(truncated.size() / 2);
  fs::copy(images / "rgb.jpg", folder.path() / "0_sound.jpg");
  write_bytes(folder.path() / "1_truncated.jpg", truncated);
  write_bytes(folder.path() / "2_empty.jpg", {});
  write_bytes(folder.path() / "3_text.png", {'t', 'e', 'x', 't'});
  data::write_png(folder.path() / "4_dot.png", torch::zeros({1, 1, 3}, torch::kByte));
  data::write_png(folder.path() / "5_long.png", torch::zeros({10, 30000, 3}, torch::kByte));

  const pixmim::SimpleResizedCrop src(16);
  const data::Transform crop = [&](const torch::Tensor& image, data::SampleId id) {
    return src.apply(image, src.sample(image.size(0), image.size(1), 0, id.index, id.epoch));
  };
  const data::SampleIds all = {{0, 0}, {1, 0}, {2, 0}, {3, 0}, {4, 0}, {5, 0}};
  data::Photos lenient(data::list_images(folder.path()), crop, /*strict=*/false,
                       /*in_worker=*/false, /*cache_bytes=*/1 << 20);
  for (int round = 0; round < 2; ++round) CHECK(lenient.get_batch(all).images.size(0) == 3);
  const auto bad = lenient.bad_images()->files();
  REQUIRE(bad.size() == 3);
  CHECK(bad.begin()->first.filename() == "1_truncated.jpg");
  CHECK_FALSE(lenient.get_batch({{1, 0}, {2, 0}}).images.defined());

  data::Photos strict(data::list_images(folder.path()), crop, /*strict=*/true, false, 0);
  CHECK_THROWS_WITH(strict.get_batch(all), ContainsSubstring("1_truncated.jpg"));
}

TEST_CASE("every epoch is a permutation, and the stream can start anywhere", "[pretrain]") {
  data::EpochSampler sampler(10, /*seed=*/3, /*first=*/0);
  std::vector<data::SampleId> stream;
  for (int i = 0; i < 10; ++i) {
    const auto ids = *sampler.next(7);
    stream.insert(stream.end(), ids.begin(), ids.end());
  }
  for (std::size_t epoch = 0; epoch < 7; ++epoch) {
    std::set<uint64_t> seen;
    for (std::size_t i = 0; i < 10; ++i) {
      CHECK(stream[epoch * 10 + i].epoch == epoch);
      seen.insert(stream[epoch * 10 + i].index);
    }
    CHECK(seen.size() == 10);
  }
  data::EpochSampler later(10, 3, /*first=*/23);
  const auto ids = *later.next(20);
  for (std::size_t i = 0; i < 20; ++i) CHECK(ids[i].index == stream[23 + i].index);
}
