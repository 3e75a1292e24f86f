# holdfast_pytest(KIND FILE): registers a pytest file as the ctest entry KIND.NAME with label KIND. The system's python3 is
# taken, since Debian's pytest belongs to it and another one may come first in PATH.
find_program(HOLDFAST_PYTHON3 python3 PATHS /usr/bin NO_DEFAULT_PATH)
find_program(HOLDFAST_PYTHON3 python3)

function(holdfast_pytest kind file)
    get_filename_component(name ${file} NAME_WE)
    string(REGEX REPLACE "^test_" "" name ${name})
    add_test(NAME ${kind}.${name} COMMAND ${HOLDFAST_PYTHON3} -B -m pytest -q ${file} WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
    set(environment HOLDFAST_BIN=$<TARGET_FILE:holdfast> HOLDFAST_TOOLS=${CMAKE_BINARY_DIR}/tests/tools)
    if(HOLDFAST_SANITIZE)
        # Freed memory kept back for later errors would look like growth.
        list(APPEND environment HOLDFAST_SANITIZED=1 "ASAN_OPTIONS=quarantine_size_mb=1:detect_leaks=1"
            UBSAN_OPTIONS=print_stacktrace=1)
    endif()
    set_tests_properties(${kind}.${name} PROPERTIES LABELS ${kind} TIMEOUT 900 ENVIRONMENT "${environment}")
    # Timing is part of what these check, each brings its own processes and ports, and pytest closes its folder to other
    # users at each start: one at a time.
    set_tests_properties(${kind}.${name} PROPERTIES RUN_SERIAL ON)
endfunction()
