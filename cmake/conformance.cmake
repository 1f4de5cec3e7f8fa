# What tests/conformance/run drives: the C implementation of the protocol, the process at the far end of its child links, and
# the Python agent's bytes as the program sends them.
add_executable(conformance_host ${CMAKE_SOURCE_DIR}/tests/conformance/host.c ${CMAKE_SOURCE_DIR}/tests/conformance/host_child.c
  $<TARGET_OBJECTS:layer_core> $<TARGET_OBJECTS:layer_router> $<TARGET_OBJECTS:layer_service> $<TARGET_OBJECTS:layer_io>)
target_link_libraries(conformance_host PRIVATE ${ECONTEXT_LIBS})
add_executable(conformance_child ${CMAKE_SOURCE_DIR}/tests/conformance/child.c)
add_executable(conformance_agent ${CMAKE_SOURCE_DIR}/tests/conformance/agent.c $<TARGET_OBJECTS:layer_preamble>)
# Faults planted in the router and in the agent, which the vectors must notice (tests/conformance/run is the run itself).
find_package(Python3 REQUIRED COMPONENTS Interpreter)
add_test(NAME conformance/planted COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/tests/conformance/planted ${CMAKE_BINARY_DIR})
set_tests_properties(conformance/planted PROPERTIES LABELS long SKIP_RETURN_CODE 77 TIMEOUT ${PATIENCE})
