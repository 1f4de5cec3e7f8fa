# Checks of the source, not of the program: they run once, with the release build's tests (label lint). 77 is "skipped".
find_package(Python3 REQUIRED COMPONENTS Interpreter)
add_test(NAME lint/includes COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/tests/lint/includes.py)
add_test(NAME lint/sizes COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/tests/lint/sizes.py)
add_test(NAME lint/limits COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/tests/lint/limits.py)
add_test(NAME lint/lints COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/tests/lint/test_lint.py)
add_test(NAME lint/format COMMAND ${CMAKE_SOURCE_DIR}/tests/lint/format.sh)
add_test(NAME lint/scripts COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/tests/setup/test_scripts.py)
set_tests_properties(lint/includes lint/sizes lint/limits lint/lints lint/format lint/scripts PROPERTIES LABELS lint SKIP_RETURN_CODE 77 TIMEOUT 120)
# The analyzer's part takes minutes: scripts/tidy without --quick, by hand.
add_test(NAME lint/tidy COMMAND ${CMAKE_SOURCE_DIR}/scripts/tidy --quick -p ${CMAKE_BINARY_DIR})
set_tests_properties(lint/tidy PROPERTIES LABELS "lint;long" SKIP_RETURN_CODE 77 TIMEOUT 240)
add_test(NAME lint/freestanding COMMAND ${CMAKE_SOURCE_DIR}/tests/lint/freestanding.sh)
set_tests_properties(lint/freestanding PROPERTIES LABELS lint SKIP_RETURN_CODE 77 TIMEOUT 240)
# The compiler's opinion where nobody builds every day: optimised more, and a host of 32 bits.
foreach(lint release 32bit)
  add_test(NAME lint/${lint} COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/tests/lint/hosts.py ${lint} ${CMAKE_BINARY_DIR})
  set_tests_properties(lint/${lint} PROPERTIES LABELS "lint;long" SKIP_RETURN_CODE 77 TIMEOUT 400)
endforeach()
