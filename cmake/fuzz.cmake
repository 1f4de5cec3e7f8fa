# Fuzz targets: tests/fuzz/fuzz_NOUN.c defines LLVMFuzzerTestOneInput; tests/fuzz/corpus/NOUN/ holds its seeds. As a test, each
# is an ordinary program that replays its corpus and a fixed series of mutations of it. To fuzz in earnest:
#   CC=clang cmake -B build-fuzz -DECONTEXT_FUZZER=ON -DECONTEXT_SANITIZE=fuzzer-no-link,address,undefined
#   build-fuzz/fuzz_cbor a-copy-of-the-corpus/
option(ECONTEXT_FUZZER "link the fuzz targets with libFuzzer (clang) instead of the replay program" OFF)
# econtext_fuzz(NOUN MUTATIONS LAYER...): NOUN's target, linked with these layers only; as a test it tries so many mutations.
function(econtext_fuzz noun mutations)
  add_executable(fuzz_${noun} ${CMAKE_SOURCE_DIR}/tests/fuzz/fuzz_${noun}.c $<TARGET_OBJECTS:test_mem>)
  foreach(layer ${ARGN})
    target_sources(fuzz_${noun} PRIVATE $<TARGET_OBJECTS:layer_${layer}>)
  endforeach()
  target_link_libraries(fuzz_${noun} PRIVATE ${ECONTEXT_LIBS})
  if(ECONTEXT_FUZZER)
    target_link_options(fuzz_${noun} PRIVATE -fsanitize=fuzzer)
    return()
  endif()
  target_sources(fuzz_${noun} PRIVATE ${CMAKE_SOURCE_DIR}/tests/fuzz/replay_main.c)
  add_test(NAME fuzz/${noun} COMMAND fuzz_${noun} -n ${mutations} -s 1 ${CMAKE_SOURCE_DIR}/tests/fuzz/corpus/${noun})
  set_tests_properties(fuzz/${noun} PROPERTIES LABELS "fuzz;unit" TIMEOUT ${PATIENCE})
endfunction()

# A second or two each.
econtext_fuzz(frame 200000 core)
econtext_fuzz(cbor 200000 core)
econtext_fuzz(dialogue 30000 core transport)
econtext_fuzz(topology 20000 core topology)
