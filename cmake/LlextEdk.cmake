#[=======================================================================[.rst:
.. cmake:command:: llext_import_edk

   Compile extensions with the headers and flags of a Zephyr firmware. ::

     llext_import_edk(<path>
       [STRICT])                # a flag that the compiler does not know is an error

   ``<path>`` is the EDK (Extension Development Kit) that ``west build -t llext-edk`` has made: the archive (``.tar.xz``,
   ``.tar.Z``, ``.zip``), or the folder that it was unpacked to. An archive is unpacked once, in the user's cache.

   What is made afterwards in this folder of the project and below is compiled with it, as with
   ``add_compile_options()``: extensions, and the libraries that are linked into them. The headers are searched behind
   those of the target itself, as system headers. Of the flags, those about the CPU have to fit :cmake:variable:`LLEXT_TARGET`,
   and those that would make code that the loader refuses stay out, as do optimization, debug information and what is for
   a linker; ``llext edk`` lists them with the reasons. What the compiler does not know is named in a warning. Options of
   the target itself come behind those of the EDK. The flag for the version of C gives way to the target's ``C_STANDARD``.

   The project is configured again when the archive, or the folder's file of flags, changes. Afterwards
   ``LLEXT_EDK_FOLDER`` is the folder of the EDK, and ``LLEXT_EDK_BOARD`` the board that it is for, where it says so.
#]=======================================================================]

define_property(DIRECTORY PROPERTY LLEXT_EDK INHERITED BRIEF_DOCS "the EDK that this folder imports")

function(llext_import_edk path)
  set(who "llext_import_edk(${path})")
  cmake_parse_arguments(PARSE_ARGV 1 arg "STRICT" "" "")
  _llext_check_arguments("${who}" STRICT)
  if(path STREQUAL "" OR path STREQUAL "STRICT")
    message(FATAL_ERROR "${who}: the path of the EDK is missing")
  endif()
  if(NOT LLEXT_TOOLCHAIN_FOUND)
    message(FATAL_ERROR "${who}: extensions are cross-compiled; configure an empty build folder with -DCMAKE_TOOLCHAIN_FILE=${CMAKE_CURRENT_FUNCTION_LIST_DIR}/toolchains/llext.cmake -DLLEXT_TARGET=<target>")
  endif()
  set(edk "${path}")
  cmake_path(ABSOLUTE_PATH edk NORMALIZE)
  if(NOT EXISTS "${edk}")
    message(FATAL_ERROR "${who}: there is no such file or folder")
  elseif(edk MATCHES ";")
    message(FATAL_ERROR "${who}: a path with a semicolon cannot be among compiler flags; move the EDK")
  endif()
  get_property(other DIRECTORY PROPERTY LLEXT_EDK)
  if(other)
    message(FATAL_ERROR "${who}: this folder, or one above it, already imports '${other}'; one firmware, one EDK")
  endif()
  set(options "")
  if(arg_STRICT)
    list(APPEND options --strict)
  endif()
  execute_process(
    COMMAND ${LLEXT_COMMAND} edk "${edk}" --target "${LLEXT_TARGET}" --toolchain "${LLEXT_TOOLCHAIN_FOUND}" --format cmake
            ${options}
    OUTPUT_VARIABLE answer
    ERROR_VARIABLE error
    RESULT_VARIABLE result)
  string(REGEX REPLACE "\n+$" "" error "${error}")
  string(REPLACE "\n" "\n  " lines "  ${error}") # message() fills lines that are not indented
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "${who}: this EDK cannot be used\n${lines}")
  elseif(NOT error STREQUAL "")
    message(WARNING "${who}:\n${lines}")
  endif()
  cmake_language(EVAL CODE "${answer}")

  set(languages "$<COMPILE_LANGUAGE:C,CXX,ASM>")
  set(words "")
  foreach(word IN LISTS LLEXT_EDK_OPTIONS)
    list(APPEND words "$<${languages}:${word}>")
  endforeach()
  foreach(language IN ITEMS C CXX)
    foreach(word IN LISTS LLEXT_EDK_OPTIONS_${language})
      set(condition "$<COMPILE_LANGUAGE:${language}>")
      if(word MATCHES "^-std=")
        set(condition "$<AND:${condition},$<STREQUAL:$<TARGET_PROPERTY:${language}_STANDARD>,>>")
      endif()
      list(APPEND words "$<${condition}:${word}>")
    endforeach()
  endforeach()
  # Zephyr's headers leave their C out of assembly where this is defined, as its own build does.
  list(APPEND words "$<$<COMPILE_LANGUAGE:ASM>:-D_ASMLANGUAGE>")
  set_property(DIRECTORY APPEND PROPERTY COMPILE_OPTIONS "${words}")
  set_property(DIRECTORY APPEND PROPERTY COMPILE_DEFINITIONS "${LLEXT_EDK_DEFINITIONS}")
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${LLEXT_EDK_DEPENDS}")
  set_property(DIRECTORY PROPERTY LLEXT_EDK "${path}")
  if(NOT LLEXT_EDK_BOARD STREQUAL "")
    message(STATUS "Extensions are for ${LLEXT_EDK_BOARD}, by the EDK in ${LLEXT_EDK_FOLDER}")
  endif()
  set(LLEXT_EDK_FOLDER "${LLEXT_EDK_FOLDER}" PARENT_SCOPE)
  set(LLEXT_EDK_BOARD "${LLEXT_EDK_BOARD}" PARENT_SCOPE)
endfunction()
