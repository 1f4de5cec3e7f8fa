# Fuzz targets: tests/fuzz/fuzz_NOUN.c defines LLVMFuzzerTestOneInput; tests/fuzz/corpus/NOUN/ holds its seeds. As a test, each
# is an ordinary program that replays its corpus and a fixed series of mutations of it. To fuzz in earnest:
#   CC=clang cmake -B build-fuzz -DECONTEXT_FUZZER=ON -DECONTEXT_SANITIZE=fuzzer-no-link,address,undefined
#   build-fuzz/fuzz_cbor a-copy-of-the-corpus/
option(ECONTEXT_FUZZER "link the fuzz targets with libFuzzer (clang) instead of the replay program" OFF)
set(ECONTEXT_FUZZ_MUTATIONS 200000 CACHE STRING "mutations each fuzz target tries as a test: a second or two")

# econtext_fuzz(NOUN LAYER...): NOUN's target, linked with these layers only.
function(econtext_fuzz noun)
  add_executable(fuzz_${noun} ${CMAKE_SOURCE_DIR}/tests/fuzz/fuzz_${noun}.c ${CMAKE_SOURCE_DIR}/tests/support/mem.c)
  foreach(layer ${ARGN})
    target_sources(fuzz_${noun} PRIVATE $<TARGET_OBJECTS:layer_${layer}>)
  endforeach()
  if(ECONTEXT_FUZZER)
    target_link_options(fuzz_${noun} PRIVATE -fsanitize=fuzzer)
    return()
  endif()
  target_sources(fuzz_${noun} PRIVATE ${CMAKE_SOURCE_DIR}/tests/fuzz/replay_main.c)
  add_test(NAME fuzz/${noun} COMMAND fuzz_${noun} -n ${ECONTEXT_FUZZ_MUTATIONS} -s 1 ${CMAKE_SOURCE_DIR}/tests/fuzz/corpus/${noun})
  set_tests_properties(fuzz/${noun} PROPERTIES LABELS fuzz TIMEOUT 120)
endfunction()

econtext_fuzz(frame core)
econtext_fuzz(cbor core)
