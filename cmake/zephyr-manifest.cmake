# Puts the manifest of an extension in its place: a step of llext_check_target(... CALL ...), with the variables
# llext_..., behind the check and all runs. There is none where WARN_ONLY has let pass what the check found.

if(NOT EXISTS "${llext_checked}")
  return()
endif()
file(COPY_FILE "${llext_checked}" "${llext_manifest}")
execute_process(
  COMMAND ${llext_command} manifest "${llext_manifest}" --runs ${llext_runs} -o "${llext_manifest}"
  RESULT_VARIABLE llext_result)
if(NOT llext_result EQUAL 0)
  file(REMOVE "${llext_manifest}")
  message(FATAL_ERROR "${llext_who}: no manifest was made (${llext_result})")
endif()
