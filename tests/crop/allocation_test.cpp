// SPDX-License-Identifier: Apache-2.0
// A crop into a given place allocates nothing.
#include <ATen/ATen.h>
#include <pixmim/random_resized_crop.hpp>
#include <pixmim/simple_resized_crop.hpp>

#include <atomic>
#include <cstdlib>
#include <new>

#include "support/catch.hpp"

namespace {

std::atomic<int64_t> allocations{0};

}  // namespace

// The whole program's, so that they count; not inlined, since compilers then warn of free().
#define COUNTED __attribute__((noinline))

COUNTED void* operator new(std::size_t size) {
  ++allocations;
  void* const memory = std::malloc(size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
COUNTED void* operator new(std::size_t size, std::align_val_t alignment) {
  ++allocations;
  const auto border = static_cast<std::size_t>(alignment);
  void* const memory = std::aligned_alloc(border, (size + border - 1) / border * border);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
COUNTED void* operator new(std::size_t size, const std::nothrow_t& /* tag */) noexcept {
  ++allocations;
  return std::malloc(size);
}
COUNTED void operator delete(void* memory) noexcept {
  std::free(memory);
}
COUNTED void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
COUNTED void operator delete(void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
COUNTED void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}

TEST_CASE("a crop into a given place allocates nothing", "[crop]") {
  const auto image = at::randint(256, {100, 90, 3}, at::kByte);
  const auto large = at::randint(256, {150, 190, 3}, at::kByte);
  const pixmim::SimpleResizedCrop src(64);
  const pixmim::RandomResizedCrop rrc(64);
  const auto batch = at::empty({2, 3, 64, 64});
  const auto first = batch[0];
  const auto second = batch[1];
  const auto crop_both = [&] {
    src.apply_out(first, image, {3, 2, true});
    rrc.apply_out(second, image, {3, 2, true, 50, 40});
  };
  src.apply_out(first, large, {0, 0, false});
  rrc.apply_out(second, large, {0, 0, false, 150, 190});
  crop_both();
  const int64_t at_first = allocations;
  CHECK(at_first > 0);  // they are counted
  const int64_t before = allocations;
  for (int i = 0; i < 10; ++i) crop_both();
  const int64_t counted = allocations - before;
  CHECK(counted == 0);
  CHECK(at::equal(first, src.apply(image, {3, 2, true})));
  CHECK(at::equal(second, rrc.apply(image, {3, 2, true, 50, 40})));
}
