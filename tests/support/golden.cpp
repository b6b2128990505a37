// SPDX-License-Identifier: Apache-2.0
#include "support/golden.hpp"

#include <ATen/ATen.h>
#include <torch/serialize.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <set>
#include <stdexcept>

namespace fs = std::filesystem;

namespace support {

Golden::Golden(const fs::path& path) : name_(path.stem().string()) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path.string());
  const std::vector<char> bytes((std::istreambuf_iterator<char>(file)), {});
  for (const auto& entry : torch::pickle_load(bytes).toGenericDict()) {
    tensors_.emplace(entry.key().toStringRef(), entry.value().toTensor());
  }
}

const at::Tensor& Golden::operator[](const std::string& name) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) throw std::runtime_error(name_ + " has no " + name);
  return found->second;
}

int64_t Golden::integer(const std::string& name) const {
  return (*this)[name].item<int64_t>();
}

int64_t Golden::integer(const std::string& name, int64_t i) const {
  return (*this)[name][i].item<int64_t>();
}

double Golden::number(const std::string& name) const {
  return (*this)[name].item<double>();
}

std::map<std::string, at::Tensor> Golden::below(const std::string& prefix) const {
  std::map<std::string, at::Tensor> found;
  for (const auto& [name, tensor] : tensors_) {
    if (name.rfind(prefix, 0) == 0) found.emplace(name.substr(prefix.size()), tensor);
  }
  return found;
}

std::vector<fs::path> golden_files(const std::string& prefix) {
  std::vector<fs::path> files;
  std::set<std::string> names;
  std::vector<fs::path> folders;
  if (const char* more = std::getenv("PIXMIM_GOLDENS")) folders.emplace_back(more);
  folders.emplace_back(PIXMIM_TEST_DATA);
  for (const auto& folder : folders) {
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      const std::string name = entry.path().filename().string();
      if (name.rfind(prefix, 0) == 0 && entry.path().extension() == ".pt" &&
          names.insert(name).second) {
        files.push_back(entry.path());
      }
    }
  }
  if (files.empty()) throw std::runtime_error("there is no golden file " + prefix + "*.pt");
  return files;
}

Golden golden(const std::string& name) {
  return Golden(golden_files(name + ".pt").front());
}

double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  if (a.sizes() != b.sizes()) {
    throw std::runtime_error("the shapes differ: " + c10::str(a.sizes(), " and ", b.sizes()));
  }
  if (a.numel() == 0) return 0;
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

void report(const std::string& what, double difference, double allowed) {
  std::printf("golden %-44s differs by %.1e of %.1e allowed\n", what.c_str(), difference, allowed);
}

}  // namespace support
