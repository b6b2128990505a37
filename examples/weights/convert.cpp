// SPDX-License-Identifier: Apache-2.0
// Takes weights from one project of the field to another.
#include <ATen/ATen.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <map>
#include <optional>
#include <regex>
#include <string>
#include <vector>

#include "weights/cast.hpp"
#include "weights/load.hpp"
#include "weights/names.hpp"
#include "weights/position_embedding.hpp"
#include "weights/safetensors.hpp"
#include "weights/torch_file.hpp"

namespace {

struct Arguments {
  std::string input;
  std::string output;
  std::string from;
  std::string to = "mae";
  std::string dtype;
  std::string grid;
  std::string from_grid;
  int64_t image_size = 0;
  bool encoder_only = false;
  bool list = false;
};

/// "14x20" -> {14, 20}
std::optional<weights::Grid> parse_grid(const std::string& given) {
  if (given.empty()) return std::nullopt;
  weights::Grid grid;
  int used = 0;
  long long height = 0;
  long long width = 0;
  const int read = std::sscanf(given.c_str(), "%6lldx%6lld%n", &height, &width, &used);
  TORCH_CHECK(
      read == 2 && static_cast<std::size_t>(used) == given.size() && height > 0 && width > 0,
      "expected a grid such as 14x14, got ", given);
  return weights::Grid{height, width};
}

bool ends_with(const std::string& text, const std::string& ending) {
  return text.size() >= ending.size() &&
         text.compare(text.size() - ending.size(), ending.size(), ending) == 0;
}

int64_t numbers(const weights::Tensors& tensors) {
  int64_t count = 0;
  for (const auto& item : tensors) count += item.second.numel();
  return count;
}

void describe(const std::string& path, const weights::Tensors& tensors, const std::string& scheme) {
  std::printf("%s: %zu tensors, %.2f M numbers, names of %s\n", path.c_str(), tensors.size(),
              static_cast<double>(numbers(tensors)) / 1e6, scheme.c_str());
}

std::string scheme_of(const Arguments& arguments, const weights::Tensors& tensors) {
  return arguments.from.empty() ? weights::detect_scheme(tensors) : arguments.from;
}

void list(const Arguments& arguments, const weights::Weights& weights) {
  std::string scheme;
  try {
    scheme = scheme_of(arguments, weights.tensors);
  } catch (const c10::Error& error) {  // of a file with two models, see which
    scheme = std::string("no scheme: ") + error.what_without_backtrace();
  }
  describe(arguments.input, weights.tensors, scheme);
  for (const auto& [name, tensor] : weights.tensors) {
    std::printf("  %s %s %s\n", name.c_str(), c10::toString(tensor.scalar_type()),
                c10::str(tensor.sizes()).c_str());
  }
  for (const auto& [key, value] : weights.metadata) {
    std::printf("  metadata: %s = %s\n", key.c_str(), value.c_str());
  }
  for (const auto& name : weights.ignored) std::printf("  no tensor: %s\n", name.c_str());
}

/// The grid that --grid or --image-size asks for.
std::optional<weights::Grid> wanted_grid(const Arguments& arguments,
                                         const weights::Tensors& native) {
  if (arguments.image_size == 0) return parse_grid(arguments.grid);
  auto patches = native.find("patch_embed.proj.weight");
  if (patches == native.end()) patches = native.find("encoder.patch_embed.proj.weight");
  TORCH_CHECK(patches != native.end() && patches->second.dim() == 4,
              "--image-size needs patch_embed.proj.weight, to know the patch size; use --grid");
  const int64_t side = patches->second.size(2);
  TORCH_CHECK(side > 0 && arguments.image_size % side == 0, "--image-size ", arguments.image_size,
              " is no multiple of the patch size ", side);
  return weights::Grid{arguments.image_size / side, arguments.image_size / side};
}

void report(const weights::Renamed& change) {
  for (const auto& [patterns, count] : change.renamed) {
    std::printf("  renamed: %s -> %s (%lld)\n", patterns.first.c_str(), patterns.second.c_str(),
                static_cast<long long>(count));
  }
}

/// Names with '#' for each number, counted.
std::map<std::string, int64_t> by_pattern(const std::vector<std::string>& names) {
  static const std::regex number("\\.[0-9]+(?=\\.|$)");
  std::map<std::string, int64_t> counts;
  for (const auto& name : names) ++counts[std::regex_replace(name, number, ".#")];
  return counts;
}

const std::map<std::string, at::ScalarType> dtypes = {
    {"float32", at::kFloat}, {"float16", at::kHalf}, {"bfloat16", at::kBFloat16}};

/// Writes by the ending of the name.
void write(const Arguments& arguments, const weights::Tensors& tensors,
           std::map<std::string, std::string> metadata) {
  if (ends_with(arguments.output, ".safetensors")) {
    metadata["format"] = "pt";  // transformers refuses others
    weights::write_safetensors(arguments.output, tensors, metadata);
  } else {
    weights::write_torch_file(arguments.output, tensors, weights::checkpoint_key(arguments.to));
  }
}

void convert(const Arguments& arguments) {
  const weights::Weights input = weights::read_file(arguments.input);
  if (arguments.list) return list(arguments, input);
  TORCH_CHECK(ends_with(arguments.output, ".safetensors") || ends_with(arguments.output, ".pth"),
              "expected an output that ends in .safetensors or .pth, got ", arguments.output);
  const std::string from = scheme_of(arguments, input.tensors);
  describe(arguments.input, input.tensors, from);

  // What is to be left out need not be sound: it goes before anything is asked of it.
  const bool encoder_only = arguments.encoder_only || !weights::has_decoder(arguments.to);
  weights::Renamed native = weights::to_native(input.tensors, from, encoder_only);
  if (const auto grid = wanted_grid(arguments, native.tensors)) {
    weights::resize_positions(native.tensors, *grid, parse_grid(arguments.from_grid));
    std::printf("  positions: of a grid of %s\n", weights::text(*grid).c_str());
  }
  report(native);
  auto output = weights::from_native(native.tensors, arguments.to, encoder_only);
  report(output);
  for (const auto& name : input.ignored) std::printf("  left out: %s, no tensor\n", name.c_str());
  auto dropped = native.dropped;
  dropped.insert(dropped.end(), output.dropped.begin(), output.dropped.end());
  for (const auto& [pattern, count] : by_pattern(dropped)) {
    std::printf("  left out: %s (%lld)\n", pattern.c_str(), static_cast<long long>(count));
  }
  for (const auto& pattern : output.missing) std::printf("  missing: %s\n", pattern.c_str());
  if (!arguments.dtype.empty()) {
    output.tensors = weights::with_floats_as(output.tensors, dtypes.at(arguments.dtype));
  }
  write(arguments, output.tensors, input.metadata);
  describe(arguments.output, output.tensors, arguments.to);
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app(
      "Converts weights of Vision Transformers between projects. IN: .safetensors, .pth of "
      "torch.save, or the checkpoint.pt of pretrain. OUT: .safetensors or .pth.");
  app.add_option("IN", arguments.input, "File to read")->required()->check(CLI::ExistingFile);
  auto* output = app.add_option("OUT", arguments.output, "File to write");
  auto* listing = app.add_flag("--list", arguments.list, "Name the tensors of IN instead");
  listing->excludes(output);
  app.add_option("--to", arguments.to, "Names to write")
      ->check(CLI::IsMember(weights::scheme_names()))
      ->capture_default_str();
  app.add_option("--from", arguments.from, "Names of IN, if they are not to be recognised")
      ->check(CLI::IsMember(weights::scheme_names()));
  app.add_flag("--encoder-only", arguments.encoder_only, "Leave the decoder out");
  app.add_option("--dtype", arguments.dtype, "Cast floating-point tensors")
      ->check(CLI::IsMember(dtypes));
  auto* grid = app.add_option("--grid", arguments.grid, "Resize positions to HxW patches");
  app.add_option("--image-size", arguments.image_size,
                 "Resize positions to square images of so many pixels")
      ->check(CLI::PositiveNumber)
      ->excludes(grid);
  app.add_option("--from-grid", arguments.from_grid, "HxW patches of IN, where they are no square");
  CLI11_PARSE(app, argc, argv);
  try {
    TORCH_CHECK(arguments.list || !arguments.output.empty(), "name a file to write, or --list");
    convert(arguments);
    return 0;
  } catch (const c10::Error& error) {
    std::fprintf(stderr, "convert: %s\n", error.what_without_backtrace());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "convert: %s\n", error.what());
  }
  return 1;
}
