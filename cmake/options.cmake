# Flags every target of ours is compiled with. The baseline is x86-64-v2, so that the program starts on any
# processor of the last fifteen years; wider instructions live only in kernels that are chosen at run time.
option(ATELIER_WERROR "Treat warnings in our code as errors" ON)
set(ATELIER_SANITIZE "" CACHE STRING "Sanitizers to build with, as in -fsanitize=")

add_library(atelier_options INTERFACE)
target_compile_options(atelier_options INTERFACE
  -Wall -Wextra -Wconversion
  # Options structs are filled by naming the fields that differ from their defaults.
  $<$<CXX_COMPILER_ID:Clang>:-Wno-missing-designated-field-initializers>
  $<$<CXX_COMPILER_ID:GNU>:-Wno-missing-field-initializers>  # GCC 12 cannot tell the two kinds apart
  $<$<BOOL:${ATELIER_WERROR}>:-Werror>
  -ffp-contract=off  # a*b+c is fused only where the source says so: results do not depend on the compiler
  -fno-math-errno)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  target_compile_options(atelier_options INTERFACE -march=x86-64-v2)
endif()
if(ATELIER_SANITIZE)
  target_compile_options(atelier_options INTERFACE
    -fsanitize=${ATELIER_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer
    $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)  # GCC 12 loses track of values once it instruments them
  target_link_options(atelier_options INTERFACE -fsanitize=${ATELIER_SANITIZE})
endif()

option(ATELIER_KERNELS_ONLY "Only the folders from base to ops, which need headers of others and no libraries" OFF)

option(ATELIER_FUZZ "Build the libFuzzer programs of fuzz/, with coverage in all of our code" OFF)
if(ATELIER_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "Fuzzing needs clang: CXX=clang++ cmake --preset fuzz")
  endif()
  target_compile_options(atelier_options INTERFACE -fsanitize=fuzzer-no-link)
endif()

find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()
