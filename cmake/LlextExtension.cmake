#[=======================================================================[.rst:
.. cmake:command:: llext_add_extension

   Build one loadable extension. ::

     llext_add_extension(<name>
       SOURCES <file>...        # C, C++ or assembly, at least one
       [EXPORTS <exports>...]   # from llext_add_exports(): every undefined symbol must be among them; default: LLEXT_FIRMWARE
       [EXTENSIONS <name>...]   # loaded before it: what these extensions export counts as there, too
       [PROFILE <profile>]      # the loader that it is for, one of `llext profiles`; default: LLEXT_PROFILE
       [OUTPUT <file>]          # default: <name>.llext in the current binary directory
       [COMPILER_RUNTIME]       # add the compiler's helper functions that it needs (64-bit division, soft float, ...)
       [KEEP_SYMBOLS])          # keep local symbols; by default only those stay that a relocation uses

   Sources are compiled, partially linked so that each memory region of the loader gets one section, stripped and
   checked. A check that fails leaves no file behind; what it refused lies in ``CMakeFiles/<name>.dir/llext``.
   Beside the extension lies ``<name>.debug.elf``, the same with its debugging sections, which debuggers find by a link and
   know by a build-id, and its manifest, JSON of the extension's name: what it is for, how it was made, what it takes its
   imports for and what it was checked against, so that the shipped pair can be checked against another firmware.

   ``<name>`` is an ordinary target: ``target_compile_options(<name> PRIVATE ...)``, ``target_link_libraries()`` with
   static libraries, generator expressions and the like work as with any other. ``LL_EXTENSION_BUILD`` is defined, and
   ``<llext/symbol.h>`` and ``<llext/host.h>`` are found. Properties such as ``OUTPUT_NAME`` and
   ``RUNTIME_OUTPUT_DIRECTORY`` are refused: names and folders are for ``OUTPUT``.

   What ``EXTENSIONS`` names was made by ``llext_add_extension()`` before, or found in a package of
   :cmake:command:`llext_install`. It is built first, and the extension is linked and checked again when one of them
   changes.

   The check goes by the ``llext.toml`` (or ``[tool.llext]`` of ``pyproject.toml``) that is nearest above the
   ``CMakeLists.txt``, be it outside of the project, as ``llext check`` and ``llext build`` do, or by
   :cmake:variable:`LLEXT_SETTINGS`; what is given here goes before what it says. Each build looks whether there is another
   one now.

   The target ``llext_extensions`` builds all extensions of the project, those outside of the target ``all``, too: by
   ``EXCLUDE_FROM_ALL``. ``llext build`` does so.

   Afterwards the target property ``LLEXT_OUTPUT`` is the full path of the extension, ``LLEXT_MANIFEST`` that of its
   manifest and ``LLEXT_DEBUG_FILE`` that of the file for debuggers. ``LLEXT_TARGET``, ``LLEXT_TOOLCHAIN`` and
   ``LLEXT_PROFILE`` say what it was built for.
#]=======================================================================]

function(llext_add_extension name)
  set(here "${CMAKE_CURRENT_FUNCTION_LIST_DIR}")
  include("${here}/LlextCommand.cmake")
  set(who "llext_add_extension(${name})")
  cmake_parse_arguments(PARSE_ARGV 1 arg "COMPILER_RUNTIME;KEEP_SYMBOLS" "PROFILE;OUTPUT" "SOURCES;EXPORTS;EXTENSIONS")
  set(keywords SOURCES EXPORTS EXTENSIONS PROFILE OUTPUT COMPILER_RUNTIME KEEP_SYMBOLS)
  _llext_check_arguments("${who}" ${keywords})
  if(NOT arg_SOURCES)
    message(FATAL_ERROR "${who}: SOURCES is missing")
  endif()
  if(TARGET "${name}")
    message(FATAL_ERROR "${who}: there is already a target of this name")
  endif()
  if(NOT LLEXT_TOOLCHAIN_FOUND)
    message(FATAL_ERROR "${who}: extensions are cross-compiled; configure an empty build folder with -DCMAKE_TOOLCHAIN_FILE=${here}/toolchains/llext.cmake -DLLEXT_TARGET=<target>")
  endif()
  _llext_check_source_words("${who}" ${arg_SOURCES})
  _llext_languages("${who}" languages ${arg_SOURCES})
  _llext_exports_arguments("${who}" exports_options exports_files exports_targets ${arg_EXPORTS})
  _llext_check_options("${who}" check_options)
  _llext_extensions("${who}" extensions_files ${arg_EXTENSIONS})
  set(extensions_options "${extensions_files}")
  list(TRANSFORM extensions_options PREPEND "--extension=")
  # When its debug file is in its place, an extension has passed its check. Make knows a rule for that file, and not for
  # the .llext file.
  set(extensions_built "")
  foreach(extension file IN ZIP_LISTS arg_EXTENSIONS extensions_files)
    get_target_property(imported "${extension}" IMPORTED)
    if(NOT imported)
      set(file "$<TARGET_FILE:${extension}>")
    endif()
    list(APPEND extensions_built "${file}")
  endforeach()
  _llext_chosen_profile()
  _llext_settings("${who}" settings_options settings_files)

  get_property(multi_config GLOBAL PROPERTY GENERATOR_IS_MULTI_CONFIG)
  if(NOT arg_OUTPUT)
    set(arg_OUTPUT "${name}.llext")
    if(multi_config)
      set(arg_OUTPUT "$<CONFIG>/${name}.llext")
    endif()
  elseif(multi_config AND NOT arg_OUTPUT MATCHES "\\$<CONFIG>.*/")
    message(FATAL_ERROR "${who}: OUTPUT '${arg_OUTPUT}' is one file for all configurations; put $<CONFIG> into its folder")
  endif()
  cmake_path(ABSOLUTE_PATH arg_OUTPUT BASE_DIRECTORY "${CMAKE_CURRENT_BINARY_DIR}" NORMALIZE OUTPUT_VARIABLE output)
  get_property(outputs GLOBAL PROPERTY LLEXT_OUTPUTS)
  if(output IN_LIST outputs)
    message(FATAL_ERROR "${who}: OUTPUT '${arg_OUTPUT}' is the output of another extension")
  endif()
  set_property(GLOBAL APPEND PROPERTY LLEXT_OUTPUTS "${output}")
  cmake_path(GET output PARENT_PATH folder)
  cmake_path(GET output FILENAME filename)
  cmake_path(REPLACE_EXTENSION output LAST_ONLY json OUTPUT_VARIABLE manifest)
  cmake_path(GET manifest FILENAME manifest_filename)
  set_property(GLOBAL APPEND PROPERTY LLEXT_ARTIFACTS "${output}\t${folder}/${name}.debug.elf\t${manifest}")
  set_property(GLOBAL APPEND PROPERTY LLEXT_BUILT "${name}")

  add_executable(${name} ${arg_SOURCES})
  cmake_language(EVAL CODE "cmake_language(DEFER CALL _llext_check_sources [[${who}]] [[${name}]])")
  set(helper "")
  if(arg_COMPILER_RUNTIME)
    _llext_compiler_runtime()
    set(helper llext_compiler_runtime)
  endif()
  cmake_language(EVAL CODE "cmake_language(DEFER CALL _llext_check_link [[${who}]] [[${name}]] ${helper})")
  set_target_properties(${name} PROPERTIES
    LLEXT_OUTPUT "${output}"
    LLEXT_MANIFEST "${manifest}"
    LLEXT_DEBUG_FILE "${folder}/${name}.debug.elf"
    LLEXT_TARGET "${LLEXT_TARGET}"
    LLEXT_TOOLCHAIN "${LLEXT_TOOLCHAIN_FOUND}"
    LLEXT_EXTENSION TRUE
    LLEXT_EXPORTS "${arg_EXPORTS}"
    ENABLE_EXPORTS TRUE # so that _llext_check_link() can say what to do instead of linking it
    LLEXT_PROFILE "${profile}"
    OUTPUT_NAME "${name}.debug"
    SUFFIX .elf
    RUNTIME_OUTPUT_DIRECTORY "${folder}/$<0:>" # the expression keeps multi-config generators from adding a folder
    LINK_DEPENDS "${here}/llext-merge.ld;${here}/LlextToolsConfigVersion.cmake;${exports_files};${extensions_built};${settings_files}")
  foreach(config IN LISTS CMAKE_CONFIGURATION_TYPES CMAKE_BUILD_TYPE) # of the project's other targets, too
    string(TOUPPER "${config}" config)
    set_property(TARGET ${name} PROPERTY RUNTIME_OUTPUT_DIRECTORY_${config})
  endforeach()
  cmake_language(EVAL CODE
    "cmake_language(DEFER DIRECTORY [==[${CMAKE_SOURCE_DIR}]==] CALL _llext_check_output [[${who}]] [[${name}]])")
  if(CMAKE_POSITION_INDEPENDENT_CODE)
    set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE FALSE)
  endif()
  target_compile_definitions(${name} PRIVATE LL_EXTENSION_BUILD)
  cmake_path(SET headers NORMALIZE "${here}/../../../include") # an installed wheel
  if(NOT EXISTS "${headers}/llext")
    cmake_path(SET headers NORMALIZE "${here}/../include") # a checkout
  endif()
  target_include_directories(${name} PRIVATE "${headers}")
  target_link_options(${name} PRIVATE ${LLEXT_LINK_OPTIONS} "-T${here}/llext-merge.ld")
  if(exports_targets OR arg_EXTENSIONS)
    add_dependencies(${name} ${exports_targets} ${arg_EXTENSIONS})
  endif()

  # All files are made in a folder of their own and moved to their places when the check has passed. Were they made in
  # place, Make would take a refused extension for built the next time.
  set(stage "${CMAKE_CURRENT_BINARY_DIR}/CMakeFiles/${name}.dir/llext")
  file(MAKE_DIRECTORY "${stage}")
  set(finish_options "")
  if(arg_KEEP_SYMBOLS)
    set(finish_options --keep-symbols)
  endif()
  set(made_options "--toolchain=${LLEXT_TOOLCHAIN_FOUND}-${LLEXT_TOOLCHAIN_VERSION}")
  foreach(language IN LISTS languages)
    list(APPEND made_options "--flags=${language}=$<${multi_config}:$<CONFIG>/>${language}.flags")
  endforeach()
  cmake_language(EVAL CODE "cmake_language(DEFER CALL _llext_write_flags [[${name}]] [[${stage}]])")
  add_custom_command(TARGET ${name} POST_BUILD
    COMMAND "${CMAKE_COMMAND}" -E rm -f "${output}" "${manifest}"
    COMMAND "${CMAKE_COMMAND}" -E rename "$<TARGET_FILE:${name}>" ${name}.debug.elf
    COMMAND ${LLEXT_COMMAND} finish ${name}.debug.elf -o "${filename}" --debug-file ${name}.debug.elf ${finish_options} ${made_options}
            --check --target "${LLEXT_TARGET}" ${profile_options} ${exports_options} ${extensions_options} ${settings_options} ${check_options}
    COMMAND "${CMAKE_COMMAND}" -E rename "${manifest_filename}" "${manifest}"
    COMMAND "${CMAKE_COMMAND}" -E rename "${filename}" "${output}"
    COMMAND "${CMAKE_COMMAND}" -E rename ${name}.debug.elf "$<TARGET_FILE:${name}>"
    BYPRODUCTS "${output}" "${manifest}"
    WORKING_DIRECTORY "${stage}"
    VERBATIM)
endfunction()

# _llext_check_output(<who> <target>): refuse properties that put the debug file, which CMake takes for a program,
# elsewhere or give it another name. Called when the whole project has been read, for any folder of it may set them.
function(_llext_check_output who target)
  get_target_property(file ${target} LLEXT_DEBUG_FILE)
  cmake_path(GET file PARENT_PATH folder)
  set(properties OUTPUT_NAME SUFFIX RUNTIME_OUTPUT_DIRECTORY)
  set(ours "${target}.debug" .elf "${folder}/$<0:>") # nothing for those that follow
  list(APPEND properties PREFIX VERSION RUNTIME_OUTPUT_NAME)
  foreach(config IN LISTS CMAKE_CONFIGURATION_TYPES CMAKE_BUILD_TYPE)
    string(TOUPPER "${config}" config)
    list(APPEND properties OUTPUT_NAME_${config} RUNTIME_OUTPUT_NAME_${config} RUNTIME_OUTPUT_DIRECTORY_${config}
      ${config}_OUTPUT_NAME ${config}_POSTFIX)
  endforeach()
  foreach(property expected IN ZIP_LISTS properties ours)
    get_property(value TARGET ${target} PROPERTY ${property})
    if(NOT "${value}" STREQUAL "${expected}")
      message(FATAL_ERROR "${who}: ${property} '${value}' would take the debug file away from the extension; leave the property alone; OUTPUT gives an extension another name or folder")
    endif()
  endforeach()
endfunction()

# _llext_write_flags(<target> <folder>): the flags of each language that is enabled, in a file: ours and those of
# CMAKE_<LANG>_FLAGS in a line, then an option of the target a line. Called at the end of the folder, where the
# variables have their values.
function(_llext_write_flags target folder)
  get_property(multi_config GLOBAL PROPERTY GENERATOR_IS_MULTI_CONFIG)
  set(all "")
  foreach(language IN ITEMS C CXX ASM)
    set(flags "${LLEXT_${language}_FLAGS} ${CMAKE_${language}_FLAGS}")
    foreach(config IN LISTS CMAKE_CONFIGURATION_TYPES CMAKE_BUILD_TYPE)
      string(TOUPPER "${config}" upper)
      string(REPLACE ">" "$<ANGLE-R>" more "${CMAKE_${language}_FLAGS_${upper}}")
      string(APPEND flags "$<$<CONFIG:${config}>: ${more}>")
    endforeach()
    string(APPEND all "$<$<COMPILE_LANGUAGE:${language}>:${flags}>")
  endforeach()
  string(APPEND all "\n$<JOIN:$<TARGET_PROPERTY:${target},COMPILE_OPTIONS>,\n>")
  string(APPEND all "\n-D$<JOIN:$<TARGET_PROPERTY:${target},COMPILE_DEFINITIONS>,\n-D>\n")
  file(GENERATE OUTPUT "${folder}/$<${multi_config}:$<CONFIG>/>$<COMPILE_LANGUAGE>.flags" CONTENT "${all}" TARGET ${target})
endfunction()

# _llext_settings(<who> <options> <files>): the settings of the check, and what it depends on by them: LLEXT_SETTINGS,
# else what is nearest from this folder of the project upwards, for the build folder may be anywhere. Low level. Each
# build looks whether a file has come or gone; a pyproject.toml that is there may get its table, or lose it.
function(_llext_settings who out_options out_files)
  set(folder "${CMAKE_CURRENT_SOURCE_DIR}")
  set(found "")
  if(NOT "${LLEXT_SETTINGS}" STREQUAL "" AND NOT "${LLEXT_SETTINGS}" STREQUAL "OFF")
    cmake_path(ABSOLUTE_PATH LLEXT_SETTINGS BASE_DIRECTORY "${CMAKE_SOURCE_DIR}" NORMALIZE OUTPUT_VARIABLE found)
    if(NOT EXISTS "${found}" OR IS_DIRECTORY "${found}")
      message(FATAL_ERROR "${who}: LLEXT_SETTINGS '${LLEXT_SETTINGS}': there is no such file")
    endif()
  endif()
  while(found STREQUAL "" AND NOT "${LLEXT_SETTINGS}" STREQUAL "OFF")
    string(REPLACE "[" "[[]" pattern "${folder}")
    file(GLOB present CONFIGURE_DEPENDS "${pattern}/llext.toml" "${pattern}/pyproject.toml")
    if("${folder}/pyproject.toml" IN_LIST present)
      set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${folder}/pyproject.toml")
    endif()
    if(EXISTS "${folder}/llext.toml")
      set(found "${folder}/llext.toml")
    elseif(EXISTS "${folder}/pyproject.toml")
      file(STRINGS "${folder}/pyproject.toml" table REGEX "^[ \t]*\\[[ \t]*tool[ \t]*\\.[ \t]*llext[] \t.]")
      if(NOT table STREQUAL "")
        set(found "${folder}/pyproject.toml")
      endif()
    endif()
    cmake_path(GET folder PARENT_PATH above)
    if(above STREQUAL folder)
      break()
    endif()
    set(folder "${above}")
  endwhile()
  set(options --no-settings)
  set(files "")
  if(NOT found STREQUAL "")
    set(options --settings "${found}")
    _llext_settings_inputs(files "${found}")
  endif()
  set(${out_options} "${options}" PARENT_SCOPE)
  set(${out_files} "${found}" ${files} PARENT_SCOPE)
endfunction()

# _llext_settings_inputs(<variable> <file>): the files that a settings file names, asked for once. Low level. What is wrong
# with it the check says, as it does of a file that is not there. What this build makes may depend on the extension.
function(_llext_settings_inputs out_files settings)
  get_property(inputs GLOBAL PROPERTY "LLEXT_INPUTS_${settings}")
  get_property(known GLOBAL PROPERTY "LLEXT_INPUTS_${settings}" SET)
  if(NOT known)
    execute_process(COMMAND ${LLEXT_COMMAND} inputs "${settings}" OUTPUT_VARIABLE lines ERROR_QUIET)
    string(REGEX MATCHALL "[^\n]+" lines "${lines}")
    set(inputs "")
    foreach(file IN LISTS lines)
      cmake_path(IS_PREFIX CMAKE_BINARY_DIR "${file}" made)
      if(EXISTS "${file}" AND NOT made)
        list(APPEND inputs "${file}")
      endif()
    endforeach()
    set_property(GLOBAL PROPERTY "LLEXT_INPUTS_${settings}" "${inputs}")
  endif()
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${settings}")
  set(${out_files} "${inputs}" PARENT_SCOPE)
endfunction()

# _llext_check_source_words(<who> <source>...): refuse a word in upper case that is no file, such as a misspelt keyword.
# Low level; ${keywords} are those of the caller.
function(_llext_check_source_words who)
  foreach(source IN LISTS ARGN)
    cmake_path(ABSOLUTE_PATH source OUTPUT_VARIABLE path)
    if(source MATCHES "^[A-Z][A-Z0-9_]*$" AND NOT EXISTS "${path}")
      _llext_check_word("${who}" "${source}" ${keywords})
      message(FATAL_ERROR "${who}: '${source}' is neither an argument nor a file")
    endif()
  endforeach()
endfunction()

# _llext_check_sources(<who> <target>): refuse a folder, and a source that is not there and that nothing makes. Called at
# the end of the folder, for what makes it may come after the extension. CMake's own message would be followed by a wrong one.
function(_llext_check_sources who target)
  get_target_property(sources ${target} SOURCES)
  foreach(source IN LISTS sources)
    cmake_path(ABSOLUTE_PATH source OUTPUT_VARIABLE path)
    cmake_path(ABSOLUTE_PATH source BASE_DIRECTORY "${CMAKE_CURRENT_BINARY_DIR}" OUTPUT_VARIABLE made)
    if(IS_DIRECTORY "${path}")
      message(FATAL_ERROR "${who}: SOURCES '${source}' is a folder; name the files in it")
    elseif(source MATCHES "\\$<" OR EXISTS "${path}" OR EXISTS "${made}")
      continue() # CMake takes a file for a source of this folder when it is asked for its properties
    endif()
    get_source_file_property(generated "${made}" GENERATED)
    get_source_file_property(generated_here "${path}" GENERATED)
    if(NOT generated AND NOT generated_here)
      message(FATAL_ERROR "${who}: SOURCES '${source}': there is no such file")
    endif()
  endforeach()
endfunction()

# _llext_languages(<who> <variable> <source>...): the languages of the sources. One that is not enabled is refused: CMake would
# pass over its sources without a word. Low level.
function(_llext_languages who out_languages)
  set(languages "")
  foreach(source IN LISTS ARGN)
    set(language C)
    if(source MATCHES "\\.(cpp|cc|cxx|c\\+\\+|C|CPP)$")
      set(language CXX)
    elseif(source MATCHES "\\.(S|s|asm)$")
      set(language ASM)
    elseif(NOT source MATCHES "\\.c$")
      continue() # a header, an object, a generator expression
    endif()
    if(NOT CMAKE_${language}_COMPILER_LOADED)
      message(FATAL_ERROR "${who}: '${source}' needs the language ${language}; enable it: project(${PROJECT_NAME} LANGUAGES ... ${language})")
    endif()
    list(APPEND languages ${language})
  endforeach()
  list(REMOVE_DUPLICATES languages)
  set(${out_languages} "${languages}" PARENT_SCOPE)
endfunction()

# _llext_atexit(): the library llext_atexit, for the destructors of static objects. Low level.
function(_llext_atexit)
  if(NOT TARGET llext_atexit)
    add_library(llext_atexit STATIC EXCLUDE_FROM_ALL "${CMAKE_CURRENT_FUNCTION_LIST_DIR}/atexit.cpp")
    set_target_properties(llext_atexit PROPERTIES ARCHIVE_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/CMakeFiles/llext")
  endif()
endfunction()

# _llext_compiler_runtime(): the library llext_compiler_runtime, made once for each build tree. Low level.
function(_llext_compiler_runtime)
  if(TARGET llext_compiler_runtime)
    return()
  endif()
  set(archive "${CMAKE_BINARY_DIR}/CMakeFiles/llext/libllext-runtime.a")
  add_custom_command(
    OUTPUT "${archive}"
    COMMAND ${LLEXT_COMMAND} runtime --target "${LLEXT_TARGET}" --toolchain "${LLEXT_TOOLCHAIN_FOUND}" -o "${archive}"
    DEPENDS "${CMAKE_CURRENT_FUNCTION_LIST_DIR}/LlextToolsConfigVersion.cmake"
    COMMENT "Preparing the compiler runtime for ${LLEXT_TARGET}"
    VERBATIM)
  add_custom_target(llext_compiler_runtime_archive DEPENDS "${archive}")
  add_library(llext_compiler_runtime STATIC IMPORTED GLOBAL)
  set_target_properties(llext_compiler_runtime PROPERTIES IMPORTED_LOCATION "${archive}")
  add_dependencies(llext_compiler_runtime llext_compiler_runtime_archive)
endfunction()

# _llext_build_list(): the target llext_extensions, which builds all that llext-extensions.txt lists, and runs what is to
# run at build, whether or not the target `all` does.
function(_llext_build_list)
  add_custom_target(llext_extensions)
  get_property(targets GLOBAL PROPERTY LLEXT_BUILT)
  if(targets)
    add_dependencies(llext_extensions ${targets})
  endif()
endfunction()

# llext-extensions.txt: what this build tree makes, one extension a line: the .llext file, its debug file and its manifest,
# with tabs between them.
# `llext build` reads it, for a build folder also holds what an earlier state of the project has made. It is written
# when the whole project has been read.
get_property(_llext_listed GLOBAL PROPERTY LLEXT_LISTED)
if(NOT _llext_listed)
  set_property(GLOBAL PROPERTY LLEXT_LISTED TRUE)
  cmake_language(DEFER DIRECTORY "${CMAKE_SOURCE_DIR}" CALL _llext_list LLEXT_ARTIFACTS llext-extensions.txt)
  cmake_language(DEFER DIRECTORY "${CMAKE_SOURCE_DIR}" CALL _llext_build_list)
endif()
