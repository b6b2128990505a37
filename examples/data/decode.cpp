// SPDX-License-Identifier: Apache-2.0
#include "data/decode.hpp"

#include <spng.h>
#include <turbojpeg.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>
#include <memory>

namespace data {
namespace {

bool starts_with(const std::vector<uint8_t>& bytes, const std::vector<uint8_t>& magic) {
  return bytes.size() >= magic.size() && std::equal(magic.begin(), magic.end(), bytes.begin());
}

torch::Tensor pixels(int64_t height, int64_t width, int64_t channels) {
  if (height * width > max_pixels) {
    throw BadImage("it has " + std::to_string(width) + "x" + std::to_string(height) +
                   " pixels, more than " + std::to_string(max_pixels));
  }
  return torch::empty({height, width, channels}, torch::kByte);
}

/// Adobe's CMYK is stored inverted: what is left of the light, so a channel is c * k.
torch::Tensor cmyk_to_rgb(const torch::Tensor& cmyk) {
  const auto inks = cmyk.to(torch::kInt);
  const auto black = inks.slice(2, 3);
  const auto product = (255 - inks.slice(2, 0, 3)) * black + 128;
  const auto scaled = product.bitwise_right_shift(8).add_(product).bitwise_right_shift_(8);
  return (black - scaled).to(torch::kByte);
}

torch::Tensor decode_jpeg(const std::vector<uint8_t>& bytes) {
  struct Destroy {
    void operator()(void* handle) const { tjDestroy(handle); }
  };
  // One for each image: after a failed header, libjpeg-turbo 2.1 also refuses the next, sound
  // image.
  const std::unique_ptr<void, Destroy> decoder(tjInitDecompress());
  const auto fail = [&decoder] { throw BadImage(tjGetErrorStr2(decoder.get())); };

  const auto size = static_cast<unsigned long>(bytes.size());
  int width = 0;
  int height = 0;
  int subsampling = 0;
  int colorspace = 0;
  if (tjDecompressHeader3(decoder.get(), bytes.data(), size, &width, &height, &subsampling,
                          &colorspace) != 0) {
    fail();
  }
  if (width < 1 || height < 1) throw BadImage("it holds tables and no image");
  const bool cmyk = colorspace == TJCS_CMYK || colorspace == TJCS_YCCK;
  const auto image = pixels(height, width, cmyk ? 4 : 3);
  // A warning (a truncated file, say) fails too: half an image is no image.
  if (tjDecompress2(decoder.get(), bytes.data(), size, image.data_ptr<uint8_t>(), width, 0, height,
                    cmyk ? TJPF_CMYK : TJPF_RGB, TJFLAG_ACCURATEDCT) != 0) {
    fail();
  }
  return cmyk ? cmyk_to_rgb(image) : image;
}

struct FreeSpng {
  void operator()(spng_ctx* context) const { spng_ctx_free(context); }
};
using SpngContext = std::unique_ptr<spng_ctx, FreeSpng>;

torch::Tensor decode_png(const std::vector<uint8_t>& bytes) {
  const SpngContext context(spng_ctx_new(0));
  const auto check = [](int code) {
    if (code != 0) throw BadImage(spng_strerror(code));
  };
  constexpr std::size_t chunk_limit = std::size_t{64} << 20;
  check(spng_set_chunk_limits(context.get(), chunk_limit, chunk_limit));
  check(spng_set_png_buffer(context.get(), bytes.data(), bytes.size()));
  spng_ihdr header{};
  check(spng_get_ihdr(context.get(), &header));
  const auto image = pixels(header.height, header.width, 3);
  check(spng_decode_image(context.get(), image.data_ptr<uint8_t>(),
                          static_cast<std::size_t>(image.numel()), SPNG_FMT_RGB8, 0));
  return image;
}

}  // namespace

torch::Tensor decode_image(const std::vector<uint8_t>& bytes) {
  if (bytes.empty()) throw BadImage("it is empty");
  if (starts_with(bytes, {0xFF, 0xD8})) return decode_jpeg(bytes);
  if (starts_with(bytes, {0x89, 'P', 'N', 'G'})) return decode_png(bytes);
  throw BadImage("it is neither a JPEG nor a PNG");
}

torch::Tensor read_image(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) throw BadImage("it cannot be opened");
  std::vector<uint8_t> bytes(static_cast<std::size_t>(std::max<std::streamoff>(file.tellg(), 0)));
  file.seekg(0);
  file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  if (!file) throw BadImage("it cannot be read");
  return decode_image(bytes);
}

void write_png(const std::filesystem::path& path, const torch::Tensor& image) {
  TORCH_CHECK(image.dim() == 3 && image.size(2) == 3 && image.scalar_type() == torch::kByte,
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
  const int code = spng_encode_image(context.get(), pixels.data_ptr<uint8_t>(),
                                     static_cast<std::size_t>(pixels.numel()), SPNG_FMT_PNG,
                                     SPNG_ENCODE_FINALIZE);
  if (code != 0) {
    throw std::runtime_error("cannot write " + path.string() + ": " + spng_strerror(code));
  }
}

}  // namespace data
