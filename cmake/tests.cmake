# Unit tests: tests/unit/LAYER/test_NOUN.c (Criterion; under a sanitizer a plain one of ours) links LAYER and the layers under it only, so that a layer is
# testable while those above it do not build. tests/unit/mesh links everything. Label unit: what scripts/test runs under address
# sanitizer only, where it finds most; threads: under TSan as well.
set(PATIENCE 900) # s, after which a test hangs; what takes long on a busy machine is no failure
# Criterion counts a test as passed before its process ends, so it is blind to what LeakSanitizer then reports: the text of the
# report is what fails the test.
set(leaks "ERROR: LeakSanitizer")
if(ECONTEXT_SANITIZE)
  add_library(criterion INTERFACE)
  target_include_directories(criterion BEFORE INTERFACE ${CMAKE_SOURCE_DIR}/tests/support/plain)
else()
  pkg_check_modules(CRITERION REQUIRED IMPORTED_TARGET criterion)
  add_library(criterion ALIAS PkgConfig::CRITERION)
endif()
pkg_check_modules(CBOR_ORACLE IMPORTED_TARGET libcbor)
add_library(test_mem OBJECT ${CMAKE_SOURCE_DIR}/tests/support/mem.c)
set(under_core core)
set(under_router core router)
set(under_service core router service)
set(under_transport core transport)
set(under_topology core topology)
set(under_io core router service io)
foreach(layer core router service transport topology io)
  file(GLOB tests CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/unit/${layer}/test_*.c)
  foreach(test ${tests})
    get_filename_component(name ${test} NAME_WE)
    add_executable(${layer}_${name} ${test})
    if(NOT layer STREQUAL io) # which has the allocator hooks itself
      target_sources(${layer}_${name} PRIVATE $<TARGET_OBJECTS:test_mem>)
    endif()
    foreach(dep ${under_${layer}})
      if(TARGET layer_${dep})
        target_sources(${layer}_${name} PRIVATE $<TARGET_OBJECTS:layer_${dep}>)
      endif()
    endforeach()
    target_compile_options(${layer}_${name} PRIVATE -Wno-pedantic)
    target_link_libraries(${layer}_${name} PRIVATE criterion ${ECONTEXT_LIBS})
    if(CBOR_ORACLE_FOUND)
      target_link_libraries(${layer}_${name} PRIVATE PkgConfig::CBOR_ORACLE)
    endif()
    add_test(NAME ${layer}/${name} COMMAND ${layer}_${name})
    if(name STREQUAL test_loops) # which tries more where it is fast
      set(label model)
    else()
      set(label unit)
    endif()
    set_tests_properties(${layer}/${name} PROPERTIES LABELS ${label} TIMEOUT ${PATIENCE} FAIL_REGULAR_EXPRESSION "${leaks}")
  endforeach()
endforeach()
# A file of the program alone: what it prints with, and asks the library, are the test's own.
foreach(noun fold causes)
  add_executable(cli_test_${noun} ${CMAKE_SOURCE_DIR}/tests/unit/cli/test_${noun}.c ${CMAKE_SOURCE_DIR}/cli/${noun}.c ${CMAKE_SOURCE_DIR}/cli/alloc.c)
  target_compile_options(cli_test_${noun} PRIVATE -Wno-pedantic)
  target_link_libraries(cli_test_${noun} PRIVATE criterion)
  add_test(NAME cli/test_${noun} COMMAND cli_test_${noun})
  set_tests_properties(cli/test_${noun} PROPERTIES LABELS unit TIMEOUT ${PATIENCE} FAIL_REGULAR_EXPRESSION "${leaks}")
endforeach()
# The native agent's memory: it makes its system calls itself, and what it has in place of the C library must not be this program's.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|aarch64|armv7l|riscv64|i686)$")
  add_library(native_mem OBJECT ${CMAKE_SOURCE_DIR}/preamble/native/mem.c)
  foreach(function memcpy memmove memset memcmp)
    target_compile_definitions(native_mem PRIVATE ${function}=native_${function})
  endforeach()
  add_executable(native_test_mem ${CMAKE_SOURCE_DIR}/tests/unit/preamble/test_mem.c $<TARGET_OBJECTS:native_mem>)
  target_compile_options(native_test_mem PRIVATE -Wno-pedantic)
  target_link_libraries(native_test_mem PRIVATE criterion)
  add_test(NAME native/test_mem COMMAND native_test_mem)
  set_tests_properties(native/test_mem PROPERTIES LABELS unit TIMEOUT ${PATIENCE})
endif()
add_custom_target(threaded) # what a build for TSan needs
file(GLOB tests CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/unit/mesh/test_*.c)
foreach(test ${tests})
  get_filename_component(name ${test} NAME_WE)
  add_executable(mesh_${name} ${test})
  target_compile_options(mesh_${name} PRIVATE -Wno-pedantic)
  target_link_libraries(mesh_${name} PRIVATE econtext_testing criterion)
  add_dependencies(threaded mesh_${name})
  add_test(NAME mesh/${name} COMMAND mesh_${name})
  if(name MATCHES "leak|memory") # whose figures are those of a release build
    set(labels figures)
  else()
    set(labels "threads;unit")
  endif()
  set_tests_properties(mesh/${name} PROPERTIES LABELS "${labels}" COST 50 TIMEOUT ${PATIENCE} FAIL_REGULAR_EXPRESSION "${leaks}")
endforeach()
target_link_options(mesh_test_memory PRIVATE -Wl,--wrap=calloc)
target_link_options(mesh_test_no_memory PRIVATE -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=strdup)
# Where relays matter, once more with Python relays, and what takes too long for a sanitizer; that sees no more of them than of the
# native ones.
foreach(name test_asked test_call test_channel test_exec test_loss test_redial test_refused)
  if(ECONTEXT_SANITIZE)
    break()
  endif()
  add_test(NAME mesh/${name}-python COMMAND mesh_${name})
  set_tests_properties(mesh/${name}-python PROPERTIES LABELS threads COST 50 TIMEOUT ${PATIENCE} FAIL_REGULAR_EXPRESSION "${leaks}"
    ENVIRONMENT MESH_TEST_NATIVE=never)
endforeach()
# The import scan against Python's own parser, over the standard library of the Python that is there.
add_executable(imports_scan ${CMAKE_SOURCE_DIR}/tests/agent/imports_scan.c $<TARGET_OBJECTS:test_mem>
  $<TARGET_OBJECTS:layer_service> $<TARGET_OBJECTS:layer_router> $<TARGET_OBJECTS:layer_core>)
add_test(NAME service/imports_oracle
  COMMAND python3 ${CMAKE_SOURCE_DIR}/tests/agent/imports_oracle.py $<TARGET_FILE:imports_scan>)
set_tests_properties(service/imports_oracle PROPERTIES TIMEOUT ${PATIENCE})
# The boot dialogue against the real ssh, sudo and su of this machine.
add_executable(transport_play ${CMAKE_SOURCE_DIR}/tests/transport/play.c $<TARGET_OBJECTS:test_mem>
  $<TARGET_OBJECTS:layer_core> $<TARGET_OBJECTS:layer_transport>)
add_test(NAME transport/real COMMAND ${CMAKE_SOURCE_DIR}/tests/transport/real.sh $<TARGET_FILE:transport_play>)
set_tests_properties(transport/real PROPERTIES TIMEOUT ${PATIENCE})
if(EXISTS ${CMAKE_SOURCE_DIR}/cmake/fuzz.cmake)
  include(cmake/fuzz.cmake)
endif()
include(cmake/conformance.cmake)
include(cmake/native_boot.cmake)
include(cmake/agent_tests.cmake)
# The program with a clock that runs faster, for tests/patience/run.
if(TARGET econtext_program AND NOT ECONTEXT_SANITIZE)
  add_executable(econtext_hurried ${cli_sources} ${CMAKE_SOURCE_DIR}/tests/support/hurry.c)
  target_link_libraries(econtext_hurried PRIVATE econtext)
  set_target_properties(econtext_hurried PROPERTIES C_VISIBILITY_PRESET default) # for the libraries to find it
endif()
# What scripts/test wants of a release build: all but the units.
add_custom_target(programs DEPENDS conformance_host conformance_child conformance_agent imports_scan transport_play mesh_test_asked mesh_test_call
  mesh_test_channel mesh_test_exec mesh_test_leak mesh_test_loss mesh_test_memory mesh_test_no_memory
  mesh_test_redial mesh_test_refused router_test_loops)
foreach(target econtext econtext_program econtext_hurried native_boot_standin native_boot_line)
  if(TARGET ${target})
    add_dependencies(programs ${target})
  endif()
endforeach()
