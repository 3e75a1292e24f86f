# A room is a folder under src/ and a static library. It sees its own headers and those of the rooms it names, and no
# others: each room is reached through an include root that holds a link to that one folder, so that including a room
# that was not named does not compile.
#
#   holdfast_room(relay base platform)   room `relay` made of src/relay/*.c, seeing base/ and platform/
function(holdfast_room name)
    file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${name}/*.c)
    if(WIN32)
        file(GLOB system_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${name}/win/*.c)
    else()
        file(GLOB system_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${name}/posix/*.c)
    endif()
    set(root ${CMAKE_BINARY_DIR}/include/${name})
    file(MAKE_DIRECTORY ${root})
    file(CREATE_LINK ${CMAKE_SOURCE_DIR}/src/${name} ${root}/${name} COPY_ON_ERROR SYMBOLIC)
    add_library(holdfast_${name} STATIC ${sources} ${system_sources})
    target_include_directories(holdfast_${name} PUBLIC ${root})
    target_link_libraries(holdfast_${name} PUBLIC holdfast_flags)
    foreach(lower IN LISTS ARGN)
        target_link_libraries(holdfast_${name} PUBLIC holdfast_${lower})
    endforeach()
endfunction()
