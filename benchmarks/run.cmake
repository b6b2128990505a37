# Runs one benchmark program: cmake -D program=... -D json=... -D source=... -P run.cmake
# The JSON names the commit of the sources as they are now, not as they were configured.

set(commit unknown)
find_program(git git)
if(git)
  execute_process(COMMAND ${git} -C ${source} describe --always --dirty --abbrev=12
    OUTPUT_VARIABLE described OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
  if(NOT failed)
    set(commit ${described})
  endif()
endif()

execute_process(
  COMMAND ${program} --benchmark_context=commit=${commit} --benchmark_out=${json}
          --benchmark_out_format=json
  RESULT_VARIABLE failed)
if(failed)
  message(FATAL_ERROR "${program} failed: ${failed}")
endif()
