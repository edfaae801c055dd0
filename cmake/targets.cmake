# Most of what compiling these folders costs is the headers of the JSON, command line and network libraries: several
# files of theirs are compiled as one, which divides a full build's time by three; so are those of every test program.
# Names in unnamed namespaces are therefore unique within a folder. OFF compiles file by file.
option(ATELIER_UNITY "Compile the files of a folder several at once" ON)

# atelier_library(NAME [UNITE N] LINK ...): everything below src/NAME becomes the static library atelier_NAME;
# UNITE: so many files are compiled as one.
function(atelier_library name)
  cmake_parse_arguments(ARG "" "UNITE" "LINK" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${name}/*.cpp)
  if(NOT sources)
    add_library(atelier_${name} INTERFACE)
    target_link_libraries(atelier_${name} INTERFACE ${ARG_LINK})
    return()
  endif()
  add_library(atelier_${name} STATIC ${sources})
  target_include_directories(atelier_${name} PUBLIC ${CMAKE_SOURCE_DIR}/src)
  target_link_libraries(atelier_${name} PUBLIC ${ARG_LINK} PRIVATE atelier_options)
  if(ARG_UNITE AND ATELIER_UNITY)
    set_target_properties(atelier_${name} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE ${ARG_UNITE})
  endif()
endfunction()

# atelier_embed(LIBRARY FOLDER NAME...): files of src/FOLDER become part of the library, for its asset().
function(atelier_embed library folder)
  set(out ${CMAKE_BINARY_DIR}/${library}_assets.cpp)
  set(files ${ARGN})
  list(TRANSFORM files PREPEND ${CMAKE_SOURCE_DIR}/src/${folder}/)
  add_custom_command(OUTPUT ${out} DEPENDS ${files} ${CMAKE_SOURCE_DIR}/cmake/embed.cmake VERBATIM
    COMMAND ${CMAKE_COMMAND} "-DOUT=${out}" "-DNAMES=${ARGN}" "-DFOLDER=${CMAKE_SOURCE_DIR}/src/${folder}"
            -P ${CMAKE_SOURCE_DIR}/cmake/embed.cmake)
  target_sources(${library} PRIVATE ${out})
endfunction()

# atelier_tests(NAME): tests/NAME/*.cpp become the GoogleTest program test_NAME, registered test by test.
# `test_programs` builds everything that ctest runs.
include(GoogleTest)
add_custom_target(test_programs)
function(atelier_tests name)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/${name}/*.cpp)
  if(NOT sources)
    return()
  endif()
  add_executable(test_${name} ${sources})
  target_include_directories(test_${name} PRIVATE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR})
  target_link_libraries(test_${name} PRIVATE atelier_${name} atelier_options GTest::gtest_main)
  if(ATELIER_UNITY)
    set_target_properties(test_${name} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 5)
  endif()
  # Under sanitizers half of the build is tests' own code, which costs least unoptimised and loses no check. Not where
  # tests compute: what they compare with would take minutes.
  if(ATELIER_SANITIZE AND NOT name MATCHES "^(kernels|ops)$")
    target_compile_options(test_${name} PRIVATE -O0)
  endif()
  # GoogleTest's macros are statements; GCC sees the `else` inside them.
  target_compile_options(test_${name} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-dangling-else>)
  target_compile_definitions(test_${name} PRIVATE ATELIER_TEST_DATA="${CMAKE_SOURCE_DIR}/tests/data")
  add_dependencies(test_programs test_${name})
  gtest_discover_tests(test_${name} DISCOVERY_MODE PRE_TEST PROPERTIES LABELS ${name} TIMEOUT 600)
endfunction()

# atelier_benchmarks(NAME): each bench/NAME/*.cpp becomes a program bench_<file> of its own.
function(atelier_benchmarks name)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/bench/${name}/*.cpp)
  foreach(source ${sources})
    get_filename_component(stem ${source} NAME_WE)
    add_executable(bench_${stem} ${source})
    target_include_directories(bench_${stem} PRIVATE ${CMAKE_SOURCE_DIR}/src)
    target_link_libraries(bench_${stem} PRIVATE atelier_${name} atelier_options)
  endforeach()
endfunction()
