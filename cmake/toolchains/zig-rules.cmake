# How the sub-commands of zig link and archive. CMake reads this after its own rules for Clang, for each language:
# they would link through the compiler, and `zig clang` would look for a linker that is not there.

foreach(_llext_language IN ITEMS C CXX ASM)
  set(CMAKE_${_llext_language}_LINKER_WRAPPER_FLAG "") # LINKER:<option> goes to the linker as it is
  set(CMAKE_${_llext_language}_LINKER_WRAPPER_FLAG_SEP "")
  set(CMAKE_${_llext_language}_LINK_EXECUTABLE
    "<CMAKE_LINKER> ld.lld <LINK_FLAGS> <OBJECTS> -o <TARGET> <LINK_LIBRARIES>")
  set(CMAKE_${_llext_language}_ARCHIVE_CREATE "<CMAKE_AR> ar qc <TARGET> <LINK_FLAGS> <OBJECTS>")
  set(CMAKE_${_llext_language}_ARCHIVE_APPEND "<CMAKE_AR> ar q <TARGET> <LINK_FLAGS> <OBJECTS>")
  foreach(_llext_rule IN ITEMS CREATE APPEND) # with interprocedural optimization CMake would take LLVM's own, if there is one
    set(CMAKE_${_llext_language}_ARCHIVE_${_llext_rule}_IPO "${CMAKE_${_llext_language}_ARCHIVE_${_llext_rule}}")
  endforeach()
  set(CMAKE_${_llext_language}_ARCHIVE_FINISH "<CMAKE_RANLIB> ranlib <TARGET>")
  set(CMAKE_${_llext_language}_ARCHIVE_FINISH_IPO "${CMAKE_${_llext_language}_ARCHIVE_FINISH}")
endforeach()
