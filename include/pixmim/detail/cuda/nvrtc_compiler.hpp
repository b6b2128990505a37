// SPDX-License-Identifier: Apache-2.0
// Kernels to machine code.
#pragma once

#include <c10/util/Exception.h>

#include <algorithm>
#include <cstddef>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "pixmim/detail/cuda/compiled_kernel.hpp"
#include "pixmim/detail/cuda/kernel_source.hpp"
#include "pixmim/detail/cuda/launcher.hpp"
#include "pixmim/detail/cuda/nvrtc_api.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {
namespace cuda {

class NvrtcCompiler {
 public:
  /// `sources`: the files that kernels stand in, and what they include; they must outlive this.
  /// `further_options`: of NVRTC, with spaces between.
  NvrtcCompiler(NvrtcApi api, KernelSources sources, const std::string& further_options = "")
      : api_(api), sources_(sources) {
    std::istringstream words(further_options);
    for (std::string word; words >> word;) {
      further_options_.push_back(word);
    }
    int major = 0;
    int minor = 0;
    api_.check(api_.version(&major, &minor), "nvrtcVersion");
    identity_ = "NVRTC " + std::to_string(major) + "." + std::to_string(minor) + ", " +
                std::to_string(api_.library_size) + " bytes";
    for (const auto& source : sources_) {
      identity_ += std::string("\n") + source.file + "\n" + source.text;
    }
    int count = 0;
    api_.check(api_.supported_arch_count(&count), "nvrtcGetNumSupportedArchs");
    architectures_.resize(static_cast<std::size_t>(count));
    api_.check(api_.supported_archs(architectures_.data()), "nvrtcGetSupportedArchs");
  }

  /// What code is compiled for on a device of this compute capability (90 is 9.0): machine code, "sm_90";
  /// or where the device is newer than NVRTC, "compute_120", PTX that the driver compiles.
  std::string architecture(int capability) const {
    int best = 0;
    for (const int known : architectures_) {
      if (known <= capability) {
        best = std::max(best, known);
      }
    }
    TORCH_CHECK(best > 0, "pixmim: NVRTC has no architecture for compute capability ",
                capability / 10, ".", capability % 10);
    return (best == capability ? "sm_" : "compute_") + std::to_string(best);
  }

  /// All that the result of compile() depends on.
  std::string identity(const Kernel& kernel, const std::string& architecture) const {
    std::string result;
    for (const auto& option : options(architecture)) {
      result += option + "\n";
    }
    return result + kernel.file + "\n" + kernel.name + "\n" + identity_;
  }

  /// `log`, if given: what NVRTC says, and of registers and memory what ptxas does.
  CompiledKernel compile(const Kernel& kernel, const std::string& architecture,
                         std::string* log = nullptr) const {
    std::vector<const char*> texts;
    std::vector<const char*> files;
    for (const auto& source : sources_) {
      texts.push_back(source.text);
      files.push_back(source.file);
    }
    // For types among a kernel's template arguments.
    const auto text = "#include \"" + kernel.file + "\"\nusing namespace pixmim::kernels;\n";
    const auto expression = "pixmim::kernels::" + kernel.name;
    Program program(api_);
    api_.check(api_.create_program(&program.handle, text.c_str(), "pixmim.cu",
                                   static_cast<int>(texts.size()), texts.data(), files.data()),
               "nvrtcCreateProgram");
    api_.check(api_.add_name_expression(program.handle, expression.c_str()),
               "nvrtcAddNameExpression", " for ", expression);

    auto with_log = options(architecture);
    if (log != nullptr) {
      with_log.emplace_back("--ptxas-options=-v");
    }
    std::vector<const char*> option_texts;
    for (const auto& option : with_log) {
      option_texts.push_back(option.c_str());
    }
    const int result = api_.compile_program(program.handle, static_cast<int>(option_texts.size()),
                                            option_texts.data());
    if (result != 0 || log != nullptr) {
      auto said = text_of(program.handle, api_.log_size, "nvrtcGetProgramLogSize", api_.log,
                          "nvrtcGetProgramLog");
      said.erase(said.find_last_not_of('\0') + 1);
      TORCH_CHECK(result == 0, "pixmim: nvrtcCompileProgram failed for ", expression, " of ",
                  kernel.file, " on ", architecture, ": ", api_.error_string(result), "\n", said);
      *log = std::move(said);
    }

    CompiledKernel compiled;
    const char* name = nullptr;
    api_.check(api_.lowered_name(program.handle, expression.c_str(), &name), "nvrtcGetLoweredName",
               " for ", expression);
    compiled.lowered_name = name;
    compiled.code =
        architecture.rfind("sm_", 0) == 0
            ? text_of(program.handle, api_.cubin_size, "nvrtcGetCUBINSize", api_.cubin,
                      "nvrtcGetCUBIN")
            : text_of(program.handle, api_.ptx_size, "nvrtcGetPTXSize", api_.ptx, "nvrtcGetPTX");
    program.destroy();
    return compiled;
  }

 private:
  struct Program {
    explicit Program(const NvrtcApi& nvrtc) : api(nvrtc) {}
    Program(const Program&) = delete;
    Program& operator=(const Program&) = delete;
    // After an error, which is the one to be told.
    ~Program() {
      if (handle != nullptr) {
        api.destroy_program(&handle);
      }
    }
    void destroy() {
      auto ended = std::exchange(handle, nullptr);
      api.check(api.destroy_program(&ended), "nvrtcDestroyProgram");
    }

    const NvrtcApi& api;
    NvrtcApi::Program handle = nullptr;
  };

  std::vector<std::string> options(const std::string& architecture) const {
    std::vector<std::string> all{
        "--gpu-architecture=" + architecture, "--std=c++17",
        // Lambdas in kernels, and constexpr functions.
        "--device-as-default-execution-space",
        // a * b + c rounds twice, as on the CPU; multiply_add() is there for the other.
        "--fmad=false"};
    all.insert(all.end(), further_options_.begin(), further_options_.end());
    return all;
  }

  std::string text_of(NvrtcApi::Program program, int (*size_of)(NvrtcApi::Program, std::size_t*),
                      const char* size_call, int (*read)(NvrtcApi::Program, char*),
                      const char* call) const {
    std::size_t size = 0;
    api_.check(size_of(program, &size), size_call);
    std::string text(size, '\0');
    api_.check(read(program, text.data()), call);
    return text;
  }

  NvrtcApi api_;
  KernelSources sources_;
  std::vector<std::string> further_options_;
  std::string identity_;
  std::vector<int> architectures_;
};

}  // namespace cuda
}  // namespace detail
}  // namespace v0
}  // namespace pixmim
