# holdfast_resources(TARGET [FILE.rc...]): gives a Windows program its manifest, its version and the further resource
# files named (such as a message table that windmc wrote; a path in the build folder may be one that a custom command
# makes). Nothing on other systems.
function(holdfast_resources target)
    if(NOT WIN32)
        return()
    endif()
    enable_language(RC)
    # Four numbers, whatever the project's version has.
    string(REPLACE "." ";" numbers "${PROJECT_VERSION}")
    list(APPEND numbers 0 0 0)
    list(SUBLIST numbers 0 4 numbers)
    list(JOIN numbers "," HOLDFAST_RC_VERSION)
    set(HOLDFAST_RC_INCLUDES "")
    set(places ${CMAKE_SOURCE_DIR}/packaging/windows)
    foreach(file IN LISTS ARGN)
        cmake_path(GET file PARENT_PATH place)
        list(APPEND places ${place})
        string(APPEND HOLDFAST_RC_INCLUDES "#include \"${file}\"\n")
    endforeach()
    set(rc ${CMAKE_BINARY_DIR}/${target}.rc)
    configure_file(${CMAKE_SOURCE_DIR}/packaging/windows/holdfast.rc.in ${rc} @ONLY)
    list(REMOVE_DUPLICATES places)
    # windres looks for files that are no headers, such as a table's .bin, along the same path.
    list(TRANSFORM places PREPEND "-I")
    set_source_files_properties(${rc} PROPERTIES COMPILE_OPTIONS "${places}"
        OBJECT_DEPENDS "${CMAKE_SOURCE_DIR}/packaging/windows/holdfast.exe.manifest;${ARGN}")
    target_sources(${target} PRIVATE ${rc})
endfunction()
