# Cross build for 32-bit Windows: see mingw.cmake.
set(CMAKE_SYSTEM_PROCESSOR i686)
include(${CMAKE_CURRENT_LIST_DIR}/mingw.cmake)
# - SSE2 is assumed: Windows 7 itself requires it since its updates of 2018. Numbers with fractions are then computed as
#   on 64 bits.
# - Windows keeps the stack aligned to 4 bytes only and calls our functions so (threads, handlers, window procedures);
#   code with SSE wants 16, and each function sees to it.
# - time_t has 64 bits, as on 64-bit Windows; without this it ends in 2038.
# packaging/deps/recipes.sh builds the libraries with the same.
set(CMAKE_C_FLAGS_INIT "-march=pentium4 -mfpmath=sse -mstackrealign -D__MINGW_USE_VC2005_COMPAT")
