# The Vulkan backend: every kernel as SPIR-V, embedded in the library. Needs glslc; spirv-opt, if there, strips names,
# turns variables into values, computes once what is computed twice and drops what is unused: a quarter of the bytes, no
# arithmetic and no inlining in it.
# Not optimised further: glslc -O changed bits and raised register counts by half.

find_program(WANE_SPIRV_OPT spirv-opt)
mark_as_advanced(WANE_SPIRV_OPT)
set(vulkan_folder ${WANE_GENERATED}/vulkan)
file(MAKE_DIRECTORY ${vulkan_folder})
set(vulkan_modules "")
foreach(WANE_KERNEL_NAME IN LISTS WANE_KERNELS)
    set(WANE_KERNEL_UPPER ${WANE_KERNEL_UPPER_${WANE_KERNEL_NAME}})
    set(WANE_KERNEL_UNIT ${WANE_KERNEL_UNIT_${WANE_KERNEL_NAME}})
    set(entry ${vulkan_folder}/${WANE_KERNEL_NAME}.comp)
    set(module ${vulkan_folder}/${WANE_KERNEL_NAME}.spv)
    configure_file(${PROJECT_SOURCE_DIR}/shaders/entry.comp.in ${entry} @ONLY)
    set(strip "")
    if(WANE_SPIRV_OPT)
        set(strip COMMAND ${WANE_SPIRV_OPT} --strip-debug --ssa-rewrite --eliminate-dead-branches --eliminate-dead-code-aggressive
            --scalar-replacement=100 --ssa-rewrite --redundancy-elimination --eliminate-dead-code-aggressive
            --merge-blocks --eliminate-dead-members --eliminate-dead-code-aggressive --target-env=vulkan1.1 ${module} -o ${module})
    endif()
    add_custom_command(OUTPUT ${module}
        COMMAND ${WANE_GLSLC} --target-env=vulkan1.1 -I ${PROJECT_SOURCE_DIR}/shaders
            -I ${PROJECT_SOURCE_DIR}/shaders/kernels -I ${WANE_GENERATED}/shaders -I ${PROJECT_SOURCE_DIR}/src
            -o ${module} ${entry}
        ${strip}
        DEPENDS ${entry} ${WANE_KERNEL_TEXTS}
        COMMENT "SPIR-V of ${WANE_KERNEL_NAME}" VERBATIM)
    list(APPEND vulkan_modules ${module})
endforeach()
string(REPLACE ";" "," vulkan_module_list "${vulkan_modules}")
add_custom_command(OUTPUT ${vulkan_folder}/modules.c
    COMMAND ${CMAKE_COMMAND} -DMODULES=${vulkan_module_list} -DOUT=${vulkan_folder}/modules.c
        -P ${CMAKE_CURRENT_LIST_DIR}/embed.cmake
    DEPENDS ${vulkan_modules} ${CMAKE_CURRENT_LIST_DIR}/embed.cmake
    COMMENT "SPIR-V as C" VERBATIM)
file(GLOB vulkan_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/*.c)
list(APPEND WANE_SOURCES ${vulkan_sources} ${vulkan_folder}/modules.c)
