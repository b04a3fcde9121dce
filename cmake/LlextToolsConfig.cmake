#[=======================================================================[.rst:
LlextTools
----------

Build, check and test loadable extensions (LLEXT). ::

  cmake_minimum_required(VERSION 3.25)
  project(my_extensions LANGUAGES C)
  find_package(LlextTools REQUIRED)

  llext_add_extension(hello SOURCES hello.c)
  llext_add_test(hello_says_so EXTENSION hello CALL "hello()" EXPECT_OUTPUT "hello")

Configure with the toolchain file of this package and name a target::

  cmake -S . -B build -DLlextTools_DIR="$(llext cmake-dir)" \
    -DCMAKE_TOOLCHAIN_FILE="$(llext cmake-dir)/toolchains/llext.cmake" -DLLEXT_TARGET=cortex-m4

.. cmake:variable:: LLEXT_COMMAND

   How the command line is called: a list, the program and its first arguments. Found by itself; set it to use another.
#]=======================================================================]

if(CMAKE_VERSION VERSION_LESS 3.25)
  set(LlextTools_FOUND FALSE)
  set(LlextTools_NOT_FOUND_MESSAGE "LlextTools needs CMake 3.25 or newer, this is ${CMAKE_VERSION}")
  return()
endif()

# The commands go by the rules of 3.25 in a project that asks for an older CMake, too; its own rules stay.
if(CMAKE_MINIMUM_REQUIRED_VERSION VERSION_LESS 3.25)
  cmake_policy(VERSION 3.25)
endif()

include("${CMAKE_CURRENT_LIST_DIR}/LlextCommand.cmake")
if(NOT LLEXT_COMMAND)
  set(LlextTools_FOUND FALSE)
  set(LlextTools_NOT_FOUND_MESSAGE "${LLEXT_COMMAND_MISSING}")
  return()
endif()

include("${CMAKE_CURRENT_LIST_DIR}/LlextArguments.cmake")
include("${CMAKE_CURRENT_LIST_DIR}/LlextProfile.cmake")
include("${CMAKE_CURRENT_LIST_DIR}/LlextDefaults.cmake")
include("${CMAKE_CURRENT_LIST_DIR}/LlextEdk.cmake")
include("${CMAKE_CURRENT_LIST_DIR}/LlextExports.cmake")
include("${CMAKE_CURRENT_LIST_DIR}/LlextLink.cmake")
include("${CMAKE_CURRENT_LIST_DIR}/LlextExtension.cmake")
include("${CMAKE_CURRENT_LIST_DIR}/LlextTest.cmake")
include("${CMAKE_CURRENT_LIST_DIR}/LlextInstall.cmake")
include("${CMAKE_CURRENT_LIST_DIR}/LlextMatrix.cmake")
list(APPEND CMAKE_MODULE_PATH "${CMAKE_CURRENT_LIST_DIR}") # include(LlextZephyr)

# For a base image, or a library that it shares with extensions: <llext/symbol.h>. Extensions have it anyway.
if(NOT TARGET LlextTools::headers)
  cmake_path(SET _llext_headers NORMALIZE "${CMAKE_CURRENT_LIST_DIR}/../../../include") # an installed wheel
  if(NOT EXISTS "${_llext_headers}/llext")
    cmake_path(SET _llext_headers NORMALIZE "${CMAKE_CURRENT_LIST_DIR}/../include") # a checkout
  endif()
  add_library(LlextTools::headers INTERFACE IMPORTED)
  set_target_properties(LlextTools::headers PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${_llext_headers}")
endif()
