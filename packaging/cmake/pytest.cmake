# holdfast_pytest(KIND FILE): registers a pytest file as the ctest entry KIND.NAME with label KIND. The system's python3 is
# taken, since Debian's pytest belongs to it and another one may come first in PATH.
find_program(HOLDFAST_PYTHON3 python3 PATHS /usr/bin NO_DEFAULT_PATH)
find_program(HOLDFAST_PYTHON3 python3)

# What compares times, or fills the machine. The others mostly wait for what they test.
set(HOLDFAST_PYTEST_ALONE crowd many)
# Seconds of the longest, which begin first.
set(HOLDFAST_PYTEST_COSTS transfer 150 wake 85 opens 45 faults 45 misdelivery 40 stalled 25 wire 25 reclaim 35 control_channel 30 service 60 program 60)
execute_process(COMMAND unshare --net true RESULT_VARIABLE HOLDFAST_ONE_LOOPBACK OUTPUT_QUIET ERROR_QUIET)

function(holdfast_pytest kind file)
    get_filename_component(name ${file} NAME_WE)
    string(REGEX REPLACE "^test_" "" name ${name})
    add_test(NAME ${kind}.${name} COMMAND ${CMAKE_SOURCE_DIR}/tests/run_pytest.sh ${HOLDFAST_PYTHON3} ${file} WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
    set(environment HOLDFAST_BIN=$<TARGET_FILE:holdfast> HOLDFAST_TOOLS=${CMAKE_BINARY_DIR}/tests/tools)
    if(HOLDFAST_SANITIZE)
        # Freed memory kept back for later errors would look like growth.
        list(APPEND environment HOLDFAST_SANITIZED=1 "ASAN_OPTIONS=quarantine_size_mb=1:detect_leaks=1"
            UBSAN_OPTIONS=print_stacktrace=1)
    endif()
    set_tests_properties(${kind}.${name} PROPERTIES LABELS ${kind} TIMEOUT 900 ENVIRONMENT "${environment}")
    list(FIND HOLDFAST_PYTEST_COSTS ${name} place)
    if(NOT place EQUAL -1)
        math(EXPR place "${place} + 1")
        list(GET HOLDFAST_PYTEST_COSTS ${place} cost)
        set_tests_properties(${kind}.${name} PROPERTIES COST ${cost})
    endif()
    # Each file has a loopback of its own (run_pytest.sh); where it cannot, two would take each other's ports.
    if(HOLDFAST_ONE_LOOPBACK OR name IN_LIST HOLDFAST_PYTEST_ALONE)
        set_tests_properties(${kind}.${name} PROPERTIES RUN_SERIAL ON)
    endif()
endfunction()
