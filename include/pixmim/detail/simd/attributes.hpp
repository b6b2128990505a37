// SPDX-License-Identifier: Apache-2.0
// Compiler attributes that kernels need: what to inline, what to unroll, for which instructions.
#pragma once

// Instruction sets beyond the compiler's own are chosen at run time: GCC and Clang on x86-64.
#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define PIXMIM_X86_DISPATCH 1
#else
#define PIXMIM_X86_DISPATCH 0
#endif

#if defined(__GNUC__) || defined(__clang__)
#define PIXMIM_ALWAYS_INLINE inline __attribute__((always_inline))
#define PIXMIM_RESTRICT __restrict__
#else
#define PIXMIM_ALWAYS_INLINE inline
#define PIXMIM_RESTRICT
#endif

// Brings the cache line at `address` near, to be read or written: asking for the right to write gained
// nothing where it was measured.
#if defined(__GNUC__) || defined(__clang__)
#define PIXMIM_PREFETCH(address) __builtin_prefetch(address, 0, 2)
#else
#define PIXMIM_PREFETCH(address) static_cast<void>(address)
#endif

// In front of a loop of a constant, small number of steps: -O2 alone keeps such loops, and the
// arrays that they index stay in memory.
#if defined(__clang__)
#define PIXMIM_UNROLL _Pragma("clang loop unroll(full)")
#elif defined(__GNUC__)
#define PIXMIM_UNROLL _Pragma("GCC unroll 32")
#else
#define PIXMIM_UNROLL
#endif

#define PIXMIM_AVX2_TARGET __attribute__((target("avx2,fma,f16c")))
#define PIXMIM_AVX512_TARGET \
  __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")))
