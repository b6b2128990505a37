# Finds LibTorch, in this order: the target `torch` if the project has it, Torch_DIR and
# CMAKE_PREFIX_PATH, the torch package of the Python in reach, and (top level only) an installation
# by pip into the build folder. Leaves the target `torch`, visible in the whole project.
#
# It is included, not called: Torch's own package enables the CUDA language, which CMake allows at file
# scope only. It is installed too, for find_package(pixmim).

include_guard(DIRECTORY)

# Sets `result` to the folder of TorchConfig.cmake, or to nothing.
function(pixmim_locate_torch result)
  set(prefixes ${Torch_DIR} $ENV{Torch_DIR} ${CMAKE_PREFIX_PATH})
  if(DEFINED ENV{CMAKE_PREFIX_PATH})
    string(REPLACE ":" ";" from_environment "$ENV{CMAKE_PREFIX_PATH}")
    list(APPEND prefixes ${from_environment})
  endif()
  set(suffixes share/cmake/Torch lib/cmake/Torch cmake/Torch Torch)
  find_path(found TorchConfig.cmake HINTS ${prefixes} PATH_SUFFIXES ${suffixes} NO_CACHE
            NO_DEFAULT_PATH)
  if(NOT found)
    find_program(python NAMES python3 python HINTS $ENV{VIRTUAL_ENV}/bin NO_CACHE)
    if(Python3_EXECUTABLE)
      set(python ${Python3_EXECUTABLE})
    endif()
    if(python)
      # find_spec does not import: torch takes seconds, and needs libraries that we do not.
      execute_process(
        COMMAND ${python} -c
          "import importlib.util as u; s = u.find_spec('torch'); print(s.submodule_search_locations[0] if s else '')"
        OUTPUT_VARIABLE package OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
      if(package)
        find_path(found TorchConfig.cmake HINTS ${package} PATH_SUFFIXES ${suffixes} NO_CACHE
                  NO_DEFAULT_PATH)
      endif()
    endif()
  endif()
  if(NOT found)
    find_path(found TorchConfig.cmake PATHS /usr /usr/local PATH_SUFFIXES ${suffixes} NO_CACHE
              NO_DEFAULT_PATH)
  endif()
  if(NOT found)
    set(found "")
  endif()
  set(${result} "${found}" PARENT_SCOPE)
endfunction()

# A LibTorch built for CUDA, used without its CUDA libraries.
function(pixmim_add_cpu_torch root)
  add_library(torch INTERFACE IMPORTED GLOBAL)
  set_target_properties(torch PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES "${root}/include;${root}/include/torch/csrc/api/include"
    INTERFACE_COMPILE_FEATURES cxx_std_17
    INTERFACE_LINK_LIBRARIES "${root}/lib/libtorch_cpu.so;${root}/lib/libc10.so"
    # libtorch_cpu names libraries that it finds beside itself at run time; the linker need not.
    INTERFACE_LINK_OPTIONS "LINKER:--unresolved-symbols=ignore-in-shared-libs")
endfunction()

if(NOT TARGET torch)
  if(NOT pixmim_TORCH_DIR OR NOT EXISTS "${pixmim_TORCH_DIR}/TorchConfig.cmake")
    pixmim_locate_torch(pixmim_TORCH_DIR)
  endif()
  if(NOT pixmim_TORCH_DIR AND PROJECT_NAME STREQUAL "pixmim" AND PROJECT_IS_TOP_LEVEL)
    include(${CMAKE_CURRENT_LIST_DIR}/PixmimInstallTorch.cmake)
    pixmim_install_torch(pixmim_TORCH_DIR)
  endif()
  if(NOT pixmim_TORCH_DIR)
    message(FATAL_ERROR
      "pixmim needs LibTorch and found none. Give its folder by CMAKE_PREFIX_PATH, or install the "
      "Python package torch and give the output of: "
      "python3 -c \"import torch; print(torch.utils.cmake_prefix_path)\"")
  endif()
  get_filename_component(pixmim_torch_root "${pixmim_TORCH_DIR}/../../.." ABSOLUTE)

  # Torch's own package stops the configuration where a CUDA build meets no toolkit; and pip without
  # dependencies leaves out what the CUDA libraries need.
  set(pixmim_whole_torch TRUE)
  if(EXISTS "${pixmim_torch_root}/lib/libtorch_cuda.so")
    if(DEFINED PIXMIM_CUDA AND NOT PIXMIM_CUDA)
      set(pixmim_whole_torch FALSE)
    else()
      find_package(CUDAToolkit QUIET)
      if(NOT CUDAToolkit_NVCC_EXECUTABLE)
        set(pixmim_whole_torch FALSE)
        set(pixmim_why "no CUDA toolkit was found (set CUDAToolkit_ROOT if there is one)")
      elseif(EXISTS "${pixmim_torch_root}/../nvidia" AND
             NOT EXISTS "${pixmim_torch_root}/../nvidia/cudnn")
        set(pixmim_whole_torch FALSE)
        set(pixmim_why "its CUDA libraries are not installed (pip install torch brings them)")
      endif()
      if(NOT pixmim_whole_torch)
        message(WARNING "pixmim: this LibTorch was built for CUDA, but ${pixmim_why}: "
                       "only its CPU libraries are used")
      endif()
    endif()
  endif()

  if(pixmim_whole_torch)
    # Without a GPU, Torch's autodetection asks for architectures that a new nvcc refuses.
    if(NOT DEFINED TORCH_CUDA_ARCH_LIST AND NOT DEFINED ENV{TORCH_CUDA_ARCH_LIST})
      set(TORCH_CUDA_ARCH_LIST "8.0;9.0")
    endif()
    get_property(pixmim_targets_before DIRECTORY PROPERTY IMPORTED_TARGETS)
    find_package(Torch REQUIRED CONFIG PATHS ${pixmim_TORCH_DIR} NO_DEFAULT_PATH)
    # Imported targets are seen in this folder and below only; whoever adds pixmim links them above.
    if(PROJECT_NAME STREQUAL "pixmim")
      get_property(pixmim_targets DIRECTORY PROPERTY IMPORTED_TARGETS)
      list(REMOVE_ITEM pixmim_targets ${pixmim_targets_before} "")
      foreach(target IN LISTS pixmim_targets)
        set_target_properties(${target} PROPERTIES IMPORTED_GLOBAL TRUE)
      endforeach()
    endif()
  else()
    pixmim_add_cpu_torch(${pixmim_torch_root})
  endif()
  message(STATUS "pixmim: LibTorch at ${pixmim_torch_root}")
endif()
