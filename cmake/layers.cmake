# One object library a folder. What a folder may include is checked by tests/lint/includes.py, not here.
foreach(layer core router service transport topology preamble io mesh)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${layer}/*.c)
  if(sources)
    add_library(layer_${layer} OBJECT ${sources})
    list(APPEND ECONTEXT_LAYERS layer_${layer})
    # Where the tests' time goes: half of it with -O1, which takes a little more to compile.
    if(ECONTEXT_SANITIZE MATCHES address AND layer MATCHES "^(core|router|service|topology)$")
      target_compile_options(layer_${layer} PRIVATE -O1)
    endif()
  endif()
endforeach()
set_source_files_properties(${CMAKE_SOURCE_DIR}/mesh/mesh.c PROPERTIES COMPILE_DEFINITIONS ECI_VERSION="${PROJECT_VERSION}")
