# Fails if `program` cannot start without the driver or NVRTC.
execute_process(COMMAND ${readelf} -d ${program} OUTPUT_VARIABLE dynamic COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "NEEDED[^\n]*" needed "${dynamic}")
if(NOT needed MATCHES "libcudart")
  message(FATAL_ERROR "expected a program that links the CUDA runtime, got ${needed}")
endif()
if(needed MATCHES "libcuda\\.so|libnvrtc|libnvidia|libcufft")
  message(FATAL_ERROR "${program} needs ${CMAKE_MATCH_0}")
endif()
