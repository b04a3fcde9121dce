#[=======================================================================[.rst:
.. cmake:variable:: LLEXT_FIRMWARE

   Firmware that extensions are for: ELF files or export tables, a list. It is what :cmake:command:`llext_add_extension` and
   :cmake:command:`llext_add_test` take when they are called without ``EXPORTS``. Paths start at the project's folder. Empty,
   as it is at first, imports go unchecked, and tests run on the built-in host.
#]=======================================================================]

#[=======================================================================[.rst:
.. cmake:variable:: LLEXT_HEAP

   The heap of extensions, for the check of each: a size or ``START+SIZE``, see ``llext check --heap``.
#]=======================================================================]

#[=======================================================================[.rst:
.. cmake:variable:: LLEXT_CHECK_OPTIONS

   More options for the check of each extension, a list: ``--ignore=export``, ``--select=region``, ``--werror``,
   ``--config=prj.conf``. Paths in it are best absolute.
#]=======================================================================]

#[=======================================================================[.rst:
.. cmake:variable:: LLEXT_SETTINGS

   The settings file of each check, instead of the nearest ``llext.toml``; ``OFF`` for none at all. A path starts at the
   project's folder.
#]=======================================================================]

foreach(_llext_default IN ITEMS
    "LLEXT_FIRMWARE|what extensions are for: ELF files of a firmware or export tables"
    "LLEXT_HEAP|the heap of extensions, such as 8K, for their check"
    "LLEXT_CHECK_OPTIONS|more options for the check of each extension, such as --ignore=export"
    "LLEXT_SETTINGS|the settings file of the check, instead of the nearest llext.toml; OFF: none")
  string(REGEX MATCH "^([A-Z_]+)[|](.*)" _llext_default "${_llext_default}")
  if(NOT DEFINED ${CMAKE_MATCH_1}) # a project with old policies would lose a variable of its own
    set(${CMAKE_MATCH_1} "" CACHE STRING "${CMAKE_MATCH_2}")
  endif()
endforeach()

# _llext_firmware(<who> <options variable> <depends variable>): LLEXT_FIRMWARE, for want of EXPORTS. Low level.
function(_llext_firmware who out_options out_files)
  set(options "")
  set(files "")
  foreach(file IN LISTS LLEXT_FIRMWARE)
    set(path "${file}")
    cmake_path(ABSOLUTE_PATH path BASE_DIRECTORY "${CMAKE_SOURCE_DIR}" NORMALIZE)
    if(NOT EXISTS "${path}" OR IS_DIRECTORY "${path}")
      message(FATAL_ERROR "${who}: LLEXT_FIRMWARE '${file}': there is no such file")
    endif()
    list(APPEND options --exports "${path}")
    list(APPEND files "${path}")
  endforeach()
  set(${out_options} "${options}" PARENT_SCOPE)
  set(${out_files} "${files}" PARENT_SCOPE)
endfunction()

# _llext_check_options(<who> <variable>): LLEXT_HEAP and LLEXT_CHECK_OPTIONS, for `llext finish`. Low level.
function(_llext_check_options who out_options)
  set(options ${LLEXT_CHECK_OPTIONS})
  foreach(option IN LISTS options)
    if(NOT option MATCHES "^--((heap|config|ignore|select)=.+|werror(=.+)?)$")
      message(FATAL_ERROR "${who}: LLEXT_CHECK_OPTIONS '${option}' is none of --heap=, --config=, --ignore=, --select=, --werror")
    endif()
  endforeach()
  if(NOT "${LLEXT_HEAP}" STREQUAL "")
    list(APPEND options "--heap=${LLEXT_HEAP}")
  endif()
  set(${out_options} "${options}" PARENT_SCOPE)
endfunction()
