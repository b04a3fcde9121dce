# Looks at an extension when Zephyr has packaged it: a command of llext_check_target(), which sets the variables llext_...
# and runs it in every build. It puts the debug information beside the extension and checks what needs no firmware, once
# for each state of the files. Warnings are for the check against the firmware, which follows.

if(EXISTS "${llext_input}")
  file(COPY_FILE "${llext_input}" "${llext_debug}" ONLY_IF_DIFFERENT)
endif()
set(llext_due FALSE)
foreach(file IN LISTS llext_file llext_also CMAKE_PARENT_LIST_FILE)
  if("${file}" IS_NEWER_THAN "${llext_stamp}")
    set(llext_due TRUE)
  endif()
endforeach()
if(llext_due AND NOT llext_warn_only)
  file(REMOVE "${llext_stamp}")
  execute_process(
    COMMAND ${llext_check}
    WORKING_DIRECTORY "${llext_folder}"
    OUTPUT_VARIABLE llext_text
    ERROR_VARIABLE llext_text
    RESULT_VARIABLE llext_result)
  if(NOT llext_result EQUAL 0)
    execute_process(COMMAND "${CMAKE_COMMAND}" -E echo_append "${llext_text}")
    message(FATAL_ERROR "${llext_who}: the check of ${llext_file} failed (${llext_result})")
  endif()
  file(TOUCH "${llext_stamp}")
endif()
