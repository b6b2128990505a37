// SPDX-License-Identifier: Apache-2.0
// Functions that stop in the middle and go on later: a thread of a block is one.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace simt {

/// A point to go on from. Leaving and entering cost some nanoseconds on x86-64, a microsecond
/// elsewhere (ucontext changes signal masks).
class Continuation {
 public:
  /// Goes on at `to`; returns when somebody goes on here.
  void leave_for(Continuation& to);
  /// To enter: calls `entry` on the stack. It must not return.
  void begin(void (*entry)(), void* stack, std::size_t bytes);

 private:
#if defined(__x86_64__)
  void* stack_pointer_ = nullptr;
#else
  ucontext_t context_;
#endif
};

/// A stack between two pages that nobody may touch. A fiber that is not wanted any more is left where it
/// stands: nothing on its stack is destroyed.
class Stack {
 public:
  Stack();
  ~Stack();
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;

  void* first() const;
  static constexpr std::size_t bytes = std::size_t{1} << 17;

 private:
  void* mapping_;
};

/// Stacks that wait for their next use.
class StackPool {
 public:
  Stack* take();
  void give_back(Stack* stack) { idle_.push_back(stack); }

 private:
  std::vector<std::unique_ptr<Stack>> all_;
  std::vector<Stack*> idle_;
};

}  // namespace simt
