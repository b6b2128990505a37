// SPDX-License-Identifier: Apache-2.0
// cuFFT without a GPU: FFTW's advanced interface takes the same layouts. Refuses what cuFFT refuses, spoils
// what cuFFT may spoil, remembers on which stream each plan ran, and fails when it is told to.
#pragma once

#include <fftw3.h>
#include <pixmim/detail/cuda/cufft_api.hpp>

#include <cstdint>
#include <cstring>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace support {

/// One at a time.
class FftwCufft {
 public:
  struct Execution {
    int plan;
    cudaStream_t stream;
  };

  FftwCufft() { the_one() = this; }
  FftwCufft(const FftwCufft&) = delete;
  FftwCufft& operator=(const FftwCufft&) = delete;
  ~FftwCufft() { the_one() = nullptr; }

  static pixmim::detail::cuda::CufftApi api() {
    pixmim::detail::cuda::CufftApi api;
    api.create = create;
    api.destroy = destroy;
    api.set_auto_allocation = set_auto_allocation;
    api.make_plan = make_plan;
    api.set_stream = set_stream;
    api.set_work_area = set_work_area;
    api.execute = execute;
    return api;
  }

  /// Has the call with this number (from 0 on) fail. Calls that destroy do not count.
  void fail(std::size_t call) { failing_ = call; }
  std::size_t calls() const { return calls_; }
  std::size_t plans() const { return plans_.size(); }
  std::size_t plans_made() const { return static_cast<std::size_t>(next_); }
  const std::vector<Execution>& executions() const { return executions_; }

 private:
  static constexpr int invalid_plan = 1;
  static constexpr int invalid_value = 4;
  static constexpr int internal_error = 5;
  static constexpr int unaligned_data = 9;
  static constexpr int no_workspace = 13;

  struct Plan {
    long long length = 0;
    long long input_step = 0;
    long long input_distance = 0;
    long long output_step = 0;
    long long output_distance = 0;
    long long count = 0;
    cudaDataType input = CUDA_R_32F;
    cudaDataType output = CUDA_R_32F;
    bool allocates = true;
    cudaStream_t stream = nullptr;
    std::size_t workspace_bytes = 0;
    void* workspace = nullptr;
    bool has_work_area = false;  ///< which may have no bytes
  };

  static FftwCufft*& the_one() {
    static FftwCufft* one = nullptr;
    return one;
  }

  /// Calls `body` with the plan, unless it is this call that is to fail.
  template <class Body>
  static int call(int plan, const Body& body) {
    auto& self = *the_one();
    const std::lock_guard<std::mutex> lock(self.mutex_);
    if (self.calls_++ == self.failing_) return internal_error;
    const auto found = self.plans_.find(plan);
    return found == self.plans_.end() ? invalid_plan : body(self, found->second);
  }

  static int create(int* plan) {
    auto& self = *the_one();
    const std::lock_guard<std::mutex> lock(self.mutex_);
    if (self.calls_++ == self.failing_) return internal_error;
    *plan = self.next_++;
    self.plans_[*plan];
    return 0;
  }
  static int destroy(int plan) {
    auto& self = *the_one();
    const std::lock_guard<std::mutex> lock(self.mutex_);
    return self.plans_.erase(plan) == 1 ? 0 : invalid_plan;
  }
  static int set_auto_allocation(int plan, int is_wanted) {
    return call(plan, [&](FftwCufft& /*self*/, Plan& of) {
      of.allocates = is_wanted != 0;
      return 0;
    });
  }
  static int make_plan(int plan, int rank, long long* length, long long* input_size,
                       long long input_step, long long input_distance, cudaDataType input_type,
                       long long* output_size, long long output_step, long long output_distance,
                       cudaDataType output_type, long long count, std::size_t* workspace_bytes,
                       cudaDataType type) {
    return call(plan, [&](FftwCufft& /*self*/, Plan& of) {
      // Without sizes steps and distances would be read by nobody.
      if (rank != 1 || *length < 1 || count < 1 || input_size == nullptr ||
          output_size == nullptr || of.length != 0 || type != complex_of(input_type) ||
          type != complex_of(output_type)) {
        return invalid_value;
      }
      of.length = *length;
      of.input_step = input_step;
      of.input_distance = input_distance;
      of.output_step = output_step;
      of.output_distance = output_distance;
      of.count = count;
      of.input = input_type;
      of.output = output_type;
      // Some lengths need none, as with cuFFT.
      of.workspace_bytes = *length % 2 == 0 ? 0 : static_cast<std::size_t>(8 * *length);
      *workspace_bytes = of.workspace_bytes;
      return of.allocates ? invalid_value : 0;
    });
  }
  static int set_stream(int plan, cudaStream_t stream) {
    return call(plan, [&](FftwCufft& /*self*/, Plan& of) {
      of.stream = stream;
      return 0;
    });
  }
  static int set_work_area(int plan, void* workspace) {
    return call(plan, [&](FftwCufft& /*self*/, Plan& of) {
      of.workspace = workspace;
      of.has_work_area = true;
      return 0;
    });
  }
  static int execute(int plan, void* input, void* output, int direction) {
    return call(plan, [&](FftwCufft& self, Plan& of) {
      if (of.length == 0) return invalid_plan;
      if (direction != FFTW_FORWARD && direction != FFTW_BACKWARD) return invalid_value;
      if (!of.has_work_area || (of.workspace_bytes > 0 && of.workspace == nullptr)) {
        return no_workspace;
      }
      const std::uintptr_t complex_size = complex_of(of.input) == CUDA_C_64F ? 16 : 8;
      if (reinterpret_cast<std::uintptr_t>(input) % complex_size != 0 ||
          reinterpret_cast<std::uintptr_t>(output) % complex_size != 0) {
        return unaligned_data;
      }
      if (of.workspace_bytes > 0) std::memset(of.workspace, 0xff, of.workspace_bytes);
      of.has_work_area = false;  // the next call may get other memory, or none
      self.executions_.push_back({plan, of.stream});
      return complex_size == 16 ? run<double>(of, input, output, direction)
                                : run<float>(of, input, output, direction);
    });
  }

  static cudaDataType complex_of(cudaDataType type) {
    return type == CUDA_R_64F || type == CUDA_C_64F ? CUDA_C_64F : CUDA_C_32F;
  }
  static bool is_real(cudaDataType type) { return type == CUDA_R_64F || type == CUDA_R_32F; }

  template <class Real>
  static int run(const Plan& of, void* input, void* output, int direction) {
    if constexpr (std::is_same_v<Real, double>) {
      return run(of, static_cast<double*>(input), static_cast<double*>(output),
                 reinterpret_cast<fftw_complex*>(input), reinterpret_cast<fftw_complex*>(output),
                 direction, fftw_plan_many_dft_r2c, fftw_plan_many_dft_c2r, fftw_plan_many_dft,
                 fftw_execute, fftw_destroy_plan);
    } else {
      return run(of, static_cast<float*>(input), static_cast<float*>(output),
                 reinterpret_cast<fftwf_complex*>(input), reinterpret_cast<fftwf_complex*>(output),
                 direction, fftwf_plan_many_dft_r2c, fftwf_plan_many_dft_c2r, fftwf_plan_many_dft,
                 fftwf_execute, fftwf_destroy_plan);
    }
  }

  template <class Real, class Complex, class RealToComplex, class ComplexToReal,
            class ComplexToComplex, class Execute, class Destroy>
  static int run(const Plan& of, Real* real_input, Real* real_output, Complex* input,
                 Complex* output, int direction, RealToComplex real_to_complex,
                 ComplexToReal complex_to_real, ComplexToComplex complex_to_complex,
                 Execute run_plan, Destroy destroy_plan) {
    const int length = static_cast<int>(of.length);
    const int count = static_cast<int>(of.count);
    const int in_step = static_cast<int>(of.input_step);
    const int in_distance = static_cast<int>(of.input_distance);
    const int out_step = static_cast<int>(of.output_step);
    const int out_distance = static_cast<int>(of.output_distance);
    constexpr unsigned flags = FFTW_ESTIMATE | FFTW_UNALIGNED;
    if (is_real(of.input)) {
      if (direction != FFTW_FORWARD) return invalid_value;
      const auto made =
          real_to_complex(1, &length, count, real_input, &length, in_step, in_distance, output,
                          &length, out_step, out_distance, flags | FFTW_PRESERVE_INPUT);
      run_plan(made);
      destroy_plan(made);
    } else if (is_real(of.output)) {
      if (direction != FFTW_BACKWARD) return invalid_value;
      const auto made = complex_to_real(1, &length, count, input, &length, in_step, in_distance,
                                        real_output, &length, out_step, out_distance, flags);
      run_plan(made);
      destroy_plan(made);
      // cuFFT overwrites the input, nobody says with what.
      for (long long transform = 0; transform < of.count; ++transform) {
        for (long long i = 0; i <= of.length / 2; ++i) {
          Complex& number = input[transform * of.input_distance + i * of.input_step];
          number[0] = number[1] = std::numeric_limits<Real>::quiet_NaN();
        }
      }
    } else {
      const auto made =
          complex_to_complex(1, &length, count, input, &length, in_step, in_distance, output,
                             &length, out_step, out_distance, direction, flags);
      run_plan(made);
      destroy_plan(made);
    }
    return 0;
  }

  std::mutex mutex_;
  std::map<int, Plan> plans_;
  int next_ = 0;
  std::size_t calls_ = 0;
  std::size_t failing_ = std::numeric_limits<std::size_t>::max();
  std::vector<Execution> executions_;
};

}  // namespace support
