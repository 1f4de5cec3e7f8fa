# The Python agent by itself, driven over pipes (tests/agent/driver.py), each test with the newest Python that scripts/pythons finds and
# with one of the others, every second time the oldest (a test file that is run by hand: with all of them); and what its source may say.
# They do not depend on how the C code was built, hence the label of what runs once.
find_package(Python3 REQUIRED COMPONENTS Interpreter)
foreach(lint py24 test_py24)
  add_test(NAME lint/${lint} COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/tests/lint/${lint}.py)
  set_tests_properties(lint/${lint} PROPERTIES LABELS lint TIMEOUT ${PATIENCE})
endforeach()
# Those that wait longest for time to pass take the oldest and the newest only.
foreach(test calls logs imports life exec sessions run run_ends streams fair age scarce channels listening takeover relay files)
  set(environment AGENT_FILES=${CMAKE_BINARY_DIR}/generated/agent AGENT_SHARE=1)
  if(test MATCHES "streams|listening")
    list(APPEND environment "AGENT_PYTHONS=2.7 3.13")
  endif()
  add_test(NAME agent/${test} COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/tests/agent/test_${test}.py)
  set_tests_properties(agent/${test} PROPERTIES LABELS lint COST 40 TIMEOUT ${PATIENCE} ENVIRONMENT "${environment}")
endforeach()
add_test(NAME agent/window COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/tests/agent/test_window.py)
set_tests_properties(agent/window PROPERTIES LABELS lint TIMEOUT ${PATIENCE})
