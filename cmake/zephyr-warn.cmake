# Checks an extension for llext_check_target(... WARN_ONLY), which sets the variables llext_...: findings are printed, and
# the build goes on. A wrong command line still ends it.

execute_process(COMMAND ${llext_check} RESULT_VARIABLE llext_result)
if(llext_result EQUAL 2 OR NOT llext_result MATCHES "^[0-9]+$")
  message(FATAL_ERROR "${llext_who}: the check could not be made (${llext_result})")
elseif(NOT llext_result EQUAL 0)
  message("${llext_who}: WARN_ONLY: the check failed (${llext_result}), and the build goes on")
endif()
