// SPDX-License-Identifier: Apache-2.0
#include "weights/load.hpp"

#include <torch/types.h>

#include <algorithm>
#include <utility>

#include "weights/file_kind.hpp"
#include "weights/key_bias.hpp"
#include "weights/mapped_file.hpp"
#include "weights/names.hpp"
#include "weights/naming_the_file.hpp"
#include "weights/safetensors.hpp"
#include "weights/torch_file.hpp"

namespace weights {
namespace {

constexpr std::size_t most_named = 20;

std::string listed(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), most_named); ++i) {
    text += "\n    " + names[i];
  }
  if (names.size() > most_named) {
    text += "\n    and " + std::to_string(names.size() - most_named) + " more";
  }
  return text;
}

Tensors tensors_of(const torch::nn::Module& module) {
  Tensors tensors;
  for (const auto& item : module.named_parameters()) tensors.emplace(item.key(), item.value());
  for (const auto& item : module.named_buffers()) tensors.emplace(item.key(), item.value());
  return tensors;
}

bool ends_with(std::string_view text, std::string_view ending) {
  return text.size() >= ending.size() && text.substr(text.size() - ending.size()) == ending;
}

bool holds_positions(const std::string& name) {
  return ends_with(name, "pos_embed");
}

/// Buffers that the module has made itself, and that many files leave out.
bool follows_from_the_grid(const std::string& name) {
  return ends_with(name, "relative_position_index");
}

/// `given`, for the grid that `wanted` has.
at::Tensor fitted(const std::string& name, const at::Tensor& given, const at::Tensor& wanted,
                  const LoadOptions& options) {
  const bool both = given.dim() == 3 && wanted.dim() == 3;
  if (!holds_positions(name) || !both || given.size(0) != 1 || given.size(2) != wanted.size(2)) {
    return given;
  }
  // Grids that are named are the encoder's.
  const bool encoder = name.find("decoder") == std::string::npos;
  const auto from =
      encoder && options.from_grid() ? options.from_grid() : square_grid(given.size(1));
  const auto to = encoder && options.grid() ? options.grid() : square_grid(wanted.size(1));
  if (!from || !to) return given;
  return fit_positions(name, given, *from, *to);
}

bool all_for_pretraining_only(const std::vector<std::string>& names) {
  return !names.empty() && std::all_of(names.begin(), names.end(), is_for_pretraining_only);
}

std::size_t common_names(const Tensors& a, const Tensors& b) {
  return static_cast<std::size_t>(std::count_if(
      a.begin(), a.end(), [&b](const auto& item) { return b.count(item.first) > 0; }));
}

}  // namespace

Weights read_file(const std::filesystem::path& path) {
  return naming_the_file(path, [&path] {
    const auto file = MappedFile::open(path);
    switch (kind_of(file->bytes())) {
      case FileKind::Safetensors:
        return read_safetensors(file);
      case FileKind::Zip:
      case FileKind::Pickle:
        return read_torch_file(file);
      case FileKind::Other:
        break;
    }
    C10_THROW_ERROR(Error, c10::str("it is neither safetensors nor a file of torch.save (zip "
                                    "archive or pickle); it seems to be ",
                                    seems_to_be(file->bytes())));
  });
}

LoadReport load_into(torch::nn::Module& module, const Tensors& given, const LoadOptions& options) {
  const torch::NoGradGuard no_grad;
  const Tensors wanted = tensors_of(module);
  const Tensors tensors = biases_as_in(wanted, given);
  LoadReport report;
  std::vector<std::string> missing;
  std::vector<std::string> unexpected;
  std::vector<std::string> misshapen;
  std::vector<std::pair<at::Tensor, at::Tensor>> copies;
  for (const auto& [name, target] : wanted) {
    if (options.encoder_only() && is_for_pretraining_only(name)) {
      report.left.push_back(name);
      continue;
    }
    const auto found = tensors.find(name);
    if (found == tensors.end() && follows_from_the_grid(name)) continue;
    if (found == tensors.end()) {
      missing.push_back(name);
      continue;
    }
    const at::Tensor value = fitted(name, found->second, target, options);
    if (value.sizes() != target.sizes()) {
      misshapen.push_back(name + " is " + c10::str(found->second.sizes()) + " there, and " +
                          c10::str(target.sizes()) + " here");
      continue;
    }
    if (!value.is_same(found->second)) report.resized.push_back(name);
    report.loaded.push_back(name);
    copies.emplace_back(target, value);
  }
  for (const auto& item : tensors) {
    const bool left = options.encoder_only() && is_for_pretraining_only(item.first);
    if (!left && wanted.count(item.first) == 0) unexpected.push_back(item.first);
  }

  if (all_for_pretraining_only(missing) && unexpected.empty() && misshapen.empty()) {
    const bool any = std::any_of(tensors.begin(), tensors.end(), [](const auto& item) {
      return is_for_pretraining_only(item.first);
    });
    TORCH_CHECK(any,
                "the weights are an encoder alone, and the model has a decoder: load the encoder "
                "only (encoder_only; pretrain: --init-encoder-only), and the decoder starts anew");
  }
  std::string problems;
  if (!missing.empty()) problems += "\n  missing in the weights:" + listed(missing);
  if (!unexpected.empty()) problems += "\n  not in the model:" + listed(unexpected);
  if (!misshapen.empty()) problems += "\n  of another shape:" + listed(misshapen);
  TORCH_CHECK(problems.empty(), "the weights do not fit the model:", problems);

  for (auto& [target, value] : copies) target.copy_(value);
  return report;
}

LoadReport initialize(torch::nn::Module& module, const std::filesystem::path& path,
                      const LoadOptions& options) {
  const Tensors given = read_file(path).tensors;
  return naming_the_file(path, [&] {
    const std::string scheme = detect_scheme(given);
    const Tensors native = to_native(given, scheme, options.encoder_only()).tensors;
    // A module may have names of its own, which its file has as well.
    const Tensors wanted = tensors_of(module);
    const bool own = common_names(given, wanted) > common_names(native, wanted);
    LoadReport report = load_into(module, own ? given : native, options);
    report.scheme = own ? "the model's own" : scheme;
    return report;
  });
}

}  // namespace weights
