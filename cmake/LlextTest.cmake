#[=======================================================================[.rst:
.. cmake:command:: llext_add_test

   Run an extension in the emulator of its target. ::

     llext_add_test(<test>
       EXTENSION <name>         # from llext_add_extension()
       CALL <call>              # for example "add(2, 3)"
       [EXTENSIONS <name>...]   # load these before it, in this order: it may use what they export
       [EXPORTS <exports>...]   # from llext_add_exports(): the firmware; default: that of the extensions
       [MMIO <device>...]       # peripherals, for example 0x40004000+4K=zero, see `llext run --mmio`
       [OVERRIDE <override>...] # functions of the firmware in Python or as a value: read_adc=42 read_adc=board.py:adc
       [INIT <function>...]     # functions of the firmware that are called before all else
       [STUB_MISSING]           # functions without code return 0
       [PROFILE <profile>]      # the loader whose rules hold, one of `llext profiles`; default: the extension's
       [AT <address>]           # where the extension lies in memory; default: near the host
       [PLACEMENTS <n>]         # run at so many places and compare; default: 3, with AT 1
       [PROTOTYPE <prototype>]  # for example "int add(int, int)"; default: from debug information, else the literals
       [EXPECT_RETURN <value>]  # the value that the function must return
       [EXPECT_OUTPUT <regex>]  # what it must print
       [TIMEOUT <seconds>]      # default: 5
       [MAX_INSTRUCTIONS <n>]   # a limit that is the same on every computer; default: none
       [STACK_SIZE <size>]      # of the first thread, for example 4K; default: 64K
       [HEAP_SIZE <size>]       # of malloc() and its like; default: 1M
       [COVERAGE <file>]        # write there how often each line ran, for lcov and genhtml
       [AT_BUILD])              # a build step, which fails the build, and not a test for ctest

   Without ``EXPORTS`` a test runs on what its extensions name there, or else on that of :cmake:variable:`LLEXT_FIRMWARE`.
   Of a firmware's ELF file the own code runs; to a function of a table, the built-in host of ``llext run`` lends its own. It
   is all that there is where nothing is named.

   The extension runs near the host, more than 16 MiB away, and from an odd page on with its regions in another order.
   Returned values, output and calls of the host must be alike; addresses count by region and offset.

   Files of Python are named from the folder of the ``CMakeLists.txt`` on; the build may make them. What is not of the form
   ``START+SIZE=KIND`` of ``MMIO`` or ``NAME=VALUE`` of ``OVERRIDE`` ends the configuration.

   A run that passes leaves a record, JSON in ``CMakeFiles/<test>.dir/run.json``: what was called, and the SHA-256 of the
   extensions. One that fails removes it.

   Without an expectation the call must come back without a fault. ``find_package(LlextTools)`` enables testing in the
   folder that calls it.
#]=======================================================================]

enable_testing()

function(llext_add_test test)
  include("${CMAKE_CURRENT_FUNCTION_LIST_DIR}/LlextCommand.cmake")
  set(who "llext_add_test(${test})")
  if(_llext_who)
    set(who "${_llext_who}") # another command makes the test
  endif()
  set(one_value AT EXTENSION CALL PLACEMENTS PROFILE PROTOTYPE EXPECT_RETURN EXPECT_OUTPUT TIMEOUT STACK_SIZE HEAP_SIZE)
  list(APPEND one_value COVERAGE MAX_INSTRUCTIONS)
  set(several EXTENSIONS EXPORTS MMIO OVERRIDE INIT)
  cmake_parse_arguments(PARSE_ARGV 1 arg "AT_BUILD;STUB_MISSING" "${one_value}" "${several}")
  set(keywords AT_BUILD STUB_MISSING ${one_value} ${several})
  _llext_check_arguments("${who}" ${keywords})
  foreach(needed IN ITEMS EXTENSION CALL)
    if(NOT DEFINED arg_${needed})
      message(FATAL_ERROR "${who}: ${needed} is missing")
    endif()
  endforeach()
  if(DEFINED arg_AT AND NOT arg_AT MATCHES "^(0[xX][0-9a-fA-F]+|[0-9]+)$")
    message(FATAL_ERROR "${who}: AT '${arg_AT}' is not an address")
  endif()
  if(NOT DEFINED arg_PLACEMENTS)
    set(arg_PLACEMENTS 3)
    if(DEFINED arg_AT)
      set(arg_PLACEMENTS 1)
    endif()
  elseif(NOT arg_PLACEMENTS MATCHES "^[1-9][0-9]?$" OR arg_PLACEMENTS GREATER 64)
    message(FATAL_ERROR "${who}: PLACEMENTS '${arg_PLACEMENTS}' is not a number from 1 to 64")
  endif()
  if(DEFINED arg_TIMEOUT AND NOT arg_TIMEOUT MATCHES "^[0-9]+(\\.[0-9]+)?$")
    message(FATAL_ERROR "${who}: TIMEOUT '${arg_TIMEOUT}' is not a number of seconds")
  endif()
  if(DEFINED arg_MAX_INSTRUCTIONS AND NOT arg_MAX_INSTRUCTIONS MATCHES "^[1-9][0-9]*$")
    message(FATAL_ERROR "${who}: MAX_INSTRUCTIONS '${arg_MAX_INSTRUCTIONS}' is not a number of instructions")
  endif()
  foreach(size IN ITEMS STACK_SIZE HEAP_SIZE)
    if(DEFINED arg_${size} AND NOT arg_${size} MATCHES "^(0[xX][0-9a-fA-F]+|[0-9]+)[KkMm]?$")
      message(FATAL_ERROR "${who}: ${size} '${arg_${size}}' is not a size, such as 4K")
    endif()
  endforeach()
  _llext_check_host("${who}")
  if(TARGET "${arg_EXTENSION}")
    get_property(built_for TARGET "${arg_EXTENSION}" PROPERTY LLEXT_TARGET)
    if(built_for)
      set(LLEXT_TARGET "${built_for}") # of a package: any CPU, the emulator has them all
    endif()
  endif()
  _llext_extensions("${who}" files "${arg_EXTENSION}" ${arg_EXTENSIONS})
  if("${arg_EXPORTS}" STREQUAL "")
    foreach(extension IN LISTS arg_EXTENSION arg_EXTENSIONS)
      get_property(exports TARGET "${extension}" PROPERTY LLEXT_EXPORTS)
      list(APPEND arg_EXPORTS ${exports})
    endforeach()
    list(REMOVE_DUPLICATES arg_EXPORTS)
  endif()
  _llext_exports_arguments("${who}" exports_options exports_files exports_targets ${arg_EXPORTS})
  set(profile "${arg_PROFILE}")
  if(profile STREQUAL "")
    get_property(profile TARGET "${arg_EXTENSION}" PROPERTY LLEXT_PROFILE)
  endif()
  _llext_profile("${who}" profile_options PROFILE "${profile}")

  set(required "${files}")
  set(extensions "${arg_EXTENSION}" ${arg_EXTENSIONS})
  list(POP_FRONT files extension)
  list(TRANSFORM files PREPEND "--extension=")
  set(python "")
  foreach(given IN LISTS arg_MMIO arg_OVERRIDE)
    if(given MATCHES "^[^=]+=(python:)?(.+):[A-Za-z_0-9]+$")
      cmake_path(ABSOLUTE_PATH CMAKE_MATCH_2 OUTPUT_VARIABLE file)
      list(APPEND python "${file}")
    endif()
  endforeach()
  list(TRANSFORM arg_MMIO PREPEND "--mmio=")
  list(TRANSFORM arg_OVERRIDE PREPEND "--override=")
  list(TRANSFORM arg_INIT PREPEND "--init=")
  set(host ${arg_MMIO} ${arg_OVERRIDE} ${arg_INIT})
  if(arg_STUB_MISSING)
    list(APPEND host --stub-missing)
  endif()
  # Each option in a variable of its own: in a list, a lone "[" of a regular expression would swallow what follows.
  foreach(option IN ITEMS PROTOTYPE EXPECT_RETURN EXPECT_OUTPUT TIMEOUT STACK_SIZE HEAP_SIZE MAX_INSTRUCTIONS)
    set(${option} "")
    if(DEFINED arg_${option})
      string(TOLOWER "--${option}=" word)
      string(REPLACE "_" "-" word "${word}")
      string(REPLACE ";" "\\;" ${option} "${word}${arg_${option}}")
    endif()
  endforeach()
  get_property(multi_config GLOBAL PROPERTY GENERATOR_IS_MULTI_CONFIG)
  string(REGEX REPLACE "[^A-Za-z0-9_.+-]" "_" record "${test}")
  if(NOT record STREQUAL test) # "a b" and "a_b" are two tests
    string(SHA256 digest "${test}")
    string(SUBSTRING "${digest}" 0 8 digest)
    string(APPEND record "-${digest}")
  endif()
  set(record "${CMAKE_CURRENT_BINARY_DIR}/CMakeFiles/${record}.dir/$<${multi_config}:$<CONFIG>/>run.json")
  set(run ${LLEXT_COMMAND} run "${extension}")
  if(LLEXT_TARGET) # empty in a Zephyr build for a CPU that is none of the targets: then the extension says it
    list(APPEND run --target "${LLEXT_TARGET}")
  endif()
  list(APPEND run ${profile_options} ${exports_options} ${files} ${host})
  list(APPEND run "--record=${record}" "--test=${test}")
  if(arg_PLACEMENTS GREATER 1)
    list(APPEND run "--placements=${arg_PLACEMENTS}")
  endif()
  if(DEFINED arg_AT)
    list(APPEND run "--at=${arg_AT}")
  endif()
  if(DEFINED arg_COVERAGE)
    cmake_path(ABSOLUTE_PATH arg_COVERAGE BASE_DIRECTORY "${CMAKE_CURRENT_BINARY_DIR}" NORMALIZE)
    cmake_path(GET arg_COVERAGE PARENT_PATH folder)
    file(MAKE_DIRECTORY "${folder}")
    list(APPEND run "--coverage=${arg_COVERAGE}")
  endif()

  set(built "")
  foreach(target file IN ZIP_LISTS extensions required)
    get_target_property(imported "${target}" IMPORTED)
    if(imported)
      list(APPEND built "${file}")
    else()
      list(APPEND built "${target}")
    endif()
    get_target_property(type "${target}" TYPE)
    if(type STREQUAL "UTILITY")
      list(APPEND built "${file}") # of Zephyr's build: its target is not the file
    endif()
  endforeach()
  set(limits ${TIMEOUT} ${STACK_SIZE} ${HEAP_SIZE} ${MAX_INSTRUCTIONS})
  if(arg_AT_BUILD)
    if(TARGET "${test}")
      message(FATAL_ERROR "${who}: there is already a target of this name")
    endif()
    set(first "")
    if(_llext_unproven) # the manifest of Zephyr's extension, which may not outlast a run that fails
      set(first COMMAND "${CMAKE_COMMAND}" -E rm -f "${_llext_unproven}")
    endif()
    add_custom_command(
      OUTPUT "${record}"
      ${first}
      COMMAND ${run} "--call=${arg_CALL}" ${PROTOTYPE} ${EXPECT_RETURN} ${EXPECT_OUTPUT} ${limits}
      DEPENDS ${built} ${exports_files} ${exports_targets} ${python}
      WORKING_DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}"
      COMMENT "Running ${test}"
      VERBATIM)
    add_custom_target(${test} ALL DEPENDS "${record}")
    set_property(GLOBAL APPEND PROPERTY LLEXT_BUILT "${test}")
    set(listed "")
  else()
    if(TEST "${test}")
      message(FATAL_ERROR "${who}: there is already a test of this name")
    endif()
    add_test(NAME ${test}
      COMMAND ${run} "--call=${arg_CALL}" ${PROTOTYPE} ${EXPECT_RETURN} ${EXPECT_OUTPUT} ${limits}
      WORKING_DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}")
    # A test without its extension is "Not Run", which fails ctest as well, but does not blame the test.
    set_tests_properties(${test} PROPERTIES LABELS llext REQUIRED_FILES "${required}")
    set(listed "${CMAKE_CURRENT_BINARY_DIR}/CTestTestfile.cmake")
  endif()
  set_property(GLOBAL APPEND PROPERTY LLEXT_RUNS "${record}\t${test}\t${listed}")
  get_target_property(imported "${arg_EXTENSION}" IMPORTED)
  if(NOT imported)
    set_property(TARGET "${arg_EXTENSION}" APPEND PROPERTY LLEXT_RUNS "${record}") # for llext_install()
  endif()
endfunction()

# llext-runs.txt: the record of each test, the test and the file that tells CTest of it, none if it is a build step; with
# tabs between them. `llext build` reads it, as it does llext-extensions.txt.
get_property(_llext_listed GLOBAL PROPERTY LLEXT_RUNS_LISTED)
if(NOT _llext_listed)
  set_property(GLOBAL PROPERTY LLEXT_RUNS_LISTED TRUE)
  cmake_language(DEFER DIRECTORY "${CMAKE_SOURCE_DIR}" CALL _llext_list LLEXT_RUNS llext-runs.txt)
endif()

# _llext_check_host(<who>): refuse devices and overrides that `llext run` would not take. The files are looked at then.
function(_llext_check_host who)
  set(kinds zero ram cmsdk-uart pl011 stm32-usart uart16550)
  foreach(device IN LISTS arg_MMIO)
    if(NOT device MATCHES "^(0[xX][0-9a-fA-F]+|[0-9]+)[+](0[xX][0-9a-fA-F]+|[0-9]+)[KkMm]?=(.+)$")
      _llext_check_word("${who}" "${device}" ${keywords})
      message(FATAL_ERROR "${who}: MMIO '${device}' is not of the form START+SIZE=KIND, such as 0x40004000+4K=zero")
    endif()
    set(kind "${CMAKE_MATCH_3}")
    if(NOT kind IN_LIST kinds AND NOT kind MATCHES "^python:.+:[A-Za-z_][A-Za-z_0-9]*$")
      list(JOIN kinds ", " known)
      message(FATAL_ERROR "${who}: MMIO '${device}': there is no kind '${kind}'; the kinds are ${known}, python:FILE:NAME")
    endif()
  endforeach()
  foreach(override IN LISTS arg_OVERRIDE)
    if(NOT override MATCHES "^[A-Za-z_][A-Za-z_0-9]*=.+$")
      _llext_check_word("${who}" "${override}" ${keywords})
      message(FATAL_ERROR "${who}: OVERRIDE '${override}' is not of the form NAME=VALUE or NAME=FILE:FUNCTION")
    endif()
  endforeach()
endfunction()
