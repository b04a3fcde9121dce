#[=======================================================================[.rst:
.. cmake:command:: llext_install_matrix

   Build a project for all its targets, and install what has passed: for a Python wheel, which is made by one CMake
   project without a compiler of its own. ::

     llext_install_matrix(
       PROJECT <dir>                  # the folder with the extensions' CMakeLists.txt
       DESTINATION <dir>              # below the prefix; a folder for each job goes there
       [TARGETS <target>...]          # of `llext targets`; default: what its settings say, else all
       [TOOLCHAINS <toolchain>...]    # gcc, zig or auto; default: what its settings say, else auto
       [COMPONENT <name>]             # of extensions and manifests; default: llext
       [DEBUG_COMPONENT <name>])      # of the files that debuggers read; default: <COMPONENT>-debug

   ``llext build`` runs as a step of the build, with the settings of that project (``llext.toml``); an extension that does
   not build, that the loader would refuse, or whose test fails, fails this build. It works in folders below the binary
   directory: the project's own ``build`` and ``dist`` stay as they are. Installed are
   ``<DESTINATION>/<target>-<toolchain>/<name>.llext`` and the manifest, and in the other component ``<name>.debug.elf``. ::

     cmake_minimum_required(VERSION 3.25)
     project(blink_wheel LANGUAGES NONE)
     find_package(LlextTools REQUIRED)
     llext_install_matrix(PROJECT .. DESTINATION llext)

   ``llext new`` makes such a project.
#]=======================================================================]

function(llext_install_matrix)
  include("${CMAKE_CURRENT_FUNCTION_LIST_DIR}/LlextCommand.cmake")
  set(who "llext_install_matrix")
  set(one_value PROJECT DESTINATION COMPONENT DEBUG_COMPONENT)
  set(several TARGETS TOOLCHAINS)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "${one_value}" "${several}")
  _llext_check_arguments("${who}" ${one_value} ${several})
  foreach(needed IN ITEMS PROJECT DESTINATION)
    if(NOT arg_${needed})
      message(FATAL_ERROR "${who}: ${needed} is missing")
    endif()
  endforeach()
  set(project "${arg_PROJECT}")
  cmake_path(ABSOLUTE_PATH project NORMALIZE)
  string(REGEX REPLACE "(.)/$" "\\1" project "${project}")
  set(who "llext_install_matrix(${arg_PROJECT})")
  if(NOT EXISTS "${project}/CMakeLists.txt")
    message(FATAL_ERROR "${who}: PROJECT '${project}' has no CMakeLists.txt")
  elseif(project STREQUAL CMAKE_SOURCE_DIR)
    message(FATAL_ERROR "${who}: PROJECT is this very project, which would build itself for ever; call this from a CMakeLists.txt in another folder")
  endif()
  _llext_components()
  get_property(number GLOBAL PROPERTY LLEXT_MATRICES)
  math(EXPR number "0${number} + 1")
  set_property(GLOBAL PROPERTY LLEXT_MATRICES "${number}")

  set(folder "${CMAKE_CURRENT_BINARY_DIR}/llext-matrix-${number}")
  set(options "")
  foreach(target IN LISTS arg_TARGETS)
    list(APPEND options --target "${target}")
  endforeach()
  foreach(toolchain IN LISTS arg_TOOLCHAINS)
    list(APPEND options --toolchain "${toolchain}")
  endforeach()
  # What is installed is copied anew by each build: a job that is gone leaves nothing behind.
  add_custom_target(llext_matrix_${number} ALL
    COMMAND "${CMAKE_COMMAND}" -E rm -rf "${folder}/dist"
    COMMAND ${LLEXT_COMMAND} build "${project}" --build-dir "${folder}/build" --output "${folder}/dist" ${options}
    WORKING_DIRECTORY "${project}"
    COMMENT "Building ${project} for all targets"
    USES_TERMINAL
    VERBATIM)
  install(DIRECTORY "${folder}/dist/" DESTINATION "${arg_DESTINATION}" COMPONENT "${arg_COMPONENT}"
    FILES_MATCHING PATTERN "*.llext" PATTERN "*.json")
  install(DIRECTORY "${folder}/dist/" DESTINATION "${arg_DESTINATION}" COMPONENT "${arg_DEBUG_COMPONENT}"
    FILES_MATCHING PATTERN "*.debug.elf")
endfunction()
