#[=======================================================================[.rst:
toolchains/llext.cmake
----------------------

The one toolchain file, for all targets and compilers.

.. cmake:variable:: LLEXT_TARGET

   The CPU, one of ``llext targets``. There is no default.

.. cmake:variable:: LLEXT_TOOLCHAIN

   ``gcc`` (a GNU cross compiler in PATH), ``zig`` (Clang and lld of the Python package ziglang) or ``auto``, the
   default: gcc if it is installed, else zig.

Compilers and flags come from ``llext toolchain``, which is asked once for each build tree. The flags are the initial
value of ``CMAKE_<LANG>_FLAGS``, so everything in the project is compiled with them, static libraries included.
#]=======================================================================]

include_guard()

set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY) # a program could not be linked: there is no C library
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES LLEXT_TARGET LLEXT_TOOLCHAIN LLEXT_COMMAND LLEXT_TOOLCHAIN_ANSWER)

if(NOT LLEXT_TOOLCHAIN)
  set(LLEXT_TOOLCHAIN auto)
endif()
if(NOT LLEXT_TARGET)
  message(FATAL_ERROR "toolchains/llext.cmake: LLEXT_TARGET is not set; give -DLLEXT_TARGET=<target>, for example cortex-m4 ('llext targets' lists them)")
endif()
set(LLEXT_TARGET "${LLEXT_TARGET}" CACHE STRING "the CPU that extensions are built for")
set(LLEXT_TOOLCHAIN "${LLEXT_TOOLCHAIN}" CACHE STRING "gcc, zig or auto")

# try_compile() reads this file again in a folder of its own; it is handed the answer of the first time.
if(NOT LLEXT_TOOLCHAIN_ANSWER)
  set(LLEXT_TOOLCHAIN_ANSWER "${CMAKE_BINARY_DIR}/CMakeFiles/llext/${LLEXT_TARGET}-${LLEXT_TOOLCHAIN}.cmake")
endif()
set(LLEXT_TOOLCHAIN_PROGRAM "")
if(EXISTS "${LLEXT_TOOLCHAIN_ANSWER}"
   AND NOT "${CMAKE_CURRENT_LIST_DIR}/../LlextToolsConfigVersion.cmake" IS_NEWER_THAN "${LLEXT_TOOLCHAIN_ANSWER}")
  include("${LLEXT_TOOLCHAIN_ANSWER}")
endif()
if(NOT EXISTS "${LLEXT_TOOLCHAIN_PROGRAM}")
  include("${CMAKE_CURRENT_LIST_DIR}/../LlextCommand.cmake")
  if(NOT LLEXT_COMMAND)
    message(FATAL_ERROR "toolchains/llext.cmake: ${LLEXT_COMMAND_MISSING}")
  endif()
  execute_process(
    COMMAND ${LLEXT_COMMAND} toolchain --target "${LLEXT_TARGET}" --toolchain "${LLEXT_TOOLCHAIN}" --format cmake
    OUTPUT_VARIABLE _llext_answer
    ERROR_VARIABLE _llext_error
    RESULT_VARIABLE _llext_result)
  if(NOT _llext_result EQUAL 0)
    message(FATAL_ERROR "toolchains/llext.cmake: no toolchain (LLEXT_TARGET=${LLEXT_TARGET}, LLEXT_TOOLCHAIN=${LLEXT_TOOLCHAIN})\n${_llext_error}")
  endif()
  file(WRITE "${LLEXT_TOOLCHAIN_ANSWER}" "${_llext_answer}")
  include("${LLEXT_TOOLCHAIN_ANSWER}")
endif()

if(LLEXT_TOOLCHAIN_FOUND STREQUAL "zig")
  set(CMAKE_USER_MAKE_RULES_OVERRIDE "${CMAKE_CURRENT_LIST_DIR}/zig-rules.cmake")
endif()
