// SPDX-License-Identifier: Apache-2.0
// The least of what a trainer on OpenCV has: an image, and a chain of transforms with a base class.
#pragma once

#include <torch/torch.h>

#include <array>
#include <cstddef>
#include <cstdint>

namespace cv {

/// [rows,cols,channels] of 8 bits; rows may be further apart than they are long.
struct Mat {
  int rows, cols;
  uint8_t* data;
  std::array<std::size_t, 2> step;

  int channels() const { return static_cast<int>(step[1]); }
};

inline Mat view(const torch::Tensor& photo) {
  return {static_cast<int>(photo.size(0)),
          static_cast<int>(photo.size(1)),
          photo.data_ptr<uint8_t>(),
          {static_cast<std::size_t>(photo.stride(0)), static_cast<std::size_t>(photo.stride(1))}};
}

}  // namespace cv

namespace transforms {

constexpr bool gives_tensor = true;

struct Base {
  virtual ~Base() = default;
  virtual bool type() = 0;
  virtual void forward(cv::Mat& in, torch::Tensor& out) = 0;
};

}  // namespace transforms
