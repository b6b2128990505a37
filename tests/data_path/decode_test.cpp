// SPDX-License-Identifier: Apache-2.0
// Decoding: every kind of image that data sets hold, files that are no images, limits, memory.
#include <ATen/ATen.h>
#include <turbojpeg.h>

#include <random>

#include "data/decode.hpp"
#include "data_path/files.hpp"
#include "support/catch.hpp"
#include "support/golden.hpp"
#include "support/temporary_folder.hpp"

namespace fs = std::filesystem;

namespace {

using data_path::Bytes;
using data_path::bytes_of;

const fs::path images = data_path::sample_images();

/// A JPEG of `height` x `width` with something to see.
Bytes jpeg(int height, int width, bool progressive = false) {
  const auto y = at::linspace(0, 20, height).view({-1, 1, 1});
  const auto x = at::linspace(0, 30, width).view({1, -1, 1}) + at::arange(3);
  const auto image = (at::sin(x + y) * 100 + 120).to(at::kByte).contiguous();
  void* handle = tjInitCompress();
  unsigned char* out = nullptr;
  unsigned long size = 0;
  REQUIRE(tjCompress2(handle, image.const_data_ptr<uint8_t>(), width, 0, height, TJPF_RGB, &out,
                      &size, TJSAMP_420, 90, progressive ? TJFLAG_PROGRESSIVE : 0) == 0);
  const Bytes bytes(out, out + size);
  tjFree(out);
  tjDestroy(handle);
  return bytes;
}

/// The JPEG with another size in its header.
Bytes claiming(Bytes bytes, int height, int width) {
  for (std::size_t i = 2; i + 9 < bytes.size();) {
    if (bytes[i + 1] == 0xC0 || bytes[i + 1] == 0xC2) {
      bytes[i + 5] = static_cast<uint8_t>(height >> 8);
      bytes[i + 6] = static_cast<uint8_t>(height);
      bytes[i + 7] = static_cast<uint8_t>(width >> 8);
      bytes[i + 8] = static_cast<uint8_t>(width);
      return bytes;
    }
    i += 2 + (std::size_t{bytes[i + 2]} << 8 | bytes[i + 3]);
  }
  FAIL("a JPEG without a frame");
  return {};
}

}  // namespace

TEST_CASE("every kind of image decodes to Pillow's pixels, of 16 bits to the high 8",
          "[data_path]") {
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

TEST_CASE("what is no whole image is refused with a reason", "[data_path]") {
  CHECK_THROWS_WITH(data::Decoder().decode({}), ContainsSubstring("empty"));
  CHECK_THROWS_WITH(data::Decoder().decode({'h', 'e', 'l', 'l', 'o'}),
                    ContainsSubstring("neither a JPEG nor a PNG"));
  CHECK_THROWS_AS(data::read_image("no/such/file.jpg"), data::BadImage);
  for (const char* name : {"rgb.jpg", "palette.png", "alpha.png"}) {
    auto bytes = bytes_of(images / name);
    bytes.resize(bytes.size() * 6 / 10);
    CHECK_THROWS_AS(data::Decoder().decode(bytes), data::BadImage);
  }
}

TEST_CASE("flipped bytes never crash", "[data_path]") {
  std::mt19937 random(1);
  int refused = 0;
  for (const auto& entry : fs::directory_iterator(images)) {
    const auto sound = bytes_of(entry.path());
    for (int i = 0; i < 200; ++i) {
      auto bytes = sound;
      for (int k = 0; k < 4; ++k) bytes[random() % bytes.size()] = static_cast<uint8_t>(random());
      try {
        data::Decoder().decode(bytes);
      } catch (const data::BadImage&) {
        ++refused;
      }
    }
  }
  CHECK(refused > 100);
}

TEST_CASE("an image that lies about its size is refused", "[data_path]") {
  auto bytes = bytes_of(images / "grey.png");
  bytes[16] = 0x7f;  // width of 2 thousand millions; the checksum is wrong then too
  CHECK_THROWS_AS(data::Decoder().decode(bytes), data::BadImage);
}

TEST_CASE("PNG round trip", "[data_path]") {
  const support::TemporaryFolder folder;
  const auto image = at::randint(256, {7, 5, 3}, at::kByte);
  data::write_png(folder.path() / "a.png", image);
  CHECK(at::equal(data::read_image(folder.path() / "a.png"), image));
}

TEST_CASE("an image of too many pixels is refused with both numbers", "[data_path]") {
  const auto giant = claiming(jpeg(32, 32), 20000, 20000);
  data::Decoder decoder;
  CHECK_THROWS_WITH(decoder.decode(giant), ContainsSubstring("20000x20000 = 400000000") &&
                                               ContainsSubstring("--max-pixels 178956970"));
  data::Decoder small(data::DecodeOptions().max_pixels(32 * 32));
  CHECK(small.decode(jpeg(32, 32)).size(0) == 32);
  CHECK_THROWS_AS(small.decode(jpeg(33, 32)), data::BadImage);
  CHECK(small.decode(bytes_of(images / "grey.png")).numel() <= 3 * 32 * 32);
  // The whole image counts, not what is decoded of it.
  data::Decoder fast(data::DecodeOptions().max_pixels(32 * 32).fast_short_side(1));
  CHECK_THROWS_AS(fast.decode(jpeg(33, 32)), data::BadImage);
}

TEST_CASE("fast decoding takes the smallest scale that leaves enough", "[data_path]") {
  data::Decoder exact;
  data::Decoder fast(data::DecodeOptions().fast_short_side(32));
  const auto sides = [&](int height, int width) {
    return fast.decode(jpeg(height, width)).sizes().vec();
  };
  const auto rgb = [](int64_t height, int64_t width) {
    return std::vector<int64_t>{height, width, 3};
  };
  CHECK(sides(63, 200) == rgb(63, 200));
  CHECK(sides(64, 201) == rgb(32, 101));
  CHECK(sides(127, 300) == rgb(64, 150));
  CHECK(sides(300, 128) == rgb(75, 32));
  CHECK(sides(255, 255) == rgb(64, 64));
  CHECK(sides(256, 257) == rgb(32, 33));
  CHECK(sides(4000, 600) == rgb(500, 75));
  // PNG and small images: the same pixels.
  for (const auto& entry : fs::directory_iterator(images)) {
    const auto bytes = bytes_of(entry.path());
    CHECK(at::equal(exact.decode(bytes).clone(), fast.decode(bytes)));
  }
  // The scaled image shows the same.
  const auto large = exact.decode(jpeg(256, 256)).clone();
  const auto means = at::avg_pool2d(large.permute({2, 0, 1}).to(at::kFloat), 8).permute({1, 2, 0});
  CHECK((fast.decode(jpeg(256, 256)).to(at::kFloat) - means).abs().mean().item<double>() < 2);
}

TEST_CASE("a decoder uses its memory again, and frees a giant's", "[data_path]") {
  data::Decoder decoder;
  const auto large = jpeg(200, 300);
  const auto small = jpeg(50, 40);
  const void* memory = decoder.decode(large).const_data_ptr();
  for (int i = 0; i < 3; ++i) {
    CHECK(decoder.decode(small).const_data_ptr() == memory);
    CHECK(decoder.decode(bytes_of(images / "cmyk.jpg")).const_data_ptr() == memory);
    CHECK(decoder.decode(bytes_of(images / "alpha.png")).const_data_ptr() == memory);
    CHECK(decoder.decode(large).const_data_ptr() == memory);
  }
  auto giant = decoder.decode(jpeg(4800, 4800));  // 69 MB
  const auto its_memory = giant.storage().getWeakStorageImpl();
  CHECK_FALSE(its_memory.expired());
  giant.reset();
  CHECK(its_memory.expired());
  CHECK(decoder.decode(small).const_data_ptr() == memory);
}

TEST_CASE("a decoder goes on after every kind of failure", "[data_path]") {
  data::Decoder decoder;
  for (const bool progressive : {false, true}) {
    const auto sound = jpeg(60, 70, progressive);
    const auto expected = decoder.decode(sound).clone();
    std::vector<Bytes> bad = {{}, {0xFF, 0xD8}, {0xFF, 0xD8, 0xFF, 0xD9}, {0x89, 'P', 'N', 'G'}};
    for (const std::size_t left : {20, 100, 400, 700}) {
      bad.emplace_back(sound.begin(), sound.begin() + static_cast<std::ptrdiff_t>(left));
    }
    for (const auto& bytes : bad) {
      CHECK_THROWS_AS(decoder.decode(bytes), data::BadImage);
      CHECK(at::equal(decoder.decode(sound), expected));
    }
  }
}
