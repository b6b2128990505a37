// SPDX-License-Identifier: Apache-2.0
#include "data/decode.hpp"

#include <ATen/ops/empty.h>
#include <c10/util/Exception.h>
#include <spng.h>
#include <turbojpeg.h>

#include <algorithm>
#include <cstdio>
#include <stdexcept>
#include <string>

#include "data/file.hpp"

namespace data {
namespace {

bool starts_with(const std::vector<uint8_t>& bytes, const std::vector<uint8_t>& magic) {
  return bytes.size() >= magic.size() && std::equal(magic.begin(), magic.end(), bytes.begin());
}

at::Tensor rgb_view(const at::Tensor& memory, int64_t height, int64_t width) {
  return memory.as_strided({height, width, 3}, {width * 3, 3, 1});
}

/// CMYK to RGB in place. Adobe's CMYK is stored inverted: what is left of the light, so a channel
/// is c * k / 255, from Pillow's rounding.
void cmyk_to_rgb(uint8_t* pixels, int64_t count) {
  const uint8_t* cmyk = pixels;
  uint8_t* rgb = pixels;
  for (int64_t i = 0; i < count; ++i, cmyk += 4, rgb += 3) {
    const int black = cmyk[3];
    for (int channel = 0; channel < 3; ++channel) {
      const int product = (255 - cmyk[channel]) * black + 128;
      rgb[channel] = static_cast<uint8_t>(black - (((product >> 8) + product) >> 8));
    }
  }
}

/// 2, 4 or 8 if the side can be divided by it and stays `at_least`, else 1.
int fast_divisor(int64_t shorter_side, int64_t at_least) {
  for (const int divisor : {8, 4, 2}) {
    if (at_least > 0 && shorter_side / divisor >= at_least) return divisor;
  }
  return 1;
}

struct FreeSpng {
  void operator()(spng_ctx* context) const { spng_ctx_free(context); }
};
using SpngContext = std::unique_ptr<spng_ctx, FreeSpng>;

}  // namespace

void Decoder::DestroyTurboJpeg::operator()(void* handle) const {
  tjDestroy(handle);
}

void Decoder::check_size(int64_t height, int64_t width) const {
  if (height * width > options_.max_pixels()) {
    throw BadImage("it has " + std::to_string(width) + "x" + std::to_string(height) + " = " +
                   std::to_string(height * width) + " pixels, more than --max-pixels " +
                   std::to_string(options_.max_pixels()));
  }
}

at::Tensor Decoder::memory(int64_t size) {
  // A giant's memory goes with its image.
  constexpr int64_t kept = int64_t{64} << 20;
  if (size > kept) return at::empty({size}, at::kByte);
  if (!memory_.defined() || memory_.numel() < size) {
    memory_.reset();
    memory_ = at::empty({std::min(size + size / 2, kept)}, at::kByte);
  }
  return memory_;
}

at::Tensor Decoder::decode_jpeg(const std::vector<uint8_t>& bytes) {
  if (!turbojpeg_) turbojpeg_.reset(tjInitDecompress());
  const auto fail = [this] {
    const std::string why = tjGetErrorStr2(turbojpeg_.get());
    // After a failed header, libjpeg-turbo 2.1 also refuses the next, sound image.
    turbojpeg_.reset();
    throw BadImage(why);
  };

  const auto size = static_cast<unsigned long>(bytes.size());
  int width = 0;
  int height = 0;
  int subsampling = 0;
  int colorspace = 0;
  if (tjDecompressHeader3(turbojpeg_.get(), bytes.data(), size, &width, &height, &subsampling,
                          &colorspace) != 0) {
    fail();
  }
  if (width < 1 || height < 1) throw BadImage("it holds tables and no image");
  check_size(height, width);
  const tjscalingfactor scale{1, fast_divisor(std::min(height, width), options_.fast_short_side())};
  width = TJSCALED(width, scale);
  height = TJSCALED(height, scale);
  const bool cmyk = colorspace == TJCS_CMYK || colorspace == TJCS_YCCK;
  const int64_t pixels = int64_t{height} * width;
  const auto memory = this->memory(pixels * (cmyk ? 4 : 3));
  auto* data = memory.mutable_data_ptr<uint8_t>();
  // A warning (a truncated file, say) fails too: half an image is no image. A small file of
  // thousands of scans would take minutes.
  if (tjDecompress2(turbojpeg_.get(), bytes.data(), size, data, width, 0, height,
                    cmyk ? TJPF_CMYK : TJPF_RGB, TJFLAG_ACCURATEDCT | TJFLAG_LIMITSCANS) != 0) {
    fail();
  }
  if (cmyk) cmyk_to_rgb(data, pixels);
  return rgb_view(memory, height, width);
}

at::Tensor Decoder::decode_png(const std::vector<uint8_t>& bytes) {
  const SpngContext context(spng_ctx_new(0));
  const auto check = [](int code) {
    if (code != 0) throw BadImage(spng_strerror(code));
  };
  constexpr std::size_t chunk_limit = std::size_t{64} << 20;
  check(spng_set_chunk_limits(context.get(), chunk_limit, chunk_limit));
  check(spng_set_png_buffer(context.get(), bytes.data(), bytes.size()));
  spng_ihdr header{};
  check(spng_get_ihdr(context.get(), &header));
  check_size(header.height, header.width);
  const auto image =
      rgb_view(memory(int64_t{header.height} * header.width * 3), header.height, header.width);
  check(spng_decode_image(context.get(), image.mutable_data_ptr<uint8_t>(),
                          static_cast<std::size_t>(image.numel()), SPNG_FMT_RGB8, 0));
  return image;
}

at::Tensor Decoder::decode(const std::vector<uint8_t>& bytes) {
  if (bytes.empty()) throw BadImage("it is empty");
  if (starts_with(bytes, {0xFF, 0xD8})) return decode_jpeg(bytes);
  if (starts_with(bytes, {0x89, 'P', 'N', 'G'})) return decode_png(bytes);
  throw BadImage("it is neither a JPEG nor a PNG");
}

at::Tensor read_image(const std::filesystem::path& path) {
  const File file(path);
  std::vector<uint8_t> bytes;
  file.read(0, file.stamp().size, bytes);
  return Decoder().decode(bytes);
}

void write_png(const std::filesystem::path& path, const at::Tensor& image) {
  TORCH_CHECK(image.dim() == 3 && image.size(2) == 3 && image.scalar_type() == at::kByte,
              "write_png: expected an image [H,W,3] of uint8, got ", image.sizes(), " of ",
              image.scalar_type());
  const auto pixels = image.contiguous().cpu();
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  const std::unique_ptr<std::FILE, Close> file(std::fopen(path.c_str(), "wb"));
  if (!file) throw std::runtime_error("cannot write " + path.string());

  const SpngContext context(spng_ctx_new(SPNG_CTX_ENCODER));
  spng_ihdr header{};
  header.width = static_cast<uint32_t>(pixels.size(1));
  header.height = static_cast<uint32_t>(pixels.size(0));
  header.color_type = SPNG_COLOR_TYPE_TRUECOLOR;
  header.bit_depth = 8;
  spng_set_png_file(context.get(), file.get());
  spng_set_ihdr(context.get(), &header);
  int code = spng_encode_image(context.get(), pixels.data_ptr<uint8_t>(),
                               static_cast<std::size_t>(pixels.numel()), SPNG_FMT_PNG,
                               SPNG_ENCODE_FINALIZE);
  if (code == 0 && std::fflush(file.get()) != 0) code = SPNG_IO_ERROR;
  if (code != 0) {
    throw std::runtime_error("cannot write " + path.string() + ": " + spng_strerror(code));
  }
}

}  // namespace data
