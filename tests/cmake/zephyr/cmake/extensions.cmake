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
  set(proc ${target_name}_llext_proc)
  set(folder "${PROJECT_BINARY_DIR}/llext")
  if(CONFIG_LLEXT_TYPE_ELF_OBJECT)
    add_library(${lib} OBJECT EXCLUDE_FROM_ALL ${arg_SOURCES})
    set(lib_output $<TARGET_OBJECTS:${lib}>)
  else()
    set(link $<TARGET_PROPERTY:linker,partial_linking>)
    if(CONFIG_LLEXT_TYPE_ELF_SHAREDLIB)
      set(link -shared -nostdlib)
      target_compile_options(zephyr_interface INTERFACE -fPIC)
    endif()
    add_executable(${lib} EXCLUDE_FROM_ALL ${arg_SOURCES})
    target_link_options(${lib} PRIVATE ${link} $<TARGET_PROPERTY:zephyr_interface,INTERFACE_COMPILE_OPTIONS>)
    set_target_properties(${lib} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${folder}" SUFFIX .o)
    set(lib_output $<TARGET_FILE:${lib}>)
  endif()
  set(flags $<TARGET_PROPERTY:zephyr_interface,INTERFACE_COMPILE_OPTIONS>)
  target_compile_options(${lib} PRIVATE "$<FILTER:${flags},EXCLUDE,^${LLEXT_REMOVE_FLAGS}$>" ${LLEXT_APPEND_FLAGS})
  target_compile_definitions(${lib} PRIVATE LL_EXTENSION_BUILD)
  target_include_directories(${lib} PRIVATE $<TARGET_PROPERTY:zephyr_interface,INTERFACE_INCLUDE_DIRECTORIES>)
  add_dependencies(${lib} zephyr_interface zephyr_generated_headers)

  file(MAKE_DIRECTORY "${folder}")
  set(pkg_input "${folder}/${target_name}_debug.elf")
  add_custom_target(${proc} DEPENDS ${lib} ${lib_output})
  set_property(TARGET ${proc} PROPERTY has_post_build_cmds 0)
  set(copy "${CMAKE_COMMAND}" -E copy ${lib_output} ${pkg_input})
  add_custom_command(OUTPUT ${pkg_input}
    COMMAND "$<IF:$<TARGET_PROPERTY:${proc},has_post_build_cmds>,${CMAKE_COMMAND};-E;true,${copy}>"
    DEPENDS ${proc} ${lib_output}
    COMMAND_EXPAND_LISTS)
  set(slids "${CMAKE_COMMAND}" -E true)
  if(CONFIG_LLEXT_EXPORT_BUILTINS_BY_SLID AND NOT STANDIN_FORGETS_SLIDS)
    set(slids ${LLEXT_COMMAND} slid ${arg_OUTPUT})
  endif()
  add_custom_command(OUTPUT ${arg_OUTPUT}
    COMMAND $<TARGET_PROPERTY:bintools,elfconvert_command> $<TARGET_PROPERTY:bintools,elfconvert_flag_strip_unneeded>
            $<TARGET_PROPERTY:bintools,elfconvert_flag_section_remove>.ARM.exidx*
            $<TARGET_PROPERTY:bintools,elfconvert_flag_section_remove>.rel.ARM.exidx*
            ${pkg_input} ${arg_OUTPUT}
    COMMAND ${slids}
    DEPENDS ${pkg_input}
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
