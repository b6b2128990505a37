// SPDX-License-Identifier: Apache-2.0
// Transforms by cuFFT: its plans, kept for those who ask again.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "pixmim/detail/cuda/cufft_api.hpp"
#include "pixmim/detail/cuda/fourier_transforms.hpp"
#include "pixmim/detail/cuda/runtime_guards.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {
namespace cuda {

/// On one device, for any number of threads and streams.
class CufftTransforms final : public FourierTransforms {
 public:
  CufftTransforms(RuntimeApi& runtime, CufftApi cufft, c10::DeviceIndex device)
      : runtime_(runtime), cufft_(cufft), device_(device) {}

  void prepare(const FourierTransform& transform) override {
    OnDevice on_device(runtime_, device_);
    plan_of(transform, runtime_.current_stream(device_));
    on_device.end();
  }

  void run(const FourierTransform& transform, const at::Tensor& input, const at::Tensor& output,
           bool inverse) override {
    OnDevice on_device(runtime_, device_);
    const auto stream = runtime_.current_stream(device_);
    const auto plan = plan_of(transform, stream);
    // From LibTorch's allocator: in the stream's order, and for the others once this is through.
    at::Tensor workspace;
    if (plan->workspace_bytes > 0) {
      workspace = at::empty({static_cast<int64_t>(plan->workspace_bytes)},
                            input.options().dtype(at::kByte));
    }
    {
      // Stream and workspace belong to the plan until it is started.
      const std::lock_guard<std::mutex> lock(plan->in_use);
      cufft_.check(cufft_.set_stream(plan->handle, stream), "cufftSetStream");
      cufft_.check(cufft_.set_work_area(
                       plan->handle, workspace.defined() ? workspace.mutable_data_ptr() : nullptr),
                   "cufftSetWorkArea");
      cufft_.check(cufft_.execute(plan->handle, input.data_ptr(), output.data_ptr(),
                                  inverse ? backwards : forwards),
                   "cufftXtExec", " for ", described(transform));
    }
    on_device.end();
  }

 private:
  static constexpr int forwards = -1;
  static constexpr int backwards = 1;
  // A trainer needs some for each size of images and batch. A plan has memory of its own on the device.
  static constexpr std::size_t capacity = 256;

  struct Plan {
    Plan(RuntimeApi& runtime, const CufftApi& cufft, c10::DeviceIndex device)
        : runtime(runtime), cufft(cufft), device(device) {
      cufft.check(cufft.create(&handle), "cufftCreate");
    }
    Plan(const Plan&) = delete;
    Plan& operator=(const Plan&) = delete;
    /// Wherever the last one lets go of it. An error would come too late for anyone.
    ~Plan() {
      try {
        const OnDevice on_device(runtime, device);
        const RelaxedCapture relaxed(runtime);
        cufft.destroy(handle);
      } catch (const c10::Error& /*ignored*/) {
      }
    }

    RuntimeApi& runtime;
    const CufftApi& cufft;
    c10::DeviceIndex device;
    CufftApi::Plan handle = -1;
    std::size_t workspace_bytes = 0;
    std::mutex in_use;
  };
  using Plans = std::list<std::pair<FourierTransform, std::shared_ptr<Plan>>>;

  std::shared_ptr<Plan> plan_of(const FourierTransform& transform, cudaStream_t stream) {
    auto status = cudaStreamCaptureStatusNone;
    runtime_.check(runtime_.capture_status(stream, &status), "cudaStreamIsCapturing");
    const bool is_captured = status != cudaStreamCaptureStatusNone;
    const std::lock_guard<std::mutex> lock(mutex_);
    for (Plans* plans : {&recent_, &captured_}) {
      for (auto entry = plans->begin(); entry != plans->end(); ++entry) {
        if (!(entry->first == transform)) continue;
        Plans& to = is_captured ? captured_ : *plans;
        to.splice(to.begin(), *plans, entry);
        return entry->second;
      }
    }
    TORCH_CHECK(!is_captured, "pixmim: cuFFT's plan for ", described(transform),
                " is needed for the first time by a stream that is being captured, where none can "
                "be made: call prepare() with images of the same shape, or the operator once, "
                "before the capture");
    RelaxedCapture relaxed(runtime_);
    recent_.emplace_front(transform, make(transform));
    if (recent_.size() > capacity) recent_.pop_back();
    relaxed.end();
    return recent_.front().second;
  }

  std::shared_ptr<Plan> make(const FourierTransform& transform) const {
    auto plan = std::make_shared<Plan>(runtime_, cufft_, device_);
    cufft_.check(cufft_.set_auto_allocation(plan->handle, 0), "cufftSetAutoAllocation");
    const bool is_double = transform.dtype == at::kDouble;
    const auto real = is_double ? CUDA_R_64F : CUDA_R_32F;
    const auto complex = is_double ? CUDA_C_64F : CUDA_C_32F;
    const auto input = transform.kind == FourierTransform::Kind::RealToComplex ? real : complex;
    const auto output = transform.kind == FourierTransform::Kind::ComplexToReal ? real : complex;
    long long length = transform.length;
    // One dimension has no size but its length: these say only that steps and distances count.
    long long input_size = length;
    long long output_size = length;
    cufft_.check(cufft_.make_plan(plan->handle, 1, &length, &input_size, transform.input.step,
                                  transform.input.distance, input, &output_size,
                                  transform.output.step, transform.output.distance, output,
                                  transform.count, &plan->workspace_bytes, complex),
                 "cufftXtMakePlanMany", " for ", described(transform));
    return plan;
  }

  static std::string described(const FourierTransform& transform) {
    return std::to_string(transform.count) + " transforms of length " +
           std::to_string(transform.length);
  }

  RuntimeApi& runtime_;
  CufftApi cufft_;
  c10::DeviceIndex device_;
  std::mutex mutex_;
  /// The most recently used first.
  Plans recent_;
  /// Those that a graph may run: for good.
  Plans captured_;
};

}  // namespace cuda
}  // namespace detail
}  // namespace v0
}  // namespace pixmim
