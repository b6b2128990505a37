// SPDX-License-Identifier: Apache-2.0
// State of the calling thread that is changed for a while. end() puts it back and tells what went wrong;
// where an error is on its way already, the destructor puts it back and keeps still.
#pragma once

#include "pixmim/detail/cuda/runtime_api.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {
namespace cuda {

/// Makes a device the current one.
class OnDevice {
 public:
  OnDevice(RuntimeApi& runtime, int device) : runtime_(runtime) {
    runtime_.check(runtime_.get_device(&before_), "cudaGetDevice");
    if (before_ != device) {
      runtime_.check(runtime_.set_device(device), "cudaSetDevice", " for device ", device);
      is_changed_ = true;
    }
  }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;
  ~OnDevice() {
    if (is_changed_ && runtime_.set_device(before_) != cudaSuccess) {
      runtime_.forget_error();
    }
  }

  void end() {
    if (is_changed_) {
      is_changed_ = false;
      runtime_.check(runtime_.set_device(before_), "cudaSetDevice", " for device ", before_);
    }
  }

 private:
  RuntimeApi& runtime_;
  int before_ = 0;
  bool is_changed_ = false;
};

/// Lets the thread load code while another one captures a graph, which that graph does not notice.
class RelaxedCapture {
 public:
  explicit RelaxedCapture(RuntimeApi& runtime) : runtime_(runtime) { exchange(); }
  RelaxedCapture(const RelaxedCapture&) = delete;
  RelaxedCapture& operator=(const RelaxedCapture&) = delete;
  ~RelaxedCapture() {
    if (!is_ended_ && runtime_.exchange_capture_mode(&mode_) != cudaSuccess) {
      runtime_.forget_error();
    }
  }

  void end() {
    is_ended_ = true;
    exchange();
  }

 private:
  void exchange() {
    runtime_.check(runtime_.exchange_capture_mode(&mode_), "cudaThreadExchangeStreamCaptureMode");
  }

  RuntimeApi& runtime_;
  cudaStreamCaptureMode mode_ = cudaStreamCaptureModeRelaxed;
  bool is_ended_ = false;
};

}  // namespace cuda
}  // namespace detail
}  // namespace v0
}  // namespace pixmim
