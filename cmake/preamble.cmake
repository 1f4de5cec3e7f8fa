# The agent's bytes are built from preamble/python by preamble/build.py and embedded; see docs/boot.md.
find_package(Python3 REQUIRED COMPONENTS Interpreter)
set(ECONTEXT_GENERATED ${CMAKE_BINARY_DIR}/generated)
file(MAKE_DIRECTORY ${ECONTEXT_GENERATED})
file(GLOB_RECURSE agent_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/preamble/python/*.py
  ${CMAKE_SOURCE_DIR}/preamble/served/*.py
  ${CMAKE_SOURCE_DIR}/preamble/python/names.json)
add_custom_command(
  OUTPUT ${ECONTEXT_GENERATED}/preamble_python.c
  COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/preamble/build.py --out ${ECONTEXT_GENERATED}/preamble_python.c
    --dir ${ECONTEXT_GENERATED}/agent
  DEPENDS ${CMAKE_SOURCE_DIR}/preamble/build.py ${agent_sources}
  VERBATIM)
# The native agent: freestanding, for every processor whose compiler is here, with flags of its own (never a sanitizer's).
file(GLOB native_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/preamble/native/* ${CMAKE_SOURCE_DIR}/core/*.[ch]
  ${CMAKE_SOURCE_DIR}/router/*.[ch] ${CMAKE_SOURCE_DIR}/service/*.[ch])
add_custom_command(
  OUTPUT ${ECONTEXT_GENERATED}/preamble_native.c
  COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/preamble/native/make.py --out ${ECONTEXT_GENERATED}/preamble_native.c
    --dir ${CMAKE_BINARY_DIR}/native
  DEPENDS ${CMAKE_SOURCE_DIR}/preamble/build.py ${native_sources}
  VERBATIM)
if(TARGET layer_preamble)
  target_sources(layer_preamble PRIVATE ${ECONTEXT_GENERATED}/preamble_python.c ${ECONTEXT_GENERATED}/preamble_native.c)
endif()
