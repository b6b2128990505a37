// SPDX-License-Identifier: Apache-2.0
// The blocks of a launch, one after the other, in an order that a seed draws; the threads of a block are
// fibers, which go on in a random order too, from one meeting point to the next.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/simt/fiber.hpp"
#include "support/simt/pointer.hpp"
#include "support/simt/shadow.hpp"

namespace simt {

/// What a kernel did wrong: which kernel, block, thread, and what.
class Fault : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct GridShape {
  std::string kernel;
  int64_t blocks;
  int threads;
  std::size_t shared_bytes;
  /// What threads may find by its address.
  std::vector<Range> reached;
};

/// A line of a kernel.
struct Site {
  const char* file;
  int line;

  bool operator==(const Site& other) const;
  std::string text() const;
};

/// What lanes of a warp do together, once all are there: `operands` has a pointer of each lane.
using WarpOperation = void (*)(void* const* operands);

constexpr int lanes_a_warp = 32;

class Grid {
 public:
  Grid(const GridShape& shape, std::function<void()> kernel, uint64_t seed);
  ~Grid();
  Grid(const Grid&) = delete;
  Grid& operator=(const Grid&) = delete;

  /// Throws a Fault at the first one.
  void run();

  // For the running thread.
  static Grid& current();
  static bool is_running();
  int thread() const { return running_; }
  int threads() const { return shape_.threads; }
  int64_t block() const { return block_; }
  int64_t blocks() const { return shape_.blocks; }
  Moment moment() const;
  void meet_block(const Site& site);
  /// `orders_memory`: what a lane wrote before, the others may read after.
  void meet_warp(const char* name, const Site& site, void* operand, WarpOperation operation,
                 bool orders_memory);
  Range shared_memory(int64_t offset, int64_t bytes);
  Range reached(std::uintptr_t address);
  /// Leaves the thread for ever.
  [[noreturn]] void fail(const std::string& what);
  /// The block that had this epoch.
  int64_t block_of(uint32_t block_epoch) const;

 private:
  enum class State { Ready, AtBlockBarrier, AtWarpMeeting, Ended };
  struct Thread {
    Continuation at;
    Stack* stack = nullptr;
    State state = State::Ready;
    Site site = {};
    const char* meeting = nullptr;
    void* operand = nullptr;
  };
  struct Warp {
    uint32_t epoch = 0;
    int waiting = 0;
    int ended = 0;
  };

  static void enter();
  void run_block();
  void end_thread();
  void stop();
  void release(int first, int count);
  void start_block_epoch();
  Warp& warp_of(int thread) { return warps_[static_cast<std::size_t>(thread / lanes_a_warp)]; }
  Thread& at(int thread) { return threads_[static_cast<std::size_t>(thread)]; }
  int ended_thread(int first, int count) const;
  std::string where() const;
  std::string where_all_wait() const;

  GridShape shape_;
  std::function<void()> kernel_;
  std::mt19937_64 random_;
  std::vector<unsigned char> shared_;
  Shadow shared_shadow_;
  Memory shared_memory_;

  Continuation scheduler_;
  std::vector<Thread> threads_;
  std::vector<Warp> warps_;
  std::vector<int> ready_;
  int running_ = -1;
  int waiting_ = 0;
  int ended_ = 0;
  int64_t block_ = 0;
  uint32_t epoch_ = 0;
  uint32_t block_epoch_ = 0;
  uint32_t first_epoch_of_block_ = 0;
  /// The first epoch of each block that began, in the order of their beginnings.
  std::vector<std::pair<uint32_t, int64_t>> begun_;
  std::optional<std::string> fault_;
};

}  // namespace simt
