# Leaves the target pixmim::cuda if LibTorch has CUDA: what lets pixmim's headers compile kernels where a
# program runs. NVRTC and the driver are looked for there, so that nothing more is linked.
#
# Included after PixmimTorch, and installed like it, for find_package(pixmim).

if(NOT TARGET pixmim::cuda AND TARGET torch_cuda AND NOT (DEFINED PIXMIM_CUDA AND NOT PIXMIM_CUDA))
  add_library(pixmim::cuda INTERFACE IMPORTED)
  if(PROJECT_NAME STREQUAL "pixmim")
    set_target_properties(pixmim::cuda PROPERTIES IMPORTED_GLOBAL TRUE)
  endif()
  target_compile_definitions(pixmim::cuda INTERFACE PIXMIM_HAS_CUDA=1)
  target_link_libraries(pixmim::cuda INTERFACE ${CMAKE_DL_LIBS})
endif()
