#[=======================================================================[.rst:
.. cmake:variable:: LLEXT_PROFILE

   The loader that extensions are for, one of ``llext profiles``: what :cmake:command:`llext_add_extension` takes when it
   is called without ``PROFILE``. Empty, as it is at first, it is the default of the command line.
#]=======================================================================]

if(NOT DEFINED LLEXT_PROFILE) # a project with old policies would lose a variable of its own
  set(LLEXT_PROFILE "" CACHE STRING "the loader that extensions are for, one of 'llext profiles'")
endif()

# _llext_profile(<who> <variable> <source> <name>): refuse a loader profile that the command line does not know; <source>
# says who gave it. <variable> is the option for the command line, none for an empty name. Low level.
function(_llext_profile who out_options source profile)
  set(${out_options} "" PARENT_SCOPE)
  if(profile STREQUAL "")
    return()
  endif()
  get_property(known GLOBAL PROPERTY LLEXT_PROFILES) # each name is asked for once
  if(NOT profile IN_LIST known)
    execute_process(
      COMMAND ${LLEXT_COMMAND} profiles -- "${profile}"
      OUTPUT_QUIET
      ERROR_VARIABLE error
      RESULT_VARIABLE result)
    if(NOT result EQUAL 0)
      message(FATAL_ERROR "${who}: ${source} '${profile}' is not a loader profile\n${error}")
    endif()
    set_property(GLOBAL APPEND PROPERTY LLEXT_PROFILES "${profile}")
  endif()
  set(${out_options} --profile "${profile}" PARENT_SCOPE)
endfunction()

# _llext_chosen_profile(): what arg_PROFILE says, else LLEXT_PROFILE, in ${profile}, and ${profile_options} for it; ${who} is the
# caller's. Low level.
macro(_llext_chosen_profile)
  set(profile "${arg_PROFILE}")
  set(profile_from PROFILE)
  if(profile STREQUAL "")
    set(profile "${LLEXT_PROFILE}")
    set(profile_from LLEXT_PROFILE)
  endif()
  _llext_profile("${who}" profile_options ${profile_from} "${profile}")
endmacro()
