# Installs the manifest of one extension, with the runs that have passed until now. Part of what llext_install() has
# CMake do at installation; the variables llext_... are set before.

get_filename_component(llext_name "${llext_manifest}" NAME)
file(MAKE_DIRECTORY "${llext_stage}")
set(llext_options "")
if(llext_runs)
  set(llext_options --runs ${llext_runs})
endif()
execute_process(
  COMMAND ${llext_command} manifest "${llext_manifest}" ${llext_options} -o "${llext_stage}/${llext_name}"
  RESULT_VARIABLE llext_result
  OUTPUT_VARIABLE llext_error
  ERROR_VARIABLE llext_error)
if(NOT llext_result EQUAL 0)
  message(FATAL_ERROR "${llext_who}: no manifest to install (${llext_result})\n${llext_error}")
endif()
if(NOT IS_ABSOLUTE "${llext_destination}")
  set(llext_destination "${CMAKE_INSTALL_PREFIX}/${llext_destination}")
endif()
file(INSTALL DESTINATION "${llext_destination}" TYPE FILE FILES "${llext_stage}/${llext_name}")
