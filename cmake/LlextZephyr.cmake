#[=======================================================================[.rst:
.. cmake:module:: LlextZephyr

Check and run the extensions of a Zephyr build, with the build's own firmware and configuration. ::

  find_package(Zephyr REQUIRED HINTS $ENV{ZEPHYR_BASE})
  project(app)
  find_package(LlextTools REQUIRED) # -DLlextTools_DIR="$(llext cmake-dir)"
  include(LlextZephyr)

  add_llext_target(hello OUTPUT ${PROJECT_BINARY_DIR}/llext/hello.llext SOURCES hello.c)
  llext_check_target(hello CALL "hello(1)" EXPECT_RETURN 2)
#]=======================================================================]

if(NOT COMMAND add_llext_command OR NOT TARGET zephyr_interface)
  message(FATAL_ERROR "include(LlextZephyr): this is no build of Zephyr; call find_package(Zephyr) before, or use llext_add_extension()")
endif()
if(NOT COMMAND llext_add_test)
  find_package(LlextTools REQUIRED PATHS "${CMAKE_CURRENT_LIST_DIR}" NO_DEFAULT_PATH)
endif()

#[=======================================================================[.rst:
.. cmake:command:: llext_check_target

   Check an extension of ``add_llext_target()`` in every build, and run it. ::

     llext_check_target(<target>
       [EXPORTS <exports>...]    # from llext_add_exports(); default: zephyr.elf of this build
       [EXTENSIONS <target>...]  # loaded before it: what these extensions export is there, too
       [TARGET <cpu>]            # one of `llext targets`; default: what .config says, else what the firmware is for
       [PROFILE <profile>]       # one of `llext profiles`; default: LLEXT_PROFILE, else by Zephyr's version
       [HEAP <[start+]size>]     # of extensions; default: what zephyr.elf has
       [CONFIG <option=value>...] # Kconfig options that go before those of .config
       [OPTIONS <word>...]       # more options of `llext check`, such as --ignore=no-exports
       [WARN_ONLY]               # what the check finds does not fail the build
       [CALL <call> [BUILTIN_HOST] <argument>...]...) # run it, as llext_add_test() does; any number of times

   There are two checks. When Zephyr has packaged the extension, what needs no firmware is checked at once, as a command
   of ``add_llext_command(... POST_PKG ...)``. Everything else waits for ``zephyr.elf``, which may have the extension
   inside: the target ``<target>_llext_check`` depends on both, is built by default, and checks again when one of them,
   ``.config`` or the settings file has changed. ``ninja <target>`` alone makes the first check only.

   Behind ``CALL`` stand the arguments of :cmake:command:`llext_add_test` from ``MMIO`` on. The targets are
   ``<target>_llext_run``, ``<target>_llext_run2`` and so on, steps of the build. The firmware's own code runs,
   with ``BUILTIN_HOST`` that of the built-in host instead.

   The compiler, its flags and the CPU are Zephyr's: ``LLEXT_TARGET`` and the toolchain file are not used.
   ``<target>`` can be used in ``llext_add_test(... EXTENSION <target> EXPORTS zephyr_exports)`` afterwards, for tests
   that ctest runs. Beside the extension lies ``<name>.debug.elf`` with its debug information, and, when the second check
   has found no error and each ``CALL`` has passed, its manifest ``<name>.json``: ``llext pack`` takes all three.
   ``<target>_llext_manifest`` is the target that adds the runs to it.

   ``llext.toml`` holds as for :cmake:command:`llext_add_extension`; what is given here goes before what it says, and that
   before what Zephyr's configuration says.
#]=======================================================================]

function(llext_check_target target)
  include("${CMAKE_CURRENT_FUNCTION_LIST_DIR}/LlextCommand.cmake")
  set(who "llext_check_target(${target})")
  # The arguments in front of the first CALL, then those of each; as code, for a list would lose brackets and semicolons.
  set(groups 0)
  set(code_0 "")
  math(EXPR last "${ARGC} - 1")
  foreach(i RANGE 1 ${last})
    if(i GREATER last)
      break() # RANGE counts down where there is nothing
    endif()
    if(ARGV${i} STREQUAL "CALL")
      math(EXPR groups "${groups} + 1")
      set(code_${groups} "")
    endif()
    string(APPEND code_${groups} " [====[${ARGV${i}}]====]")
  endforeach()
  cmake_language(EVAL CODE "_llext_zephyr_check([====[${who}]====] [====[${target}]====] ${groups} ${code_0})")
  foreach(i RANGE 1 ${groups})
    if(i GREATER groups)
      break()
    endif()
    set(run ${target}_llext_run)
    if(i GREATER 1)
      string(APPEND run ${i})
    endif()
    cmake_language(EVAL CODE "_llext_zephyr_call([====[${who}]====] [====[${target}]====] ${run} ${code_${i}})")
  endforeach()
  if(groups)
    _llext_zephyr_manifest("${who}" "${target}")
  endif()
endfunction()

#[=======================================================================[.rst:
.. cmake:command:: llext_check_all

   Check all extensions that ``add_llext_target()`` has made in the current directory until now: ::

     llext_check_all([<argument of llext_check_target>...]) # but for CALL

   Those that have been given to ``llext_check_target()`` before are passed over.
#]=======================================================================]

function(llext_check_all)
  if("CALL" IN_LIST ARGN)
    message(FATAL_ERROR "llext_check_all(): CALL is of one extension; give it to llext_check_target()")
  endif()
  get_property(targets DIRECTORY PROPERTY BUILDSYSTEM_TARGETS)
  foreach(target IN LISTS targets)
    get_property(package TARGET ${target} PROPERTY pkg_output)
    if(package AND NOT TARGET ${target}_llext_check)
      llext_check_target(${target} ${ARGN})
    endif()
  endforeach()
endfunction()

# _llext_zephyr_check(<who> <target> <calls> <argument>...): all but the runs. Low level.
function(_llext_zephyr_check who target calls)
  set(one_value TARGET PROFILE HEAP)
  set(several EXPORTS EXTENSIONS CONFIG OPTIONS)
  cmake_parse_arguments(PARSE_ARGV 3 arg "WARN_ONLY" "${one_value}" "${several}")
  set(keywords WARN_ONLY CALL ${one_value} ${several})
  _llext_check_arguments("${who}" ${keywords})
  _llext_zephyr_facts("${who}")
  get_property(facts GLOBAL PROPERTY LLEXT_ZEPHYR_FACTS)
  _llext_zephyr_adopt("${who}" "" "${target}")
  if(TARGET ${target}_llext_check)
    message(FATAL_ERROR "${who}: it is checked already")
  endif()
  get_target_property(made_in ${target} BINARY_DIR)
  if(NOT made_in STREQUAL CMAKE_CURRENT_BINARY_DIR)
    get_target_property(made_in ${target} SOURCE_DIR)
    message(FATAL_ERROR "${who}: call it where add_llext_target() was called: in ${made_in}/CMakeLists.txt")
  endif()
  string(JSON kind GET "${facts}" kind)
  if(calls AND kind STREQUAL shared)
    message(FATAL_ERROR "${who}: CALL: CONFIG_LLEXT_TYPE_ELF_SHAREDLIB makes shared libraries, which are checked and cannot be run; use CONFIG_LLEXT_TYPE_ELF_RELOCATABLE")
  endif()
  foreach(option IN LISTS arg_CONFIG)
    if(NOT option MATCHES "^[A-Z0-9_]+=.*$")
      _llext_check_word("${who}" "${option}" ${keywords})
      message(FATAL_ERROR "${who}: CONFIG '${option}' is not of the form OPTION=VALUE")
    endif()
  endforeach()
  foreach(option IN LISTS arg_OPTIONS)
    if(NOT option MATCHES "^-")
      _llext_check_word("${who}" "${option}" ${keywords})
      message(FATAL_ERROR "${who}: OPTIONS '${option}' is no option; write its value behind a '=': --ignore=no-exports")
    endif()
  endforeach()
  if(DEFINED arg_HEAP AND NOT arg_HEAP MATCHES "^((0[xX][0-9a-fA-F]+|[0-9]+)[+])?(0[xX][0-9a-fA-F]+|[0-9]+)[KkMm]?$")
    message(FATAL_ERROR "${who}: HEAP '${arg_HEAP}' is not a size, such as 8K or 0x20010000+8K")
  endif()

  _llext_check_options("${who}" options) # what the variables say; the last one counts
  if(DEFINED arg_TARGET)
    _llext_zephyr_known_target("${who}" "${arg_TARGET}")
    list(APPEND options "--target=${arg_TARGET}")
    set_property(TARGET ${target} PROPERTY LLEXT_TARGET "${arg_TARGET}")
  endif()
  _llext_chosen_profile()
  if(NOT profile STREQUAL "")
    set_property(TARGET ${target} PROPERTY LLEXT_PROFILE "${profile}")
  endif()
  if(DEFINED arg_HEAP)
    list(APPEND options "--heap=${arg_HEAP}")
  endif()
  list(TRANSFORM arg_CONFIG PREPEND "--config=")
  _llext_zephyr_adopt("${who}" EXTENSIONS ${arg_EXTENSIONS})
  set(before "")
  foreach(extension IN LISTS arg_EXTENSIONS)
    get_target_property(file "${extension}" LLEXT_OUTPUT)
    list(APPEND before "${file}")
  endforeach()
  set(extension_options "${before}")
  list(TRANSFORM extension_options PREPEND "--extension=")
  if(NOT arg_EXPORTS)
    _llext_zephyr_exports()
    if(NOT TARGET zephyr_exports)
      message(FATAL_ERROR "${who}: no target of this build links zephyr.elf; name a firmware: EXPORTS")
    endif()
    set(arg_EXPORTS zephyr_exports)
  endif()
  _llext_exports_arguments("${who}" exports_options exports_files exports_targets ${arg_EXPORTS})
  _llext_settings("${who}" settings_options settings_files)
  set_target_properties(${target} PROPERTIES
    LLEXT_ZEPHYR_EXPORTS "${arg_EXPORTS}"
    LLEXT_ZEPHYR_EXTENSIONS "${arg_EXTENSIONS}")

  get_target_property(file ${target} LLEXT_OUTPUT)
  get_target_property(debug ${target} LLEXT_DEBUG_FILE)
  get_target_property(input ${target} pkg_input)
  # Zephyr has packaged after the compiler since 4.3, and not because of what it has compiled.
  get_target_property(compiled ${target} lib_output)
  if(compiled)
    add_custom_command(OUTPUT "${input}" DEPENDS "${compiled}" APPEND)
  endif()
  _llext_zephyr_config(config)
  set(folder "${CMAKE_CURRENT_BINARY_DIR}/CMakeFiles/${target}_llext_check.dir")
  set(check ${LLEXT_COMMAND} zephyr check "${file}" -d "${CMAKE_BINARY_DIR}" "--config=${config}"
    "--zephyr-version=${KERNEL_VERSION_STRING}" ${arg_CONFIG} ${options} ${profile_options} ${settings_options}
    ${extension_options} ${arg_OPTIONS})

  # The first check: add_llext_command() splits lists, so that everything is in a script. Zephyr runs it in every build.
  _llext_zephyr_quoted(code ${check} --no-firmware)
  _llext_zephyr_quoted(also ${settings_files} "${config}")
  set(script "set(llext_who [====[${who}]====])\nset(llext_file [====[${file}]====])\n")
  string(APPEND script "set(llext_debug [====[${debug}]====])\nset(llext_input [====[${input}]====])\n")
  string(APPEND script "set(llext_stamp [====[${folder}/packaged]====])\nset(llext_also ${also})\n")
  string(APPEND script "set(llext_warn_only ${arg_WARN_ONLY})\nset(llext_folder [====[${CMAKE_BINARY_DIR}]====])\n")
  string(APPEND script "set(llext_check ${code})\n")
  string(APPEND script "include([====[${CMAKE_CURRENT_FUNCTION_LIST_DIR}/zephyr-package.cmake]====])\n")
  file(GENERATE OUTPUT "${folder}/package.cmake" CONTENT "${script}")
  add_llext_command(TARGET ${target} POST_PKG COMMAND "${CMAKE_COMMAND}" -P "${folder}/package.cmake" VERBATIM)

  cmake_path(GET file FILENAME name)
  set(stamp "${folder}/checked")
  cmake_path(REPLACE_EXTENSION file LAST_ONLY json OUTPUT_VARIABLE manifest)
  set(checked "${manifest}")
  if(calls) # it waits for them
    cmake_path(GET manifest FILENAME checked)
    cmake_path(ABSOLUTE_PATH checked BASE_DIRECTORY "${folder}")
  endif()
  set_target_properties(${target} PROPERTIES LLEXT_ZEPHYR_MANIFEST "${manifest}" LLEXT_ZEPHYR_CHECKED "${checked}")
  set(command ${check} ${exports_options} "--manifest=${checked}" "--debug-file=${debug}")
  if(arg_WARN_ONLY)
    _llext_zephyr_quoted(code ${command})
    set(script "set(llext_who [====[${who}]====])\nset(llext_check ${code})\n")
    string(APPEND script "include([====[${CMAKE_CURRENT_FUNCTION_LIST_DIR}/zephyr-warn.cmake]====])\n")
    file(GENERATE OUTPUT "${folder}/warn.cmake" CONTENT "${script}")
    set(command "${CMAKE_COMMAND}" -P "${folder}/warn.cmake")
  endif()
  add_custom_command(
    OUTPUT "${stamp}"
    COMMAND "${CMAKE_COMMAND}" -E rm -f "${manifest}"
    COMMAND ${command}
    COMMAND "${CMAKE_COMMAND}" -E touch "${stamp}"
    DEPENDS ${target} "${file}" ${exports_targets} ${exports_files} ${arg_EXTENSIONS} ${before} ${settings_files} "${config}"
            "${folder}/package.cmake"
    WORKING_DIRECTORY "${CMAKE_BINARY_DIR}"
    COMMENT "Checking ${name}"
    VERBATIM)
  add_custom_target(${target}_llext_check ALL DEPENDS "${stamp}")
  # No byproduct: where findings are warnings only, there may be none, and Ninja would check again in every build.
  set_property(TARGET ${target}_llext_check APPEND PROPERTY ADDITIONAL_CLEAN_FILES "${manifest}" "${checked}")
endfunction()

# _llext_zephyr_call(<who> <target> <run> CALL <argument>...): one run, a step of the build. Low level.
function(_llext_zephyr_call who target run)
  set(options BUILTIN_HOST STUB_MISSING)
  set(one_value CALL AT PLACEMENTS PROTOTYPE EXPECT_RETURN EXPECT_OUTPUT TIMEOUT STACK_SIZE HEAP_SIZE MAX_INSTRUCTIONS COVERAGE)
  set(several MMIO OVERRIDE INIT)
  cmake_parse_arguments(PARSE_ARGV 3 arg "${options}" "${one_value}" "${several}")
  foreach(word IN LISTS arg_UNPARSED_ARGUMENTS)
    if(word MATCHES "^(EXPORTS|EXTENSIONS|TARGET|PROFILE|HEAP|CONFIG|OPTIONS|WARN_ONLY)$")
      message(FATAL_ERROR "${who}: ${word} belongs before the first CALL")
    endif()
  endforeach()
  _llext_check_arguments("${who}" ${options} ${one_value} ${several})
  get_target_property(extensions ${target} LLEXT_ZEPHYR_EXTENSIONS)
  get_target_property(exports ${target} LLEXT_ZEPHYR_EXPORTS)
  set(code "")
  foreach(i RANGE 3 ${ARGC})
    if(i LESS ARGC AND NOT ARGV${i} STREQUAL "BUILTIN_HOST")
      string(APPEND code " [====[${ARGV${i}}]====]")
    endif()
  endforeach()
  list(JOIN extensions " " extensions)
  list(JOIN exports " " exports)
  if(extensions)
    string(APPEND code " EXTENSIONS ${extensions}")
  endif()
  if(NOT arg_BUILTIN_HOST)
    string(APPEND code " EXPORTS ${exports}")
  endif()
  set(LLEXT_FIRMWARE "") # this build has its own
  set(_llext_who "${who}")
  get_target_property(_llext_unproven ${target} LLEXT_ZEPHYR_MANIFEST)
  cmake_language(EVAL CODE "llext_add_test(${run} EXTENSION ${target} ${code} AT_BUILD)")
  add_dependencies(${run} ${target}_llext_check) # what is missing is reported once
endfunction()

# _llext_zephyr_manifest(<who> <target>): the manifest of an extension that has passed its check and its runs, with them.
# Low level.
function(_llext_zephyr_manifest who target)
  get_target_property(checked ${target} LLEXT_ZEPHYR_CHECKED)
  get_target_property(manifest ${target} LLEXT_ZEPHYR_MANIFEST)
  get_target_property(runs ${target} LLEXT_RUNS)
  cmake_path(GET checked PARENT_PATH folder)
  add_custom_command(
    OUTPUT "${folder}/proven"
    COMMAND "${CMAKE_COMMAND}" "-Dllext_who=${who}" "-Dllext_checked=${checked}" "-Dllext_manifest=${manifest}"
            "-Dllext_runs=${runs}" "-Dllext_command=${LLEXT_COMMAND}"
            -P "${CMAKE_CURRENT_FUNCTION_LIST_DIR}/zephyr-manifest.cmake"
    COMMAND "${CMAKE_COMMAND}" -E touch "${folder}/proven"
    DEPENDS "${folder}/checked" ${runs}
    VERBATIM)
  add_custom_target(${target}_llext_manifest ALL DEPENDS "${folder}/proven")
endfunction()

# _llext_zephyr_facts(<who>): what `llext zephyr show` makes of .config and the version, in a global property: once for
# each configuration. Low level.
function(_llext_zephyr_facts who)
  get_property(known GLOBAL PROPERTY LLEXT_ZEPHYR_FACTS)
  if(known)
    return()
  endif()
  _llext_zephyr_config(config)
  execute_process(
    COMMAND ${LLEXT_COMMAND} zephyr show --json -d "${CMAKE_BINARY_DIR}" "--config=${config}"
            "--zephyr-version=${KERNEL_VERSION_STRING}"
    OUTPUT_VARIABLE facts
    ERROR_VARIABLE error
    RESULT_VARIABLE result)
  if(NOT result EQUAL 0)
    string(JSON message ERROR_VARIABLE unreadable GET "${facts}" diagnostics 0 message)
    if(unreadable)
      set(message "${error}${facts}")
    endif()
    message(FATAL_ERROR "${who}: ${message}")
  endif()
  set_property(GLOBAL PROPERTY LLEXT_ZEPHYR_FACTS "${facts}")
  string(JSON target GET "${facts}" target)
  string(JSON profile GET "${facts}" profile)
  string(JSON exact GET "${facts}" exact)
  string(JSON version GET "${facts}" version)
  if(target STREQUAL "")
    set(target "no CPU of 'llext targets', so that extensions are compared with the firmware")
  endif()
  if(profile STREQUAL "")
    set(profile "of the command line")
  elseif(NOT exact)
    string(APPEND profile " (the nearest)")
  endif()
  if(version STREQUAL "")
    set(version "of unknown version")
  endif()
  message(STATUS "llext: Zephyr ${version}, profile ${profile}, ${target}")
endfunction()

# _llext_zephyr_config(<variable>): the .config of this build. Low level.
function(_llext_zephyr_config out_config)
  set(config "${DOTCONFIG}")
  if(config STREQUAL "")
    set(config "${CMAKE_BINARY_DIR}/zephyr/.config")
  endif()
  set(${out_config} "${config}" PARENT_SCOPE)
endfunction()

# _llext_zephyr_exports(): zephyr_exports, which stands for this build's zephyr.elf, if there is one. Its target is the last
# stage of the link: it has one name in builds of several stages and another where there is one. Low level.
function(_llext_zephyr_exports)
  if(TARGET zephyr_exports)
    return()
  endif()
  foreach(final IN ITEMS "${logical_target_for_zephyr_elf}" zephyr_final zephyr_pre1 zephyr_pre0 zephyr_prebuilt)
    if(TARGET "${final}")
      llext_add_exports(zephyr_exports FIRMWARE "${final}")
      return()
    endif()
  endforeach()
endfunction()

# _llext_zephyr_adopt(<who> <argument> <target>...): give targets of add_llext_target() the properties of extensions.
# Low level; ${keywords} are those of the caller.
function(_llext_zephyr_adopt who argument)
  if(argument)
    string(APPEND argument " ")
  endif()
  get_property(facts GLOBAL PROPERTY LLEXT_ZEPHYR_FACTS)
  foreach(target IN LISTS ARGN)
    set(file "")
    if(TARGET "${target}")
      get_property(file TARGET "${target}" PROPERTY pkg_output)
    endif()
    if(NOT file)
      _llext_check_word("${who}" "${target}" ${keywords})
      message(FATAL_ERROR "${who}: ${argument}'${target}' was not made by add_llext_target()")
    endif()
    get_property(known TARGET "${target}" PROPERTY LLEXT_EXTENSION)
    if(known)
      continue()
    endif()
    cmake_path(ABSOLUTE_PATH file BASE_DIRECTORY "${CMAKE_CURRENT_BINARY_DIR}" NORMALIZE)
    cmake_path(REPLACE_EXTENSION file LAST_ONLY debug.elf OUTPUT_VARIABLE debug)
    string(JSON cpu GET "${facts}" target)
    string(JSON profile GET "${facts}" profile)
    set_target_properties("${target}" PROPERTIES
      LLEXT_EXTENSION TRUE
      LLEXT_OUTPUT "${file}"
      LLEXT_DEBUG_FILE "${debug}"
      LLEXT_TARGET "${cpu}"
      LLEXT_PROFILE "${profile}")
  endforeach()
endfunction()

# _llext_zephyr_known_target(<who> <cpu>): refuse a CPU that the command line does not know. Low level.
function(_llext_zephyr_known_target who cpu)
  execute_process(COMMAND ${LLEXT_COMMAND} targets --json OUTPUT_VARIABLE targets)
  string(FIND "${targets}" "\"name\": \"${cpu}\"" found)
  if(found EQUAL -1)
    message(FATAL_ERROR "${who}: TARGET '${cpu}' is not a CPU of 'llext targets'")
  endif()
endfunction()

# _llext_zephyr_quoted(<variable> <word>...): the words as arguments of a script. Low level.
function(_llext_zephyr_quoted out_code)
  set(code "")
  foreach(word IN LISTS ARGN)
    string(APPEND code " [====[${word}]====]")
  endforeach()
  set(${out_code} "${code}" PARENT_SCOPE)
endfunction()

_llext_zephyr_exports()
