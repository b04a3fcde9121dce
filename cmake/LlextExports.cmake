#[=======================================================================[.rst:
.. cmake:command:: llext_add_exports

   Name what a firmware exports to its extensions. ::

     llext_add_exports(<name>
       FIRMWARE <elf> | TABLE <file>)

   ``FIRMWARE`` is the firmware's ELF file, or the CMake target that builds it. ``TABLE`` is a list of names and
   addresses: TOML, JSON, CSV or a linker script, see ``llext exports``. One in place of the other is refused.

   ``<name>`` is for the argument ``EXPORTS`` of :cmake:command:`llext_add_extension` and
   :cmake:command:`llext_add_test`. What uses it is built again when the file changes.
#]=======================================================================]
function(llext_add_exports name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "FIRMWARE;TABLE" "")
  if(arg_UNPARSED_ARGUMENTS AND NOT arg_FIRMWARE AND NOT arg_TABLE)
    list(GET arg_UNPARSED_ARGUMENTS 0 file)
    _llext_exports_keyword(keyword "${file}")
    if(keyword)
      message(FATAL_ERROR "llext_add_exports(${name}): unknown argument '${file}'; did you mean ${keyword} ${file}?")
    endif()
  endif()
  _llext_check_arguments("llext_add_exports(${name})" FIRMWARE TABLE)
  if(TARGET "${name}")
    message(FATAL_ERROR "llext_add_exports(${name}): there is already a target of this name")
  endif()
  if(arg_FIRMWARE AND arg_TABLE)
    message(FATAL_ERROR "llext_add_exports(${name}): give FIRMWARE or TABLE, not both")
  elseif(NOT arg_FIRMWARE AND NOT arg_TABLE)
    message(FATAL_ERROR "llext_add_exports(${name}): FIRMWARE or TABLE is missing")
  endif()

  if(TARGET "${arg_FIRMWARE}")
    set(file "$<TARGET_FILE:${arg_FIRMWARE}>")
    set(depends "${arg_FIRMWARE}")
  else()
    set(file "${arg_FIRMWARE}${arg_TABLE}") # one of them is empty
    cmake_path(ABSOLUTE_PATH file NORMALIZE)
    set(depends "")
    get_source_file_property(generated "${file}" GENERATED)
    if(NOT generated AND (NOT EXISTS "${file}" OR IS_DIRECTORY "${file}"))
      if(arg_TABLE)
        message(FATAL_ERROR "llext_add_exports(${name}): TABLE '${arg_TABLE}': there is no such file")
      endif()
      message(FATAL_ERROR "llext_add_exports(${name}): FIRMWARE '${arg_FIRMWARE}' is neither a target nor a file")
    endif()
    _llext_exports_keyword(keyword "${file}")
    if(arg_FIRMWARE AND keyword STREQUAL "TABLE")
      message(FATAL_ERROR "llext_add_exports(${name}): FIRMWARE '${arg_FIRMWARE}' is not an ELF file; did you mean TABLE ${arg_FIRMWARE}?")
    elseif(arg_TABLE AND keyword STREQUAL "FIRMWARE")
      message(FATAL_ERROR "llext_add_exports(${name}): TABLE '${arg_TABLE}' is an ELF file; did you mean FIRMWARE ${arg_TABLE}?")
    endif()
  endif()

  add_library(${name} INTERFACE)
  set_target_properties(${name} PROPERTIES LLEXT_EXPORTS_FILE "${file}" LLEXT_EXPORTS_DEPENDS "${depends}")
endfunction()

# _llext_exports_keyword(<variable> <file>): FIRMWARE for a target and for an ELF file, TABLE for another file, "" for none.
function(_llext_exports_keyword out file)
  set(keyword "")
  if(TARGET "${file}")
    set(keyword FIRMWARE)
  else()
    cmake_path(ABSOLUTE_PATH file NORMALIZE)
    if(EXISTS "${file}" AND NOT IS_DIRECTORY "${file}")
      file(READ "${file}" magic LIMIT 4 HEX)
      set(keyword TABLE)
      if(magic STREQUAL "7f454c46")
        set(keyword FIRMWARE)
      endif()
    endif()
  endif()
  set(${out} "${keyword}" PARENT_SCOPE)
endfunction()

# _llext_exports_arguments(<who> <options variable> <depends variable> <targets variable> <name>...): the command-line
# options, the files and the targets behind names made by llext_add_exports(), or without any those of LLEXT_FIRMWARE.
# Low level; ${keywords} are those of the caller.
function(_llext_exports_arguments who out_options out_files out_targets)
  set(options "")
  set(files "")
  set(targets "")
  if("${ARGN}" STREQUAL "")
    _llext_firmware("${who}" options files)
  endif()
  foreach(exports IN LISTS ARGN)
    set(file "")
    if(TARGET "${exports}")
      get_target_property(file "${exports}" LLEXT_EXPORTS_FILE)
    endif()
    if(NOT file)
      _llext_check_word("${who}" "${exports}" ${keywords})
      message(FATAL_ERROR "${who}: EXPORTS '${exports}' was not made by llext_add_exports()")
    endif()
    get_target_property(target "${exports}" LLEXT_EXPORTS_DEPENDS)
    list(APPEND options --exports "${file}")
    list(APPEND files "${file}")
    list(APPEND targets ${target})
  endforeach()
  set(${out_options} "${options}" PARENT_SCOPE)
  set(${out_files} "${files}" PARENT_SCOPE)
  set(${out_targets} "${targets}" PARENT_SCOPE)
endfunction()
