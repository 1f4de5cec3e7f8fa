# What tests/native-boot/run puts in the native agent's place, and the loaders as they are sent.
if(NOT ECONTEXT_SANITIZE) # a static program has no sanitizer
  add_executable(native_boot_standin ${CMAKE_SOURCE_DIR}/tests/native-boot/standin.c)
  target_link_options(native_boot_standin PRIVATE -static)
  add_executable(native_boot_line ${CMAKE_SOURCE_DIR}/tests/native-boot/line.c $<TARGET_OBJECTS:layer_preamble>)
endif()
