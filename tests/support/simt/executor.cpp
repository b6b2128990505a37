// SPDX-License-Identifier: Apache-2.0
#include "support/simt/executor.hpp"

#include <c10/util/Exception.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <deque>
#include <fstream>
#include <iterator>
#include <memory>
#include <regex>
#include <tuple>

#include "support/simt/grid.hpp"
#include "support/simt/shadow.hpp"

namespace simt {
namespace {

std::string without_spaces(const std::string& text) {
  std::string result;
  std::copy_if(text.begin(), text.end(), std::back_inserter(result),
               [](unsigned char c) { return std::isspace(c) == 0; });
  return result;
}

/// What only a GPU would say: that the kernel is not in its file, or is declared for fewer threads.
/// Kernels of tests name no file.
void check_declaration(const Kernel& kernel, int threads) {
  if (kernel.file.empty()) return;
  std::ifstream file(PIXMIM_KERNEL_SOURCES "/" + kernel.file);
  TORCH_CHECK(file.is_open(), kernel.name, ": there is no file ", kernel.file);
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const std::string name = kernel.name.substr(0, kernel.name.find('<'));
  std::smatch declared;
  TORCH_CHECK(
      std::regex_search(text, declared, std::regex("PIXMIM_KERNEL\\((\\w+)\\)\\s+" + name + "\\(")),
      kernel.name, ": ", kernel.file, " declares no PIXMIM_KERNEL(threads) ", name);
  // Else a template parameter.
  if (std::isdigit(static_cast<unsigned char>(*declared[1].first)) == 0) return;
  TORCH_CHECK(threads <= std::stoi(declared[1]), kernel.name, ": launched with ", threads,
              " threads a block, declared for ", declared[1].str());
}

std::uintptr_t address_of(const Argument& argument) {
  std::uintptr_t address = 0;
  std::memcpy(&address, argument.data(), sizeof(address));
  return address;
}

/// The memories of a launch. What is written has a shadow; arguments that overlap have one together.
class Memories {
 public:
  explicit Memories(c10::ArrayRef<Argument> arguments) : memories_(arguments.size()) {
    std::vector<Written> written;
    for (const Argument& argument : arguments) {
      if (!argument.is_written() || argument.extent() == 0) continue;
      const std::uintptr_t first = address_of(argument);
      written.push_back({first, first + argument.extent(), argument.is_initialized()});
      if (argument.is_initialized()) continue;
      constexpr int not_a_number = 0xff;
      std::memset(reinterpret_cast<void*>(first), not_a_number, argument.extent());
    }
    std::sort(written.begin(), written.end(),
              [](const Written& a, const Written& b) { return a.first < b.first; });
    for (std::size_t i = 1; i < written.size(); ++i) {
      TORCH_CHECK(written[i - 1].last <= written[i].first,
                  "a launch got two arguments to write that overlap");
    }
    for (const Written& part : written) {
      shadows_.push_back(std::make_unique<Shadow>(part.last - part.first, Shadow::Scope::Launch,
                                                  part.initialized));
    }
    for (std::size_t i = 0; i < arguments.size(); ++i) {
      const Argument& argument = arguments[i];
      if (!argument.is_memory()) {
        ranges_.emplace_back();
        continue;
      }
      const std::uintptr_t first = address_of(argument);
      const std::uintptr_t last = first + argument.extent();
      memories_[i] = {"argument " + std::to_string(i), first,   argument.extent(),
                      argument.is_written(),           nullptr, 0};
      for (std::size_t w = 0; w < written.size(); ++w) {
        if (last <= written[w].first || written[w].last <= first) continue;
        TORCH_CHECK(written[w].first <= first && last <= written[w].last, "argument ", i,
                    " of a launch lies partly in one that is written");
        memories_[i].shadow = shadows_[w].get();
        memories_[i].shadow_first = written[w].first;
      }
      ranges_.push_back({first == 0 ? nullptr : &memories_[i], first, last});
      for (const at::Tensor& tensor : argument.reached()) reach(tensor, i, written);
    }
  }

  c10::ArrayRef<Range> ranges() const { return ranges_; }
  /// What addresses in tables may point to.
  const std::vector<Range>& reached() const { return reached_; }

 private:
  struct Written {
    std::uintptr_t first;
    std::uintptr_t last;
    bool initialized;
  };

  void reach(const at::Tensor& tensor, std::size_t argument, const std::vector<Written>& written) {
    const Argument memory = Argument::reads(tensor);
    const std::uintptr_t first = address_of(memory);
    const std::uintptr_t last = first + memory.extent();
    for (const Written& part : written) {
      TORCH_CHECK(last <= part.first || part.last <= first, "argument ", argument,
                  " of a launch has the address of a tensor that is written");
    }
    reached_memories_.push_back({"tensor " + std::to_string(reached_.size()) + " of the tables",
                                 first, memory.extent(), false, nullptr, 0});
    reached_.push_back({&reached_memories_.back(), first, last});
  }

  std::vector<Memory> memories_;
  std::deque<Memory> reached_memories_;
  std::vector<Range> ranges_;
  std::vector<Range> reached_;
  std::vector<std::unique_ptr<Shadow>> shadows_;
};

}  // namespace

void Parameters::expect(std::size_t i, bool fits, const std::string& what) {
  TORCH_CHECK(fits, "argument ", i, ": the kernel takes ", what);
}

void Executor::add_compiled(const std::string& name, CompiledKernel kernel) {
  kernels_[without_spaces(name)] = std::move(kernel);
}

const CompiledKernel& Executor::find(const Kernel& kernel) const {
  const auto found = kernels_.find(without_spaces(kernel.name));
  std::string known;
  for (const auto& entry : kernels_) known += (known.empty() ? "" : ", ") + entry.first;
  TORCH_CHECK(found != kernels_.end(), "kernel ", kernel.name,
              " was not added to the executor, which knows ", known.empty() ? "none" : known);
  return found->second;
}

void Executor::prepare(const Kernel& kernel) {
  find(kernel);
  check_declaration(kernel, 1);
  prepared_.push_back(kernel.name);
}

void Executor::launch(const Kernel& kernel, const LaunchShape& shape,
                      c10::ArrayRef<Argument> arguments) {
  constexpr int threads_allowed = 1024;
  constexpr int64_t blocks_allowed = (int64_t{1} << 31) - 1;
  const CompiledKernel& compiled = find(kernel);
  TORCH_CHECK(shape.blocks >= 1 && shape.blocks <= blocks_allowed, kernel.name, ": launched with ",
              shape.blocks, " blocks");
  TORCH_CHECK(shape.threads >= 1 && shape.threads <= threads_allowed, kernel.name,
              ": launched with ", shape.threads, " threads a block");
  check_declaration(kernel, shape.threads);
  TORCH_CHECK(kernel.shared_bytes <= shared_bytes_allowed_, kernel.name, ": launched with ",
              kernel.shared_bytes, " bytes of shared memory a block, of ", shared_bytes_allowed_);
  TORCH_CHECK(arguments.size() == compiled.parameters, kernel.name, ": launched with ",
              arguments.size(), " arguments, takes ", compiled.parameters);
  const Memories memories(arguments);
  const std::function<void()> thread = compiled.bind(Parameters(arguments, memories.ranges()));
  // Each launch has an order of its own.
  constexpr uint64_t golden_ratio = 0x9E3779B97F4A7C15;
  Grid grid({kernel.name, shape.blocks, shape.threads, kernel.shared_bytes, memories.reached()},
            thread, seed_ + golden_ratio * launches_.size());
  launches_.push_back({kernel.name, shape, kernel.shared_bytes});
  try {
    grid.run();
  } catch (const Fault& fault) {
    TORCH_CHECK(false, fault.what());
  }
}

}  // namespace simt
