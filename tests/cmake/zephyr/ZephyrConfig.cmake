# A stand-in for find_package(Zephyr), for tests of what is built on Zephyr's functions for extensions: the same names,
# arguments, targets and properties, and next to nothing behind them.
#
# STANDIN_ARCH is arm or riscv. Lines of ${APPLICATION_SOURCE_DIR}/prj.conf are added to the configuration.

set(APPLICATION_SOURCE_DIR "${CMAKE_CURRENT_SOURCE_DIR}")
set(ZEPHYR_BASE "${CMAKE_CURRENT_LIST_DIR}")
set(ZEPHYR_BINARY_DIR "${CMAKE_BINARY_DIR}/zephyr")
set(DOTCONFIG "${ZEPHYR_BINARY_DIR}/.config")
if(NOT KERNEL_VERSION_STRING)
  set(KERNEL_VERSION_STRING 4.2.0)
endif()

include("${ZEPHYR_BASE}/cmake/kconfig.cmake")
include("${ZEPHYR_BASE}/cmake/toolchain.cmake")
include("${ZEPHYR_BASE}/cmake/extensions.cmake")
add_subdirectory("${ZEPHYR_BASE}/kernel" "${ZEPHYR_BINARY_DIR}")
