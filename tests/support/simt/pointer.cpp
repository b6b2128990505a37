// SPDX-License-Identifier: Apache-2.0
#include "support/simt/pointer.hpp"

#include "support/simt/grid.hpp"
#include "support/simt/shadow.hpp"

namespace simt {
namespace {

std::string offset_in(const Memory& memory, std::uintptr_t address) {
  return std::to_string(static_cast<std::intptr_t>(address - memory.first));
}

/// "reads 4 bytes at byte 12 of argument 1"
std::string access(const char* verb, const Memory& memory, std::uintptr_t address,
                   std::size_t bytes) {
  return std::string(verb) + " " + std::to_string(bytes) + " bytes at byte " +
         offset_in(memory, address) + " of " + memory.name;
}

void check_place(const char* verb, const Range& range, std::uintptr_t address, std::size_t bytes,
                 std::size_t alignment) {
  Grid& grid = Grid::current();
  if (range.memory == nullptr) grid.fail(std::string(verb) + " through a null pointer");
  const Memory& memory = *range.memory;
  // In this order, nothing wraps.
  if (address < range.first || address > range.last || range.last - address < bytes) {
    grid.fail(access(verb, memory, address, bytes) + ", beyond its bytes " +
              offset_in(memory, range.first) + " .. " + offset_in(memory, range.last));
  }
  if (address % alignment != 0) {
    grid.fail(access(verb, memory, address, bytes) + ", not aligned to " +
              std::to_string(alignment));
  }
}

void report(const char* verb, const Memory& memory, const Finding& finding) {
  if (finding.kind == Finding::Fine) return;
  Grid& grid = Grid::current();
  const std::string byte = std::string(verb) + " byte " +
                           offset_in(memory, memory.shadow_first + finding.offset) + " of " +
                           memory.name;
  if (finding.kind == Finding::Unwritten) grid.fail(byte + ", which nobody wrote");
  const int64_t block = grid.block_of(finding.block_epoch);
  std::string who = "other threads";
  if (block != grid.block()) {
    who = "block " + std::to_string(block);
  } else if (finding.thread != Finding::no_thread) {
    who = "thread " + std::to_string(finding.thread);
  }
  const bool read = finding.kind == Finding::RaceWithRead;
  grid.fail("race: " + byte + ", which " + who + (read ? " read" : " wrote") +
            ", with no barrier between");
}

}  // namespace

void check_read(const Range& range, std::uintptr_t address, std::size_t bytes,
                std::size_t alignment) {
  check_place("reads", range, address, bytes, alignment);
  const Memory& memory = *range.memory;
  if (memory.shadow == nullptr) return;
  report("reads", memory,
         memory.shadow->read(address - memory.shadow_first, bytes, Grid::current().moment()));
}

void check_write(const Range& range, std::uintptr_t address, std::size_t bytes,
                 std::size_t alignment) {
  check_place("writes", range, address, bytes, alignment);
  const Memory& memory = *range.memory;
  if (!memory.writable) {
    Grid::current().fail(access("writes", memory, address, bytes) + ", which it may only read");
  }
  report("writes", memory,
         memory.shadow->write(address - memory.shadow_first, bytes, Grid::current().moment()));
}

}  // namespace simt
