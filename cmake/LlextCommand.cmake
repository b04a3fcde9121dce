# Finds the command line: LLEXT_COMMAND, a list. The toolchain file needs it before any package is looked for.
#
# First the script that was installed with this very package: .../lib/python3.11/site-packages/llext_tools/share/cmake/
# LlextTools lies six folders below the environment whose bin (on Windows Scripts, five below) has it. Then PATH.

if(NOT LLEXT_COMMAND)
  find_program(LLEXT_EXECUTABLE llext
    PATHS "${CMAKE_CURRENT_LIST_DIR}/../../../../../../../bin"
          "${CMAKE_CURRENT_LIST_DIR}/../../../../../../Scripts"
    NO_DEFAULT_PATH
    DOC "the command line of llext-tools")
  find_program(LLEXT_EXECUTABLE llext NO_CMAKE_FIND_ROOT_PATH)
  mark_as_advanced(LLEXT_EXECUTABLE)
  if(LLEXT_EXECUTABLE)
    set(LLEXT_COMMAND "${LLEXT_EXECUTABLE}")
  else()
    set(LLEXT_COMMAND_MISSING
      "the program 'llext' is not in PATH: activate the Python environment that llext-tools is installed in, or set -DLLEXT_COMMAND=<path of llext>")
  endif()
endif()
