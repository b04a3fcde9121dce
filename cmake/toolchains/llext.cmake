#[=======================================================================[.rst:
toolchains/llext.cmake
----------------------

The one toolchain file, for all targets and compilers.

.. cmake:variable:: LLEXT_TARGET

   The CPU, one of ``llext targets``. There is no default.

.. cmake:variable:: LLEXT_TOOLCHAIN

   ``gcc`` (a GNU cross compiler of a Zephyr SDK or in PATH), ``zig`` (Clang and lld of the Python package ziglang) or
   ``auto``, the default: gcc if it is installed, else zig.

Compilers and flags come from ``llext toolchain``, which is asked once for each build tree. The flags are the first
arguments of the compiler, so everything in the project is compiled with them, static libraries included, whatever
``CMAKE_<LANG>_FLAGS`` is set to: it follows them, as does what belongs to a build type or a target.

``CFLAGS``, ``CXXFLAGS``, ``ASMFLAGS`` and ``LDFLAGS`` of the environment have no effect: they are for the host, as conda,
nix and dpkg set them.

What is built does not depend on where it is built: names of sources, in ``__FILE__`` as well as in debug information,
are relative to the project, those of generated ones to the build folder.
#]=======================================================================]

include_guard()

# CMake would begin CMAKE_<LANG>_FLAGS and CMAKE_EXE_LINKER_FLAGS with them, behind our flags.
foreach(_llext_variable IN ITEMS CFLAGS CXXFLAGS ASMFLAGS LDFLAGS)
  unset(ENV{${_llext_variable}})
endforeach()

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
if(NOT EXISTS "${LLEXT_TOOLCHAIN_PROGRAM}" OR NOT DEFINED LLEXT_LINK_OPTIONS)
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

# Of two maps that fit, compilers take the last one. That without a slash is for the folder that a compiler runs in; it
# fits folders whose names only begin alike, too, so that those with sources get one of their own. The assembler of GCC
# goes by the other option.
file(REAL_PATH "${CMAKE_SOURCE_DIR}" _llext_source)
file(REAL_PATH "${CMAKE_BINARY_DIR}" _llext_binary)
set(_llext_folders "${_llext_source}/=" "${CMAKE_SOURCE_DIR}/=")
set(_llext_maps "${_llext_binary}=." "${CMAKE_BINARY_DIR}=." "${_llext_binary}/=" "${CMAKE_BINARY_DIR}/=")
string(FIND "${CMAKE_SOURCE_DIR}/" "${CMAKE_BINARY_DIR}/" _llext_inside)
if(_llext_inside EQUAL 0)
  list(PREPEND _llext_folders ${_llext_maps}) # the sources are in the build folder
else()
  list(APPEND _llext_folders ${_llext_maps})
endif()
string(REPLACE "[" "[[]" _llext_pattern "${CMAKE_BINARY_DIR}")
file(GLOB _llext_alike LIST_DIRECTORIES true "${_llext_pattern}?*")
foreach(_llext_folder IN LISTS _llext_alike)
  cmake_path(IS_PREFIX CMAKE_SOURCE_DIR "${_llext_folder}" _llext_inside)
  if(NOT _llext_inside OR NOT IS_DIRECTORY "${_llext_folder}")
    continue()
  endif()
  # Another build's folder has no sources, and may come while this one is configured: first empty, then with a log.
  string(REPLACE "[" "[[]" _llext_pattern "${_llext_folder}")
  file(GLOB _llext_found LIST_DIRECTORIES true RELATIVE "${_llext_folder}" "${_llext_pattern}/*")
  if(_llext_found AND NOT _llext_found MATCHES "(^|;)(CMakeFiles|CMakeCache\\.txt|llext\\.log)(;|$)")
    cmake_path(RELATIVE_PATH _llext_folder BASE_DIRECTORY "${CMAKE_SOURCE_DIR}")
    list(APPEND _llext_folders "${CMAKE_SOURCE_DIR}/${_llext_folder}/=${_llext_folder}/")
  endif()
endforeach()
list(APPEND _llext_folders ${LLEXT_TOOLCHAIN_MAPS})
list(REMOVE_DUPLICATES _llext_folders)
foreach(_llext_map IN LISTS _llext_folders)
  if(_llext_map MATCHES "=.*=")
    continue() # they would take the first equals sign for the end of the folder
  endif()
  add_compile_options("-ffile-prefix-map=${_llext_map}")
  if(LLEXT_TOOLCHAIN_FOUND STREQUAL "gcc")
    add_compile_options("-fdebug-prefix-map=${_llext_map}")
    add_link_options("-ffile-prefix-map=${_llext_map}" "-fdebug-prefix-map=${_llext_map}") # -flto compiles once more
  endif()
endforeach()

if(LLEXT_TOOLCHAIN_FOUND STREQUAL "zig")
  add_compile_options(${LLEXT_TOOLCHAIN_FOLDERS})
  set(CMAKE_USER_MAKE_RULES_OVERRIDE "${CMAKE_CURRENT_LIST_DIR}/zig-rules.cmake")
endif()

# Both linkers know these; CMake knows them of neither on a system without a name.
set(CMAKE_LINK_LIBRARY_USING_WHOLE_ARCHIVE_SUPPORTED TRUE)
set(CMAKE_LINK_LIBRARY_USING_WHOLE_ARCHIVE "LINKER:--whole-archive" "<LINK_ITEM>" "LINKER:--no-whole-archive")
set(CMAKE_LINK_GROUP_USING_RESCAN_SUPPORTED TRUE)
set(CMAKE_LINK_GROUP_USING_RESCAN "LINKER:--start-group" "LINKER:--end-group")
