# The functions for extensions, with the arguments, targets and properties that Zephyr's have.

function(llext_compile_options target_name)
  target_compile_options(${target_name}_llext_lib PRIVATE ${ARGN})
endfunction()

function(llext_compile_definitions target_name)
  target_compile_definitions(${target_name}_llext_lib PRIVATE ${ARGN})
endfunction()

function(llext_include_directories target_name)
  target_include_directories(${target_name}_llext_lib PRIVATE ${ARGN})
endfunction()

function(add_llext_target target_name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" OUTPUT SOURCES)
  set(lib ${target_name}_llext_lib)
  set(folder "${PROJECT_BINARY_DIR}/llext")
  if(CONFIG_LLEXT_TYPE_ELF_OBJECT)
    add_library(${lib} OBJECT EXCLUDE_FROM_ALL ${arg_SOURCES})
    set(lib_output $<TARGET_OBJECTS:${lib}>)
  else()
    if(CONFIG_LLEXT_TYPE_ELF_SHAREDLIB)
      add_library(${lib} SHARED EXCLUDE_FROM_ALL ${arg_SOURCES})
    else()
      add_executable(${lib} EXCLUDE_FROM_ALL ${arg_SOURCES})
      target_link_options(${lib} PRIVATE $<TARGET_PROPERTY:linker,partial_linking>)
      set_target_properties(${lib} PROPERTIES SUFFIX ${CMAKE_C_OUTPUT_EXTENSION})
    endif()
    target_link_options(${lib} PRIVATE ${LLEXT_APPEND_FLAGS})
    set_target_properties(${lib} PROPERTIES
      RUNTIME_OUTPUT_DIRECTORY "${folder}"
      LIBRARY_OUTPUT_DIRECTORY "${folder}")
    set(lib_output $<TARGET_FILE:${lib}>)
  endif()
  list(TRANSFORM LLEXT_REMOVE_FLAGS REPLACE "(.+)" "^\\1$" OUTPUT_VARIABLE unwanted)
  list(JOIN unwanted "|" unwanted)
  foreach(property IN ITEMS COMPILE_OPTIONS COMPILE_DEFINITIONS INCLUDE_DIRECTORIES)
    set(firmware_${property} $<TARGET_PROPERTY:zephyr_interface,INTERFACE_${property}>)
  endforeach()
  target_compile_options(${lib} PRIVATE "$<FILTER:${firmware_COMPILE_OPTIONS},EXCLUDE,${unwanted}>" ${LLEXT_APPEND_FLAGS})
  target_compile_definitions(${lib} PRIVATE ${firmware_COMPILE_DEFINITIONS} LL_EXTENSION_BUILD)
  target_include_directories(${lib} PRIVATE ${firmware_INCLUDE_DIRECTORIES})
  add_dependencies(${lib} zephyr_interface zephyr_generated_headers)

  # From what is linked to the input of the packaging, as a copy or by commands of POST_BUILD.
  set(proc ${target_name}_llext_proc)
  set(noop "${CMAKE_COMMAND}" -E true)
  set(convert
    COMMAND $<TARGET_PROPERTY:bintools,elfconvert_command> $<TARGET_PROPERTY:bintools,elfconvert_flag>
            $<TARGET_PROPERTY:bintools,elfconvert_flag_strip_unneeded>
            $<TARGET_PROPERTY:bintools,elfconvert_flag_section_remove>.ARM.exidx*
            $<TARGET_PROPERTY:bintools,elfconvert_flag_section_remove>.rel.ARM.exidx*)
  file(MAKE_DIRECTORY "${folder}")
  if(STANDIN_PACKAGES VERSION_LESS 4.3)
    set(pkg_input "${PROJECT_BINARY_DIR}/${target_name}.llext.pkg_input")
    set(input_depends ${lib} ${lib_output})
    set(proc_depends "${pkg_input}")
    set(output_depends ${proc})
    if(CONFIG_LLEXT_TYPE_ELF_OBJECT)
      set(convert COMMAND "${CMAKE_COMMAND}" -E copy)
    endif()
  else()
    set(pkg_input "${folder}/${target_name}_debug.elf")
    set(input_depends ${proc}) # a target without a file: nothing is packaged because a source has changed
    set(proc_depends ${lib} ${lib_output})
    set(output_depends "")
  endif()
  add_custom_target(${proc} DEPENDS ${proc_depends})
  set_property(TARGET ${proc} PROPERTY has_post_build_cmds 0)
  set(copy "${CMAKE_COMMAND}" -E copy ${lib_output} ${pkg_input})
  add_custom_command(OUTPUT ${pkg_input}
    COMMAND "$<IF:$<TARGET_PROPERTY:${proc},has_post_build_cmds>,${noop},${copy}>"
    DEPENDS ${input_depends}
    COMMAND_EXPAND_LISTS)
  set(slids ${noop})
  if(CONFIG_LLEXT_EXPORT_BUILTINS_BY_SLID AND NOT STANDIN_FORGETS_SLIDS)
    set(slids ${LLEXT_COMMAND} slid ${arg_OUTPUT})
  endif()
  add_custom_command(OUTPUT ${arg_OUTPUT}
    ${convert} ${pkg_input} ${arg_OUTPUT}
    COMMAND ${slids}
    DEPENDS ${output_depends} ${pkg_input}
    COMMAND_EXPAND_LISTS)
  get_filename_component(name ${arg_OUTPUT} NAME)
  add_custom_target(${target_name} COMMENT "Generating ${name}" DEPENDS ${arg_OUTPUT})
  set_target_properties(${target_name} PROPERTIES
    lib_target ${lib}
    lib_output ${lib_output}
    pkg_input ${pkg_input}
    pkg_output ${arg_OUTPUT})
endfunction()

function(add_llext_command)
  cmake_parse_arguments(PARSE_ARGV 0 arg "PRE_BUILD;POST_BUILD;POST_PKG" TARGET "")
  if(NOT TARGET ${arg_TARGET}_llext_lib)
    message(FATAL_ERROR "add_llext_command: not an llext target: ${arg_TARGET}")
  endif()
  set(step POST_BUILD)
  if(arg_PRE_BUILD)
    set(target ${arg_TARGET}_llext_lib)
    set(step PRE_LINK)
  elseif(arg_POST_BUILD)
    set(target ${arg_TARGET}_llext_proc)
    set_property(TARGET ${target} PROPERTY has_post_build_cmds 1)
  elseif(arg_POST_PKG)
    set(target ${arg_TARGET})
  else()
    message(FATAL_ERROR "add_llext_command: build step must be provided")
  endif()
  list(GET arg_UNPARSED_ARGUMENTS 0 word)
  if(NOT word STREQUAL "COMMAND")
    message(FATAL_ERROR "add_llext_command: the first word is '${word}', not COMMAND")
  endif()
  add_custom_command(TARGET ${target} ${step} ${arg_UNPARSED_ARGUMENTS} COMMAND_EXPAND_LISTS)
endfunction()

function(generate_inc_file_for_target target source_file generated_file)
  get_filename_component(name ${generated_file} NAME)
  string(MAKE_C_IDENTIFIER "gen_${name}" name)
  add_custom_command(OUTPUT ${generated_file}
    COMMAND "${CMAKE_COMMAND}" "-Dinput=${source_file}" "-Doutput=${generated_file}" -P "${ZEPHYR_BASE}/cmake/file2hex.cmake"
    DEPENDS ${source_file}
    VERBATIM)
  add_custom_target(${name} DEPENDS ${generated_file})
  add_dependencies(${target} ${name})
endfunction()
