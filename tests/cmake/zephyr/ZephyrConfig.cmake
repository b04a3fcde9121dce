# A stand-in for find_package(Zephyr), for tests of what is built on Zephyr's functions for extensions: the same names,
# arguments, targets and properties, and next to nothing behind them.
#
# STANDIN_ARCH is arm or riscv, STANDIN_PACKAGES is how extensions are packaged: 4.2 or 4.3. Lines of ${APPLICATION_SOURCE_DIR}/prj.conf are added to the configuration.

set(APPLICATION_SOURCE_DIR "${CMAKE_CURRENT_SOURCE_DIR}")
set(ZEPHYR_BASE "${CMAKE_CURRENT_LIST_DIR}")
set(ZEPHYR_BINARY_DIR "${CMAKE_BINARY_DIR}/zephyr")
set(DOTCONFIG "${ZEPHYR_BINARY_DIR}/.config")
if(NOT STANDIN_PACKAGES)
  set(STANDIN_PACKAGES 4.3)
endif()
if(NOT KERNEL_VERSION_STRING)
  set(KERNEL_VERSION_STRING 4.2.0)
endif()

include("${ZEPHYR_BASE}/cmake/kconfig.cmake")
include("${ZEPHYR_BASE}/cmake/toolchain.cmake")
include("${ZEPHYR_BASE}/cmake/extensions.cmake")
# Zephyr's own project comes first. That of the application, which follows, changes PROJECT_BINARY_DIR again.
project(Zephyr-Kernel LANGUAGES C)
set(PROJECT_BINARY_DIR "${ZEPHYR_BINARY_DIR}")
if(CONFIG_LLEXT_TYPE_ELF_SHAREDLIB)
  set_property(GLOBAL PROPERTY TARGET_SUPPORTS_SHARED_LIBS TRUE)
endif()
add_subdirectory("${ZEPHYR_BASE}/kernel" "${ZEPHYR_BINARY_DIR}")
