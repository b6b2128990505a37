// SPDX-License-Identifier: Apache-2.0
#include "support/simt/grid.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <utility>

namespace simt {
namespace {

thread_local Grid* current_grid = nullptr;
thread_local StackPool stacks;

std::string number(int64_t value) {
  return std::to_string(value);
}

/// Makes a grid the current one.
class Running {
 public:
  explicit Running(Grid* grid) : before_(std::exchange(current_grid, grid)) {}
  ~Running() { current_grid = before_; }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

 private:
  Grid* before_;
};

}  // namespace

bool Site::operator==(const Site& other) const {
  return line == other.line && std::strcmp(file, other.file) == 0;
}

std::string Site::text() const {
  const char* const slash = std::strrchr(file, '/');
  return (slash != nullptr ? slash + 1 : file) + (":" + number(line));
}

Grid::Grid(const GridShape& shape, std::function<void()> kernel, uint64_t seed)
    : shape_(shape),
      kernel_(std::move(kernel)),
      random_(seed),
      shared_(shape.shared_bytes + 16),
      shared_shadow_(shape.shared_bytes, Shadow::Scope::Block, /*initialized=*/false),
      threads_(static_cast<std::size_t>(shape.threads)),
      warps_(static_cast<std::size_t>((shape.threads + lanes_a_warp - 1) / lanes_a_warp)) {
  // Aligned as the dialect declares shared memory.
  const auto first = (reinterpret_cast<std::uintptr_t>(shared_.data()) + 15) / 16 * 16;
  shared_memory_ = {"shared memory", first, shape.shared_bytes, true, &shared_shadow_, first};
}

Grid::~Grid() {
  for (const Thread& thread : threads_) {
    if (thread.stack != nullptr) stacks.give_back(thread.stack);
  }
}

Grid& Grid::current() {
  return *current_grid;
}

bool Grid::is_running() {
  return current_grid != nullptr && current_grid->running_ >= 0;
}

void Grid::run() {
  const Running running(this);
  std::vector<int64_t> order(static_cast<std::size_t>(shape_.blocks));
  std::iota(order.begin(), order.end(), int64_t{0});
  std::shuffle(order.begin(), order.end(), random_);
  for (const int64_t block : order) {
    block_ = block;
    run_block();
  }
}

void Grid::run_block() {
  waiting_ = 0;
  ended_ = 0;
  std::fill(threads_.begin(), threads_.end(), Thread());
  std::fill(warps_.begin(), warps_.end(), Warp());
  start_block_epoch();
  first_epoch_of_block_ = block_epoch_;
  begun_.emplace_back(block_epoch_, block_);
  release(0, shape_.threads);
  while (!ready_.empty()) {
    const std::size_t pick = random_() % ready_.size();
    running_ = std::exchange(ready_[pick], ready_.back());
    ready_.pop_back();
    Thread& thread = at(running_);
    if (thread.stack == nullptr) {
      thread.stack = stacks.take();
      thread.at.begin(&Grid::enter, thread.stack->first(), Stack::bytes);
    }
    scheduler_.leave_for(thread.at);
    if (thread.state == State::Ended) stacks.give_back(std::exchange(thread.stack, nullptr));
    running_ = -1;
    if (fault_.has_value()) throw Fault(*fault_);
  }
  if (ended_ < shape_.threads) {
    throw Fault(shape_.kernel + ", block " + number(block_) + ": deadlock: " + where_all_wait());
  }
}

void Grid::enter() {
  Grid& grid = current();
  grid.kernel_();
  grid.end_thread();
  std::abort();
}

void Grid::stop() {
  at(running_).at.leave_for(scheduler_);
}

void Grid::end_thread() {
  if (waiting_ > 0) {
    fail("ends, and other threads wait for it at a barrier of the block: " + where_all_wait());
  }
  Warp& warp = warp_of(running_);
  if (warp.waiting > 0) {
    fail("ends, and other lanes of its warp wait for it: " + where_all_wait());
  }
  ++warp.ended;
  ++ended_;
  at(running_).state = State::Ended;
  stop();
}

void Grid::fail(const std::string& what) {
  fault_ = where() + ": " + what;
  stop();
  std::abort();
}

std::string Grid::where() const {
  return shape_.kernel + ", block " + number(block_) + ", thread " + number(running_);
}

std::string Grid::where_all_wait() const {
  std::string text;
  const auto add = [&](const std::string& part) { text += (text.empty() ? "" : "; ") + part; };
  int ended = 0;
  for (std::size_t first = 0; first < threads_.size();) {
    // Threads in a row that wait at the same place are one entry.
    const Thread& thread = threads_[first];
    std::size_t last = first;
    while (last + 1 < threads_.size() && threads_[last + 1].state == thread.state &&
           (thread.state == State::Ready || thread.state == State::Ended ||
            threads_[last + 1].site == thread.site)) {
      ++last;
    }
    const std::string name = last == first ? "thread " + std::to_string(first) + " waits"
                                           : "threads " + std::to_string(first) + " to " +
                                                 std::to_string(last) + " wait";
    if (thread.state == State::AtBlockBarrier || thread.state == State::AtWarpMeeting) {
      add(name + " at " + thread.meeting + " (" + thread.site.text() + ")");
    } else if (thread.state == State::Ended) {
      ended += static_cast<int>(last - first + 1);
    }
    first = last + 1;
  }
  if (ended > 0) add(number(ended) + " threads have ended");
  return text;
}

void Grid::start_block_epoch() {
  block_epoch_ = ++epoch_;
  for (Warp& warp : warps_) warp.epoch = ++epoch_;
}

void Grid::release(int first, int count) {
  for (int i = first; i < first + count; ++i) {
    at(i).state = State::Ready;
    ready_.push_back(i);
  }
}

int64_t Grid::block_of(uint32_t block_epoch) const {
  const auto next = std::upper_bound(begun_.begin(), begun_.end(), block_epoch,
                                     [](uint32_t epoch, const std::pair<uint32_t, int64_t>& begun) {
                                       return epoch < begun.first;
                                     });
  return std::prev(next)->second;
}

Moment Grid::moment() const {
  return {first_epoch_of_block_, block_epoch_,
          warps_[static_cast<std::size_t>(running_ / lanes_a_warp)].epoch,
          static_cast<uint16_t>(running_)};
}

int Grid::ended_thread(int first, int count) const {
  for (int i = first; i < first + count; ++i) {
    if (threads_[static_cast<std::size_t>(i)].state == State::Ended) return i;
  }
  return -1;
}

void Grid::meet_block(const Site& site) {
  if (ended_ > 0) {
    fail("waits at a barrier of the block (" + site.text() + ") that thread " +
         number(ended_thread(0, shape_.threads)) + ", which has ended, does not reach");
  }
  for (int i = 0; waiting_ > 0 && i < shape_.threads; ++i) {
    if (at(i).state != State::AtBlockBarrier) continue;
    if (!(at(i).site == site)) {
      fail("waits at the barrier of the block in " + site.text() + ", thread " + number(i) +
           " at that in " + at(i).site.text());
    }
    break;
  }
  Thread& thread = at(running_);
  thread.state = State::AtBlockBarrier;
  thread.site = site;
  thread.meeting = "synchronize_block";
  if (++waiting_ == shape_.threads) {
    waiting_ = 0;
    start_block_epoch();
    release(0, shape_.threads);
  }
  stop();
}

void Grid::meet_warp(const char* name, const Site& site, void* operand, WarpOperation operation,
                     bool orders_memory) {
  const int first = running_ / lanes_a_warp * lanes_a_warp;
  const int lanes = std::min(lanes_a_warp, shape_.threads - first);
  if (lanes < lanes_a_warp) {
    fail(std::string(name) + " (" + site.text() + ") in a warp of " + number(lanes) + " threads");
  }
  Warp& warp = warp_of(running_);
  if (warp.ended > 0) {
    fail(std::string(name) + " (" + site.text() + ") that thread " +
         number(ended_thread(first, lanes)) + " of the warp, which has ended, does not reach");
  }
  for (int i = first; warp.waiting > 0 && i < first + lanes; ++i) {
    const Thread& other = at(i);
    if (other.state != State::AtWarpMeeting) continue;
    if (!(other.site == site) || std::strcmp(other.meeting, name) != 0) {
      fail("is at " + std::string(name) + " (" + site.text() + "), thread " + number(i) +
           " of its warp at " + other.meeting + " (" + other.site.text() + ")");
    }
    break;
  }
  Thread& thread = at(running_);
  thread.state = State::AtWarpMeeting;
  thread.site = site;
  thread.meeting = name;
  thread.operand = operand;
  if (++warp.waiting == lanes_a_warp) {
    void* operands[lanes_a_warp];
    for (int i = 0; i < lanes_a_warp; ++i) operands[i] = at(first + i).operand;
    operation(operands);
    warp.waiting = 0;
    if (orders_memory) warp.epoch = ++epoch_;
    release(first, lanes_a_warp);
  }
  stop();
}

Range Grid::reached(std::uintptr_t address) {
  for (const Range& range : shape_.reached) {
    if (address >= range.first && address < range.last) return range;
  }
  fail("takes memory by an address that lies in no tensor of the launch's tables");
}

Range Grid::shared_memory(int64_t offset, int64_t bytes) {
  if (offset < 0 || bytes < 0 || offset + bytes > static_cast<int64_t>(shape_.shared_bytes)) {
    fail("takes bytes " + number(offset) + " .. " + number(offset + bytes) +
         " of shared memory, and the launch gave " + std::to_string(shape_.shared_bytes));
  }
  if (offset % 16 != 0)
    fail("takes shared memory from byte " + number(offset) + " on, which is no multiple of 16");
  const std::uintptr_t first = shared_memory_.first + static_cast<std::uintptr_t>(offset);
  return {&shared_memory_, first, first + static_cast<std::uintptr_t>(bytes)};
}

}  // namespace simt
