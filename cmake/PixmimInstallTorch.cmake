# Installs LibTorch by pip into a folder of the build.

set(PIXMIM_TORCH_VERSION 2.11.0 CACHE STRING "Version of torch that is installed where none is found")

function(pixmim_install_torch result)
  set(environment ${PROJECT_BINARY_DIR}/_torch)
  file(GLOB installed ${environment}/lib/python*/site-packages/torch/share/cmake/Torch)
  if(NOT installed OR NOT EXISTS ${environment}/complete)
    find_package(Python3 REQUIRED COMPONENTS Interpreter)
    find_package(CUDAToolkit QUIET)
    set(packages torch==${PIXMIM_TORCH_VERSION})
    # On x86-64 Linux the package is a CUDA build whose dependencies weigh 3 GB; without a toolkit two
    # of them are enough.
    if(CMAKE_SYSTEM_NAME STREQUAL "Linux" AND CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64" AND
       NOT (CUDAToolkit_NVCC_EXECUTABLE AND PIXMIM_CUDA))
      list(APPEND packages --no-deps nvidia-cuda-runtime>=13,<14 nvidia-cuda-cupti>=13,<14)
    endif()
    message(STATUS "pixmim: no LibTorch found: pip installs torch ${PIXMIM_TORCH_VERSION} into "
                   "${environment}")
    execute_process(COMMAND ${Python3_EXECUTABLE} -m venv ${environment} RESULT_VARIABLE failed)
    if(NOT failed)
      execute_process(
        COMMAND ${environment}/bin/python -m pip install --quiet --disable-pip-version-check
                ${packages}
        RESULT_VARIABLE failed)
    endif()
    if(failed)
      message(FATAL_ERROR
        "pip could not install torch ${PIXMIM_TORCH_VERSION} into ${environment} (its message is "
        "above). Is there a network, and python3-venv? Or give a LibTorch by CMAKE_PREFIX_PATH.")
    endif()
    file(TOUCH ${environment}/complete)
    file(GLOB installed ${environment}/lib/python*/site-packages/torch/share/cmake/Torch)
  endif()
  set(${result} "${installed}" PARENT_SCOPE)
endfunction()
