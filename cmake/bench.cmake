# bench/NOUN.c is the C side of a benchmark, build/bench_NOUN, made by bench/run only (target benches).
add_custom_target(benches)
file(GLOB benches CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/bench/*.c)
foreach(bench ${benches})
  get_filename_component(name ${bench} NAME_WE)
  add_executable(bench_${name} EXCLUDE_FROM_ALL ${bench})
  target_link_libraries(bench_${name} PRIVATE econtext)
  add_dependencies(benches bench_${name})
endforeach()
