# The version is the Python package's, read where it is defined: ../../.. in an installed wheel, .. in a checkout.
# A newer version is compatible while the first number is the same; before 1.0, while the second is, too.

foreach(_llext_init IN ITEMS "${CMAKE_CURRENT_LIST_DIR}/../../../__init__.py"
                             "${CMAKE_CURRENT_LIST_DIR}/../llext_tools/__init__.py")
  if(EXISTS "${_llext_init}")
    file(STRINGS "${_llext_init}" _llext_line REGEX "^__version__ = ")
    if(_llext_line MATCHES "\"(([0-9]+)\\.([0-9]+)[^\"]*)\"")
      set(PACKAGE_VERSION "${CMAKE_MATCH_1}")
      set(_llext_series "${CMAKE_MATCH_2}")
      if(CMAKE_MATCH_2 EQUAL 0)
        set(_llext_series "0.${CMAKE_MATCH_3}")
      endif()
      break()
    endif()
  endif()
endforeach()

if(PACKAGE_FIND_VERSION_RANGE)
  if(PACKAGE_VERSION VERSION_GREATER_EQUAL PACKAGE_FIND_VERSION_MIN
     AND ((PACKAGE_FIND_VERSION_RANGE_MAX STREQUAL "INCLUDE"
           AND PACKAGE_VERSION VERSION_LESS_EQUAL PACKAGE_FIND_VERSION_MAX)
          OR (PACKAGE_FIND_VERSION_RANGE_MAX STREQUAL "EXCLUDE"
              AND PACKAGE_VERSION VERSION_LESS PACKAGE_FIND_VERSION_MAX)))
    set(PACKAGE_VERSION_COMPATIBLE TRUE)
  endif()
elseif(PACKAGE_VERSION VERSION_GREATER_EQUAL PACKAGE_FIND_VERSION)
  if("${PACKAGE_FIND_VERSION}." MATCHES "^${_llext_series}\\.")
    set(PACKAGE_VERSION_COMPATIBLE TRUE)
  endif()
  if(PACKAGE_VERSION VERSION_EQUAL PACKAGE_FIND_VERSION)
    set(PACKAGE_VERSION_EXACT TRUE)
  endif()
endif()
