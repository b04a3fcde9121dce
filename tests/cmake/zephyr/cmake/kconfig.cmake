# .config, autoconf.h and the variables CONFIG_...: the defaults of the architecture, then prj.conf.

set(standin_arm
  CONFIG_ARM=y CONFIG_CPU_CORTEX_M4=y CONFIG_LLEXT_TYPE_ELF_OBJECT=y)
set(standin_riscv
  CONFIG_RISCV=y CONFIG_RISCV_ISA_RV32I=y CONFIG_RISCV_ISA_EXT_M=y CONFIG_RISCV_ISA_EXT_A=y CONFIG_RISCV_ISA_EXT_C=y
  CONFIG_LLEXT_TYPE_ELF_RELOCATABLE=y)
set(standin_lines
  CONFIG_LLEXT=y CONFIG_LLEXT_HEAP_K_HEAP=y CONFIG_LLEXT_HEAP_SIZE=8 "CONFIG_KERNEL_BIN_NAME=\"zephyr\""
  ${standin_${STANDIN_ARCH}})
if(EXISTS "${APPLICATION_SOURCE_DIR}/prj.conf")
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${APPLICATION_SOURCE_DIR}/prj.conf")
  file(STRINGS "${APPLICATION_SOURCE_DIR}/prj.conf" standin_own REGEX "^CONFIG_")
  list(APPEND standin_lines ${standin_own})
endif()

set(standin_names "")
foreach(line IN LISTS standin_lines)
  string(REGEX MATCH "^(CONFIG_[A-Z0-9_]+)=\"?([^\"]*)\"?$" matched "${line}")
  list(APPEND standin_names "${CMAKE_MATCH_1}")
  set(${CMAKE_MATCH_1} "${CMAKE_MATCH_2}")
endforeach()
list(REMOVE_DUPLICATES standin_names)
set(standin_config "")
set(standin_header "")
foreach(name IN LISTS standin_names)
  set(value "${${name}}")
  if(value STREQUAL n)
    unset(${name})
    string(APPEND standin_config "# ${name} is not set\n")
  elseif(value STREQUAL y)
    string(APPEND standin_config "${name}=y\n")
    string(APPEND standin_header "#define ${name} 1\n")
  elseif(value MATCHES "^[0-9]+$")
    string(APPEND standin_config "${name}=${value}\n")
    string(APPEND standin_header "#define ${name} ${value}\n")
  else()
    string(APPEND standin_config "${name}=\"${value}\"\n")
    string(APPEND standin_header "#define ${name} \"${value}\"\n")
  endif()
endforeach()
file(CONFIGURE OUTPUT "${DOTCONFIG}" CONTENT "${standin_config}" @ONLY)
file(CONFIGURE OUTPUT "${ZEPHYR_BINARY_DIR}/include/generated/zephyr/autoconf.h" CONTENT "${standin_header}" @ONLY)
