#[=======================================================================[.rst:
.. cmake:command:: llext_install

   Install extensions, and make a package of them that other projects find. ::

     llext_install(<target>...        # from llext_add_extension()
       [DESTINATION <dir>]            # below the prefix; default: lib/llext/<LLEXT_TARGET>-<toolchain>
       [COMPONENT <name>]             # of extension, manifest and package; default: llext
       [DEBUG_COMPONENT <name>]       # of the file that debuggers read; default: <COMPONENT>-debug
       [EXPORT <package>]             # make them known to find_package(<package>)
       [NAMESPACE <prefix>::]         # of their names there; default: that of the package
       [VERSION <version>])           # of the package; default: PROJECT_VERSION

   Each extension is installed with its manifest and its debug file. The manifest that is installed also lists the runs of
   :cmake:command:`llext_add_test` that passed with just this file. ``cmake --install build --component llext`` leaves
   the debug files out; CPack makes archives of the same components.

   With ``EXPORT`` a package lies in ``lib/cmake/<package>``. Builds for several targets may be installed to one prefix, one
   after the other. It can be moved, and needs neither llext-tools nor a toolchain file where it is used. ::

     find_package(MyExtensions REQUIRED)           # or COMPONENTS blink log: the extensions that must be there
     get_target_property(file MyExtensions::blink LLEXT_OUTPUT)

   ``MyExtensions::blink`` is the extension for the ``LLEXT_TARGET`` of the project that looks for it. ``LLEXT_TOOLCHAIN``,
   if it is ``gcc`` or ``zig``, chooses between two builds for one target; else gcc goes first. Without ``LLEXT_TARGET``
   there is a short name if all extensions are for one target. ``MyExtensions::cortex-m4-gcc::blink`` is always there,
   for each target, and ``MyExtensions_TARGETS`` lists those: ``cortex-m4-gcc;rv32imac-zig``.

   These targets have the properties ``LLEXT_OUTPUT``, ``LLEXT_MANIFEST``, ``LLEXT_TARGET``, ``LLEXT_TOOLCHAIN``,
   ``LLEXT_PROFILE``, and ``LLEXT_DEBUG_FILE``, which is empty if that component is not installed.
   :cmake:command:`llext_add_test` and ``EXTENSIONS`` of :cmake:command:`llext_add_extension` take them as they take
   those of the project. A version fits while its first number is the one asked for.
#]=======================================================================]

function(llext_install)
  set(here "${CMAKE_CURRENT_FUNCTION_LIST_DIR}")
  include("${here}/LlextCommand.cmake")
  set(keywords DESTINATION COMPONENT DEBUG_COMPONENT EXPORT NAMESPACE VERSION)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "${keywords}" "")
  set(targets "${arg_UNPARSED_ARGUMENTS}")
  list(JOIN targets " " names)
  set(who "llext_install(${names})")
  unset(arg_UNPARSED_ARGUMENTS)
  _llext_check_arguments("${who}" ${keywords})
  if(targets STREQUAL "") # one may be called `n`
    message(FATAL_ERROR "${who}: which extensions? Name at least one target of llext_add_extension()")
  endif()
  _llext_extensions("${who}" files ${targets})
  foreach(target IN LISTS targets)
    get_target_property(imported "${target}" IMPORTED)
    if(imported)
      message(FATAL_ERROR "${who}: '${target}' was found, not built here; install it with the project that builds it")
    endif()
  endforeach()
  _llext_install_defaults("${who}")

  get_property(multi_config GLOBAL PROPERTY GENERATOR_IS_MULTI_CONFIG)
  foreach(target IN LISTS targets)
    get_target_property(output "${target}" LLEXT_OUTPUT)
    get_target_property(manifest "${target}" LLEXT_MANIFEST)
    if(NOT manifest)
      message(FATAL_ERROR "${who}: '${target}' is of Zephyr's build; install its files: install(FILES)")
    endif()
    cmake_path(GET output FILENAME filename)
    get_property(owner GLOBAL PROPERTY "LLEXT_INSTALLED:${arg_DESTINATION}/${filename}")
    if(owner)
      message(FATAL_ERROR "${who}: '${arg_DESTINATION}/${filename}' is installed already, from the extension '${owner}'")
    endif()
    set_property(GLOBAL PROPERTY "LLEXT_INSTALLED:${arg_DESTINATION}/${filename}" "${target}")
    get_property(number TARGET "${target}" PROPERTY LLEXT_INSTALLATIONS) # an extension may be installed to several folders
    math(EXPR number "0${number} + 1")
    set_property(TARGET "${target}" PROPERTY LLEXT_INSTALLATIONS ${number})

    # Before any file goes to its place, the manifest is made, which fails if one is not what was checked.
    # The script is written when the project is generated. Expressions in install(CODE) would need a policy of the project.
    set(folder "${CMAKE_CURRENT_BINARY_DIR}/CMakeFiles/${target}.dir/install")
    set(script one)
    set(script_at_install one)
    if(multi_config)
      set(script "$<LOWER_CASE:$<CONFIG>>")
      set(script_at_install "\${llext_config}")
    endif()
    file(GENERATE OUTPUT "${folder}/${number}/${script}.cmake" CONTENT "include_guard(GLOBAL)
set(llext_who [==[llext_install(${target})]==])
set(llext_command [==[${LLEXT_COMMAND}]==])
set(llext_manifest [==[${manifest}]==])
set(llext_runs [==[$<GENEX_EVAL:$<TARGET_PROPERTY:${target},LLEXT_RUNS>>]==])
set(llext_stage [==[${folder}]==])
include([==[${here}/install-manifest.cmake]==])
")
    foreach(component IN ITEMS "${arg_COMPONENT}" "${arg_DEBUG_COMPONENT}")
      install(CODE "string(TOLOWER \"\${CMAKE_INSTALL_CONFIG_NAME}\" llext_config)
include(\"${folder}/${number}/${script_at_install}.cmake\")" COMPONENT "${component}")
    endforeach()
    cmake_path(GET manifest FILENAME manifest_filename)
    install(FILES "${output}" "${folder}/${manifest_filename}" DESTINATION "${arg_DESTINATION}" COMPONENT "${arg_COMPONENT}")
    install(FILES "$<TARGET_FILE:${target}>" DESTINATION "${arg_DESTINATION}" COMPONENT "${arg_DEBUG_COMPONENT}")
  endforeach()
  if(arg_EXPORT)
    _llext_install_export("${who}" ${targets})
  endif()
endfunction()

# _llext_install_defaults(<who>): complete and check the arguments of llext_install(), in the caller's arg_ variables.
function(_llext_install_defaults who)
  foreach(needs_export IN ITEMS NAMESPACE VERSION)
    if(DEFINED arg_${needs_export} AND NOT arg_EXPORT)
      message(FATAL_ERROR "${who}: ${needs_export} is of a package; name one with EXPORT")
    endif()
  endforeach()
  if(arg_EXPORT AND NOT arg_EXPORT MATCHES "^[A-Za-z_][A-Za-z0-9_.+-]*$")
    message(FATAL_ERROR "${who}: EXPORT '${arg_EXPORT}' is not the name of a package, such as MyExtensions")
  endif()
  if(DEFINED arg_VERSION AND NOT arg_VERSION MATCHES "^[0-9]+(\\.[0-9]+)?(\\.[0-9]+)?(\\.[0-9]+)?$")
    message(FATAL_ERROR "${who}: VERSION '${arg_VERSION}' is not a version, such as 1.2.0")
  endif()
  if(NOT arg_DESTINATION)
    set(arg_DESTINATION "lib/llext/${LLEXT_TARGET}-${LLEXT_TOOLCHAIN_FOUND}")
  endif()
  cmake_path(NORMAL_PATH arg_DESTINATION)
  string(REGEX REPLACE "/$" "" arg_DESTINATION "${arg_DESTINATION}")
  if(arg_EXPORT AND (IS_ABSOLUTE "${arg_DESTINATION}" OR arg_DESTINATION MATCHES "^\\.\\.(/|$)"))
    message(FATAL_ERROR "${who}: DESTINATION '${arg_DESTINATION}' is not below the prefix, so that the package could not be moved; give a relative folder, or no EXPORT")
  endif()
  _llext_components()
  if(NOT DEFINED arg_NAMESPACE)
    set(arg_NAMESPACE "${arg_EXPORT}::")
  elseif(NOT arg_NAMESPACE MATCHES "^[A-Za-z_][A-Za-z0-9_.+-]*::$")
    message(FATAL_ERROR "${who}: NAMESPACE '${arg_NAMESPACE}' must end in '::', as in MyExtensions::")
  endif()
  if(NOT DEFINED arg_VERSION)
    set(arg_VERSION "${PROJECT_VERSION}")
  endif()
  foreach(name IN ITEMS DESTINATION COMPONENT DEBUG_COMPONENT NAMESPACE VERSION)
    set(arg_${name} "${arg_${name}}" PARENT_SCOPE)
  endforeach()
endfunction()

# _llext_install_export(<who> <target>...): add extensions to a package. Several calls, from any folder of the project, may
# add to one; it is written when the whole project has been read. Low level; arg_ variables as in llext_install().
function(_llext_install_export who)
  set(key "LLEXT_EXPORT:${arg_EXPORT}")
  get_property(known GLOBAL PROPERTY "${key}:names")
  foreach(same IN ITEMS NAMESPACE VERSION)
    get_property(before GLOBAL PROPERTY "${key}:${same}")
    if(known AND NOT before STREQUAL arg_${same})
      message(FATAL_ERROR "${who}: EXPORT ${arg_EXPORT} has ${same} '${before}' already, not '${arg_${same}}'")
    endif()
    set_property(GLOBAL PROPERTY "${key}:${same}" "${arg_${same}}")
  endforeach()
  if(NOT known)
    cmake_language(EVAL CODE
      "cmake_language(DEFER DIRECTORY [==[${CMAKE_SOURCE_DIR}]==] CALL _llext_install_package [==[${arg_EXPORT}]==] [==[${arg_COMPONENT}]==])")
  endif()
  foreach(target IN LISTS ARGN)
    if(target IN_LIST known)
      message(FATAL_ERROR "${who}: '${target}' is in EXPORT ${arg_EXPORT} already")
    endif()
    list(APPEND known "${target}")
    get_target_property(output "${target}" LLEXT_OUTPUT)
    get_target_property(manifest "${target}" LLEXT_MANIFEST)
    get_target_property(profile "${target}" LLEXT_PROFILE)
    cmake_path(GET output FILENAME filename)
    cmake_path(GET manifest FILENAME manifest_filename)
    set_property(GLOBAL APPEND_STRING PROPERTY "${key}:rows"
      "_llext_found([==[${target}]==] [==[${arg_DESTINATION}]==] [==[${filename}]==] [==[${manifest_filename}]==] [==[$<TARGET_FILE_NAME:${target}>]==] [==[${profile}]==])\n")
  endforeach()
  set_property(GLOBAL PROPERTY "${key}:names" "${known}")
endfunction()

# _llext_install_package(<package> <component>): write and install the files of a package. Called by CMake at the end.
function(_llext_install_package package component)
  foreach(value IN ITEMS NAMESPACE VERSION rows)
    get_property(${value} GLOBAL PROPERTY "LLEXT_EXPORT:${package}:${value}")
  endforeach()
  set(folder "${CMAKE_BINARY_DIR}/CMakeFiles/llext/${package}")
  set(job "${LLEXT_TARGET}-${LLEXT_TOOLCHAIN_FOUND}")
  configure_file("${CMAKE_CURRENT_FUNCTION_LIST_DIR}/PackageConfig.cmake.in" "${folder}/${package}Config.cmake" @ONLY)
  set(files "${folder}/${package}Config.cmake")
  if(NOT VERSION STREQUAL "")
    include(CMakePackageConfigHelpers)
    write_basic_package_version_file("${folder}/${package}ConfigVersion.cmake"
      VERSION "${VERSION}" COMPATIBILITY SameMajorVersion ARCH_INDEPENDENT)
    list(APPEND files "${folder}/${package}ConfigVersion.cmake")
  endif()
  file(GENERATE OUTPUT "${folder}/$<CONFIG>/${package}-${job}.cmake"
    CONTENT "# Made by llext_install(): what is installed for ${job}. ${package}Config.cmake reads it.\n_llext_build([==[${LLEXT_TARGET}]==] [==[${LLEXT_TOOLCHAIN_FOUND}]==] [==[${VERSION}]==])\n${rows}")
  install(FILES ${files} "${folder}/$<CONFIG>/${package}-${job}.cmake"
    DESTINATION "lib/cmake/${package}" COMPONENT "${component}")
endfunction()
