// SPDX-License-Identifier: Apache-2.0
// Includes PIXMIM_KERNELS once for each instruction set, so that kernels are written once:
//
//     #define PIXMIM_KERNELS "pixmim/detail/.../kernels.inl"
//     #include "pixmim/detail/simd/multiversion.inl"
//
// The file named has no include guard. It puts its functions into namespace PIXMIM_SIMD, marks each
// PIXMIM_TARGET, and finds the registers as `Vector<float>` and `Vector<double>` there.

#include "pixmim/detail/simd/vector_portable.hpp"
#if PIXMIM_X86_DISPATCH
#include "pixmim/detail/simd/vector_avx2.hpp"
#include "pixmim/detail/simd/vector_avx512.hpp"
#endif

#define PIXMIM_SIMD portable
#define PIXMIM_TARGET
#include PIXMIM_KERNELS
#undef PIXMIM_SIMD
#undef PIXMIM_TARGET

#if PIXMIM_X86_DISPATCH
#define PIXMIM_SIMD avx2
#define PIXMIM_TARGET PIXMIM_AVX2_TARGET
#include PIXMIM_KERNELS
#undef PIXMIM_SIMD
#undef PIXMIM_TARGET

#define PIXMIM_SIMD avx512
#define PIXMIM_TARGET PIXMIM_AVX512_TARGET
#include PIXMIM_KERNELS
#undef PIXMIM_SIMD
#undef PIXMIM_TARGET
#endif

#undef PIXMIM_KERNELS
