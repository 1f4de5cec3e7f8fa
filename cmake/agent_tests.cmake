# The Python agent by itself, driven over pipes (tests/agent/driver.py), with every Python that scripts/pythons finds; and what its
# source may say. They do not depend on how the C code was built, hence the label of what runs once.
find_package(Python3 REQUIRED COMPONENTS Interpreter)
foreach(lint py24 test_py24)
  add_test(NAME lint/${lint} COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/tests/lint/${lint}.py)
  set_tests_properties(lint/${lint} PROPERTIES LABELS lint TIMEOUT 60)
endforeach()
foreach(test calls logs imports life exec streams listening)
  if(NOT EXISTS ${CMAKE_SOURCE_DIR}/tests/agent/test_${test}.py)
    continue()
  endif()
  add_test(NAME agent/${test} COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/tests/agent/test_${test}.py)
  set_tests_properties(agent/${test} PROPERTIES LABELS lint COST 40 TIMEOUT 110)
  if(test MATCHES "streams|listening") # two languages; half a minute each
    set_tests_properties(agent/${test} PROPERTIES ENVIRONMENT "AGENT_PYTHONS=2.7 3.13" TIMEOUT 200 RUN_SERIAL TRUE)
  endif()
  if(test MATCHES "logs|life|exec") # they wait for time to pass: the oldest, the middle and the newest
    set_tests_properties(agent/${test} PROPERTIES ENVIRONMENT "AGENT_PYTHONS=2.7 3.6 3.13")
  endif()
endforeach()
