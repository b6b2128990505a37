// SPDX-License-Identifier: Apache-2.0
// Thousands of files that are not what they say: the loader reads on.
#include <ATen/ATen.h>
#include <pixmim/simple_resized_crop.hpp>

#include <random>

#include "data/decode.hpp"
#include "data/loader.hpp"
#include "data/source.hpp"
#include "data_path/files.hpp"
#include "data_path/tar.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

namespace fs = std::filesystem;

namespace {

using data_path::Bytes;

/// File number i of the hostile ones.
Bytes hostile(int i, const std::vector<Bytes>& sound, const Bytes& tar, std::mt19937& random) {
  Bytes bytes = sound[random() % sound.size()];
  const auto any = [&](std::size_t size) { return static_cast<std::ptrdiff_t>(random() % size); };
  switch (i % 8) {
    case 0:  // cut
      bytes.resize(random() % bytes.size());
      break;
    case 1:  // single bits
      for (int k = 0; k < 3; ++k)
        bytes[random() % bytes.size()] ^= static_cast<uint8_t>(1 << random() % 8);
      break;
    case 2:  // bytes of the header
      for (int k = 0; k < 4; ++k) bytes[2 + random() % 40] = static_cast<uint8_t>(random());
      break;
    case 3:  // one image's start, another's end
    {
      const Bytes& other = sound[random() % sound.size()];
      bytes.resize(static_cast<std::size_t>(any(bytes.size())));
      bytes.insert(bytes.end(), other.begin() + any(other.size()), other.end());
      break;
    }
    case 4:  // a stretch of zeros
      std::fill_n(bytes.begin() + any(bytes.size() - 16), 16, uint8_t{0});
      break;
    case 5:  // noise, with an image's first bytes or without
      bytes.resize(random() % 2 * 4);
      for (std::size_t k = random() % 600; k > 0; --k)
        bytes.push_back(static_cast<uint8_t>(random()));
      break;
    case 6:  // no image at all
      bytes = i % 16 == 6 ? Bytes{} : Bytes(tar.begin(), tar.begin() + any(tar.size()));
      break;
    default:  // sound, under whatever name
      break;
  }
  return bytes;
}

}  // namespace

TEST_CASE("2,000 hostile files are read to the end, from a folder and from a shard",
          "[data_path]") {
  std::vector<Bytes> sound;
  for (const auto& entry : fs::directory_iterator(data_path::sample_images())) {
    sound.push_back(data_path::bytes_of(entry.path()));
  }
  std::sort(sound.begin(), sound.end());
  const support::TemporaryFolder folder;
  data_path::write_tar(folder.path() / "small.tar", {{"a.jpg", sound[0]}});
  const Bytes tar = data_path::bytes_of(folder.path() / "small.tar");

  constexpr int count = 2000;
  std::mt19937 random(7);
  data_path::Members files;
  uint64_t bad = 0;
  const auto limits = data::DecodeOptions().max_pixels(1 << 22);  // for the sake of time
  for (int i = 0; i < count; ++i) {
    const char* extension = i % 3 == 0 ? ".jpg" : i % 3 == 1 ? ".png" : ".JPEG";
    files.emplace_back(std::to_string(10000 + i) + extension, hostile(i, sound, tar, random));
    data_path::write_bytes(folder.path() / "files" / files.back().first, files.back().second);
    try {
      data::Decoder(limits).decode(files.back().second);
    } catch (const data::BadImage&) {
      ++bad;
    }
  }
  CHECK(bad > 1000);         // most are bad,
  CHECK(count - bad > 250);  // and not all: the sound ones among them are read
  data_path::write_tar(folder.path() / "files.tar", files);

  const pixmim::SimpleResizedCrop src(32);
  const data::Crop crop = [&](const at::Tensor& image, data::SampleId id, const at::Tensor& slot) {
    src.apply_out(slot, image, src.sample(image.size(0), image.size(1), 0, id.index, id.epoch));
  };
  const auto options = data::SourceOptions().cache_folder({});
  for (const char* name : {"files", "files.tar"}) {
    const std::shared_ptr<const data::Source> source =
        data::open_source(folder.path() / name, options);
    REQUIRE(source->size() == count);
    data::Loader loader(source, crop, data::LoaderOptions(50, 32).workers(2).decode(limits));
    int64_t read = 0;
    for (int i = 0; i < count / 50; ++i) {
      const auto batch = loader.next();
      read += batch.index.size(0);
      if (batch.images.defined()) CHECK(batch.images.isfinite().all().item<bool>());
    }
    CHECK(read == static_cast<int64_t>(count - bad));
    // Two batches of the second epoch may be in the making: bad ones count once.
    CHECK(loader.bad_images().count() == bad);
  }
}

TEST_CASE("hostile shards give an error or whole images", "[data_path]") {
  const support::TemporaryFolder folder;
  const fs::path shard = folder.path() / "a.tar";
  data_path::write_tar(
      shard, {{"1.jpg", Bytes(700, 1)}, {std::string(150, 'x') + ".jpg", Bytes(700, 2)}}, "pax");
  const Bytes whole = data_path::bytes_of(shard);
  std::mt19937 random(11);
  int opened = 0;
  for (int i = 0; i < 500; ++i) {
    Bytes bytes = whole;
    if (i % 2 == 0) bytes.resize(random() % bytes.size());
    for (int k = 0; k < i % 5 && !bytes.empty(); ++k) {
      bytes[random() % bytes.size()] = static_cast<uint8_t>(random());
    }
    data_path::write_bytes(shard, bytes);
    try {
      const auto source = data::open_source(shard, data::SourceOptions().cache_folder({}));
      for (uint64_t k = 0; k < source->size(); ++k) {
        Bytes image;
        source->read(k, image);
        CHECK(image.size() <= bytes.size());
      }
      ++opened;
    } catch (const std::runtime_error&) {
    }
  }
  CHECK(opened > 50);
}
