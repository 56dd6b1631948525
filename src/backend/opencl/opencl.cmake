# The OpenCL backend: every kernel as one self-contained text, compiled by the device's driver at run time. Needs
# OpenCL's C headers to build, and nothing at run time: where the loader finds no driver there are no devices.

set(opencl_dirs
    ${PROJECT_SOURCE_DIR}/shaders ${PROJECT_SOURCE_DIR}/shaders/kernels ${WANE_GENERATED}/shaders
    ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/cl)
string(REPLACE ";" "|" opencl_dirs "${opencl_dirs}")

foreach(KERNEL IN LISTS WANE_KERNELS)
    set(UPPER ${WANE_KERNEL_UPPER_${KERNEL}})
    set(UNIT ${WANE_KERNEL_UNIT_${KERNEL}})
    set(entry ${WANE_GENERATED}/cl/${KERNEL}.entry.cl)
    set(text ${WANE_GENERATED}/cl/${KERNEL}.c)
    configure_file(${PROJECT_SOURCE_DIR}/cl/entry.cl.in ${entry} @ONLY)
    add_custom_command(
        OUTPUT ${text}
        COMMAND ${CMAKE_COMMAND} -DENTRY=${entry} -DNAME=${KERNEL} -DOUT=${text} "-DDIRS=${opencl_dirs}"
                "-DROOTS=${WANE_GENERATED}|${PROJECT_SOURCE_DIR}" -P ${CMAKE_CURRENT_LIST_DIR}/flatten.cmake
        DEPENDS ${entry} ${WANE_KERNEL_TEXTS} ${CMAKE_CURRENT_LIST_DIR}/flatten.cmake
        COMMENT "OpenCL text of ${KERNEL}"
        VERBATIM)
    list(APPEND WANE_SOURCES ${text})
endforeach()

foreach(name IN ITEMS loader error device quirks memory program enqueue import)
    list(APPEND WANE_SOURCES ${CMAKE_CURRENT_LIST_DIR}/${name}.c)
endforeach()
