// SPDX-License-Identifier: Apache-2.0
// Training steps, as many at a time as compare_step.py asks for:
//   step_rounds RECIPE BATCH THREADS float32|bfloat16, then lines "time N" on standard input.

#include <ATen/Parallel.h>
#include <torch/version.h>

#include <chrono>
#include <exception>
#include <iomanip>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

#include "training_step.hpp"

namespace {

double seconds(pixmim_bench::TrainingStep& step, std::size_t count) {
  const auto start = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < count; ++i) step.run();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void run(const std::vector<std::string>& arguments) {
  if (arguments.size() != 4) {
    throw std::runtime_error("four arguments: RECIPE BATCH THREADS float32|bfloat16");
  }
  auto options = pretrain::recipe(arguments[0]);
  options.bf16 = arguments[3] == "bfloat16";
  at::set_num_threads(std::stoi(arguments[2]));
  pixmim_bench::TrainingStep step(options, std::stoll(arguments[1]), at::kCPU);
  step.run();
  std::cout << "LibTorch " << TORCH_VERSION << ' ' << at::get_cpu_capability() << std::endl;

  std::string order;
  std::size_t number = 0;
  while (std::cin >> order >> number) {
    if (order != "time") throw std::runtime_error("no order " + order);
    std::cout << std::setprecision(9) << seconds(step, number) << std::endl;
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    run({argv + 1, argv + argc});
  } catch (const c10::Error& error) {
    std::cerr << "step_rounds: " << error.what_without_backtrace() << '\n';
    return 1;
  } catch (const std::exception& error) {
    std::cerr << "step_rounds: " << error.what() << '\n';
    return 1;
  }
  return 0;
}
