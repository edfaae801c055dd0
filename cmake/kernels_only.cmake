# The folders from base to ops with their tests, for a machine whose libraries are not here: of fmt, Highway and
# tl::expected the headers do, and GoogleTest comes as source with its Debian package.
find_package(Threads REQUIRED)
# After the compiler's own folders, so that only what these do not have is taken from this machine's.
add_compile_options("SHELL:-idirafter /usr/include")
add_library(fmt_headers INTERFACE)
target_compile_definitions(fmt_headers INTERFACE FMT_HEADER_ONLY=1)

atelier_library(base    LINK Threads::Threads fmt_headers)
target_compile_definitions(atelier_base PRIVATE ATELIER_NO_HWLOC)  # a library, not only headers
atelier_library(formats LINK atelier_base)
atelier_library(kernels LINK atelier_formats)
atelier_library(ops     LINK atelier_kernels)

set(BUILD_GMOCK OFF CACHE INTERNAL "")
set(INSTALL_GTEST OFF CACHE INTERNAL "")
add_subdirectory(/usr/src/googletest googletest EXCLUDE_FROM_ALL)

enable_testing()
foreach(folder base formats kernels ops)
  atelier_tests(${folder})
endforeach()
