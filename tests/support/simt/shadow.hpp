// SPDX-License-Identifier: Apache-2.0
// Who touched each byte of a memory last, and whether that could have been at the same time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace simt {

/// Epochs are numbers that grow through a whole launch and are given once. A barrier of the block starts
/// an epoch of the block and one of each warp; a barrier of the warp starts one of the warp. So two
/// threads of a warp are unordered if they touch a byte in the same epoch of the warp, two warps in the
/// same epoch of the block, two blocks always.
struct Moment {
  uint32_t first_epoch_of_block;
  uint32_t block_epoch;
  uint32_t warp_epoch;
  uint16_t thread;
};

struct Finding {
  enum Kind { Fine, Unwritten, RaceWithRead, RaceWithWrite };
  Kind kind = Fine;
  /// The byte.
  std::size_t offset = 0;
  /// Whose access it was; a thread that is not known is `no_thread`.
  uint32_t block_epoch = 0;
  uint16_t thread = 0;

  static constexpr uint16_t no_thread = 0xffff;
};

/// Of memory that all blocks share, or of shared memory, which each block gets anew.
class Shadow {
 public:
  enum class Scope { Launch, Block };

  /// `initialized`: bytes that no kernel wrote may be read.
  Shadow(std::size_t bytes, Scope scope, bool initialized)
      : cells_(bytes), scope_(scope), initialized_(initialized) {}

  Finding read(std::size_t offset, std::size_t bytes, const Moment& now);
  Finding write(std::size_t offset, std::size_t bytes, const Moment& now);

 private:
  struct Cell {
    uint32_t write_block_epoch = 0;
    uint32_t write_warp_epoch = 0;
    uint32_t read_block_epoch = 0;
    uint32_t read_warp_epoch = 0;
    /// Of a reader in another block.
    uint32_t earlier_read_epoch = 0;
    uint16_t write_thread = 0;
    /// A thread, perhaps with `other_lanes`, or `many_warps`.
    uint16_t read_thread = 0;
  };
  static constexpr uint16_t other_lanes = 0x8000;
  static constexpr uint16_t many_warps = 0xffff;

  /// A write that is unordered to an access now.
  bool races_with_write(const Cell& cell, const Moment& now) const;
  bool races_with_read(const Cell& cell, const Moment& now) const;
  void remember_read(Cell& cell, const Moment& now) const;

  std::vector<Cell> cells_;
  Scope scope_;
  bool initialized_;
};

}  // namespace simt
