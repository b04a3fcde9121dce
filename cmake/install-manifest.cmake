# Makes the manifest of one extension to install, with the runs that have passed until now, if the files are those that
# were checked. Part of what llext_install() has CMake do at installation, before all else; the variables llext_... are set.

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
string(REPLACE "\n" "\n  " llext_error "  ${llext_error}") # message() fills lines that are not indented
if(NOT llext_result EQUAL 0)
  message(FATAL_ERROR "${llext_who}: not installed (${llext_result})\n${llext_error}")
endif()
