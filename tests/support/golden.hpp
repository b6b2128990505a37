// SPDX-License-Identifier: Apache-2.0
// Numbers of the official implementations: files of tests/data.
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace support {

/// A file of named tensors.
class Golden {
 public:
  explicit Golden(const std::filesystem::path& path);

  /// Throws if there is no tensor `name`.
  const at::Tensor& operator[](const std::string& name) const;
  bool has(const std::string& name) const { return tensors_.count(name) > 0; }
  int64_t integer(const std::string& name) const;
  /// `name[i]`.
  int64_t integer(const std::string& name, int64_t i) const;
  double number(const std::string& name) const;
  /// The tensors whose name starts with `prefix`, without it.
  std::map<std::string, at::Tensor> below(const std::string& prefix) const;
  const std::string& name() const { return name_; }

 private:
  std::string name_;
  std::map<std::string, at::Tensor> tensors_;
};

/// The files of tests/data (and of the folder PIXMIM_GOLDENS and its subfolders, if it is set) that
/// start with `prefix`; of two of the same name the one of PIXMIM_GOLDENS. Throws if there is none.
std::vector<std::filesystem::path> golden_files(const std::string& prefix);

/// One of them. Throws if it is not there.
Golden golden(const std::string& name);

/// The largest difference, as double. Throws if the shapes differ.
double largest_difference(const at::Tensor& a, const at::Tensor& b);

/// Prints a measured difference: `tests/run.sh` ends with the table of them.
void report(const std::string& what, double difference, double allowed);

}  // namespace support
