// SPDX-License-Identifier: Apache-2.0
#include "support/simt/fiber.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <new>

#if defined(__x86_64__)
extern "C" void pixmim_simt_switch_stack(void** old_stack_pointer, void* new_stack_pointer);

// What the System V ABI makes a callee keep. Rounding modes are those of the process for all.
asm(R"(
.text
.p2align 4
.globl pixmim_simt_switch_stack
.type pixmim_simt_switch_stack, @function
pixmim_simt_switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size pixmim_simt_switch_stack, .-pixmim_simt_switch_stack
)");
#endif

namespace simt {
namespace {

std::size_t page() {
  static const auto bytes = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}

}  // namespace

#if defined(__x86_64__)

void Continuation::leave_for(Continuation& to) {
  pixmim_simt_switch_stack(&stack_pointer_, to.stack_pointer_);
}

void Continuation::begin(void (*entry)(), void* stack, std::size_t bytes) {
  constexpr int saved_registers = 6;
  auto* top = static_cast<void**>(stack) + bytes / sizeof(void*);
  *--top = nullptr;  // where a function finds its return address: an odd multiple of 8
  *--top = reinterpret_cast<void*>(entry);
  for (int i = 0; i < saved_registers; ++i) *--top = nullptr;
  stack_pointer_ = top;
}

#else

void Continuation::leave_for(Continuation& to) {
  swapcontext(&context_, &to.context_);
}

void Continuation::begin(void (*entry)(), void* stack, std::size_t bytes) {
  getcontext(&context_);
  context_.uc_stack.ss_sp = stack;
  context_.uc_stack.ss_size = bytes;
  context_.uc_link = nullptr;
  makecontext(&context_, entry, 0);
}

#endif

Stack::Stack()
    : mapping_(mmap(nullptr, bytes + 2 * page(), PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) {
  if (mapping_ == MAP_FAILED) throw std::bad_alloc();
  mprotect(mapping_, page(), PROT_NONE);
  mprotect(static_cast<char*>(mapping_) + page() + bytes, page(), PROT_NONE);
}

Stack::~Stack() {
  munmap(mapping_, bytes + 2 * page());
}

void* Stack::first() const {
  return static_cast<char*>(mapping_) + page();
}

Stack* StackPool::take() {
  if (idle_.empty()) {
    all_.push_back(std::make_unique<Stack>());
    return all_.back().get();
  }
  Stack* const stack = idle_.back();
  idle_.pop_back();
  return stack;
}

}  // namespace simt
