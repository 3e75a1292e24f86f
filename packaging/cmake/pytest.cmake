# holdfast_pytest(KIND FILE): registers a pytest file as the ctest entry KIND.NAME with label KIND. The system's python3 is
# taken, since Debian's pytest belongs to it and another one may come first in PATH.
find_program(HOLDFAST_PYTHON3 python3 PATHS /usr/bin NO_DEFAULT_PATH)
find_program(HOLDFAST_PYTHON3 python3)

# port_busy: pytest closes its folder to others at each start, and there another user has to read.
set(HOLDFAST_PYTEST_ALONE crowd doctor faults half_close many misdelivery port_busy readme rekey stalled transfer wire)

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
    # What fills the machine, or compares times, runs alone, and under Wine all do, which have one prefix; the others
    # mostly wait for what they test.
    if(WIN32 OR name IN_LIST HOLDFAST_PYTEST_ALONE)
        set_tests_properties(${kind}.${name} PROPERTIES RUN_SERIAL ON)
    endif()
endfunction()
