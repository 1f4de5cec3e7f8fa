# The agent's bytes are built from preamble/python by preamble/build.py and embedded; see docs/boot.md.
find_package(Python3 REQUIRED COMPONENTS Interpreter)
set(ECONTEXT_GENERATED ${CMAKE_BINARY_DIR}/generated)
file(MAKE_DIRECTORY ${ECONTEXT_GENERATED})
# The agents do not depend on how the rest is built: a second build of the same source (a sanitizer's) takes those of the first.
set(ECONTEXT_AGENTS_OF "" CACHE STRING "the folder of another build of this source, whose agents are taken; from the source's folder on")
file(GLOB_RECURSE agent_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/preamble/python/*.py
  ${CMAKE_SOURCE_DIR}/preamble/served/*.py
  ${CMAKE_SOURCE_DIR}/preamble/shell/*.sh
  ${CMAKE_SOURCE_DIR}/preamble/python/names.json)
if(ECONTEXT_AGENTS_OF)
  get_filename_component(theirs ${ECONTEXT_AGENTS_OF} ABSOLUTE BASE_DIR ${CMAKE_SOURCE_DIR})
  add_custom_command(
    OUTPUT ${ECONTEXT_GENERATED}/preamble_python.c ${ECONTEXT_GENERATED}/preamble_native.c
    COMMAND ${CMAKE_COMMAND} -E copy_directory ${theirs}/generated ${ECONTEXT_GENERATED}
    COMMAND ${CMAKE_COMMAND} -E copy_directory ${theirs}/native ${CMAKE_BINARY_DIR}/native
    DEPENDS ${theirs}/generated/preamble_python.c ${theirs}/generated/preamble_native.c
    VERBATIM)
else()
  add_custom_command(
    OUTPUT ${ECONTEXT_GENERATED}/preamble_python.c
    COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/preamble/build.py --out ${ECONTEXT_GENERATED}/preamble_python.c
      --dir ${ECONTEXT_GENERATED}/agent
    DEPENDS ${CMAKE_SOURCE_DIR}/preamble/build.py ${CMAKE_SOURCE_DIR}/preamble/minify.py ${agent_sources}
    VERBATIM)
  # The native agent: freestanding, for every processor whose compiler is here, with flags of its own (never a sanitizer's).
  file(GLOB native_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/preamble/native/* ${CMAKE_SOURCE_DIR}/core/*.[ch]
    ${CMAKE_SOURCE_DIR}/router/*.[ch] ${CMAKE_SOURCE_DIR}/service/*.[ch] ${CMAKE_SOURCE_DIR}/include/econtext/*.h)
  set(strict)
  if(ECONTEXT_WERROR)
    set(strict --werror)
  endif()
  add_custom_command(
    OUTPUT ${ECONTEXT_GENERATED}/preamble_native.c
    COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/preamble/native/make.py --out ${ECONTEXT_GENERATED}/preamble_native.c
      --dir ${CMAKE_BINARY_DIR}/native ${strict}
    DEPENDS ${CMAKE_SOURCE_DIR}/preamble/build.py ${native_sources}
    VERBATIM)
endif()
if(TARGET layer_preamble)
  target_sources(layer_preamble PRIVATE ${ECONTEXT_GENERATED}/preamble_python.c ${ECONTEXT_GENERATED}/preamble_native.c)
endif()
