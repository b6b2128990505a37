// SPDX-License-Identifier: Apache-2.0
#include "support/simt/shadow.hpp"

namespace simt {
namespace {

bool in_one_warp(uint16_t a, uint16_t b) {
  return a / 32 == b / 32;
}

}  // namespace

// Of earlier writes only the last one counts: two that are unordered were found when the second came.
bool Shadow::races_with_write(const Cell& cell, const Moment& now) const {
  if (cell.write_block_epoch == 0) return false;
  if (cell.write_block_epoch < now.first_epoch_of_block) return scope_ == Scope::Launch;
  if (cell.write_thread == now.thread) return false;
  return in_one_warp(cell.write_thread, now.thread) ? cell.write_warp_epoch == now.warp_epoch
                                                    : cell.write_block_epoch == now.block_epoch;
}

// Many may have read: a cell knows whether one thread did, one warp, or more.
bool Shadow::races_with_read(const Cell& cell, const Moment& now) const {
  if (cell.earlier_read_epoch != 0) return true;
  if (cell.read_block_epoch == 0) return false;
  if (cell.read_block_epoch < now.first_epoch_of_block) return scope_ == Scope::Launch;
  if (cell.read_block_epoch != now.block_epoch) return false;
  if (cell.read_thread == many_warps) return true;
  const auto reader = static_cast<uint16_t>(cell.read_thread & ~other_lanes);
  if (!in_one_warp(reader, now.thread)) return true;
  return cell.read_warp_epoch == now.warp_epoch && cell.read_thread != now.thread;
}

void Shadow::remember_read(Cell& cell, const Moment& now) const {
  if (cell.read_block_epoch != now.block_epoch) {
    const bool by_other_block =
        cell.read_block_epoch != 0 && cell.read_block_epoch < now.first_epoch_of_block;
    if (by_other_block && scope_ == Scope::Launch) cell.earlier_read_epoch = cell.read_block_epoch;
    cell.read_block_epoch = now.block_epoch;
    cell.read_warp_epoch = now.warp_epoch;
    cell.read_thread = now.thread;
    return;
  }
  if (cell.read_thread == many_warps) return;
  if (!in_one_warp(static_cast<uint16_t>(cell.read_thread & ~other_lanes), now.thread)) {
    cell.read_thread = many_warps;
  } else if (cell.read_warp_epoch != now.warp_epoch) {
    cell.read_warp_epoch = now.warp_epoch;
    cell.read_thread = now.thread;
  } else if (cell.read_thread != now.thread) {
    cell.read_thread |= other_lanes;
  }
}

Finding Shadow::read(std::size_t offset, std::size_t bytes, const Moment& now) {
  for (std::size_t i = offset; i < offset + bytes; ++i) {
    Cell& cell = cells_[i];
    if (races_with_write(cell, now)) {
      return {Finding::RaceWithWrite, i, cell.write_block_epoch, cell.write_thread};
    }
    const uint32_t first_epoch = scope_ == Scope::Block ? now.first_epoch_of_block : 1;
    if (!initialized_ && cell.write_block_epoch < first_epoch) {
      return {Finding::Unwritten, i, 0, Finding::no_thread};
    }
    remember_read(cell, now);
  }
  return {};
}

Finding Shadow::write(std::size_t offset, std::size_t bytes, const Moment& now) {
  for (std::size_t i = offset; i < offset + bytes; ++i) {
    Cell& cell = cells_[i];
    if (races_with_write(cell, now)) {
      return {Finding::RaceWithWrite, i, cell.write_block_epoch, cell.write_thread};
    }
    if (races_with_read(cell, now)) {
      if (cell.earlier_read_epoch != 0) {
        return {Finding::RaceWithRead, i, cell.earlier_read_epoch, Finding::no_thread};
      }
      const bool one = (cell.read_thread & other_lanes) == 0;
      return {Finding::RaceWithRead, i, cell.read_block_epoch,
              one ? cell.read_thread : Finding::no_thread};
    }
    cell.write_block_epoch = now.block_epoch;
    cell.write_warp_epoch = now.warp_epoch;
    cell.write_thread = now.thread;
  }
  return {};
}

}  // namespace simt
