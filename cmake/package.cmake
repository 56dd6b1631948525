# What is installed: the library, its headers, and what find_package(wane) and pkg-config read.
set(WANE_PACKAGED ON)                     # the tests of consumers ask for it
include(CMakePackageConfigHelpers)
install(TARGETS wane EXPORT wane
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
    RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY include/wane DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT wane NAMESPACE wane:: FILE wane-targets.cmake DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/wane)

configure_package_config_file(cmake/wane-config.cmake.in ${PROJECT_BINARY_DIR}/wane-config.cmake
    INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/wane)
# before 1.0 a minor version may change the API
write_basic_package_version_file(${PROJECT_BINARY_DIR}/wane-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/wane-config.cmake ${PROJECT_BINARY_DIR}/wane-config-version.cmake
    DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/wane)

# A shared library brings its own needs; whoever links the static one has to name them.
set(WANE_PC_LIBS "-lwane")
set(WANE_PC_LIBS_PRIVATE "-pthread ${CMAKE_DL_LIBS}")
string(REGEX REPLACE " ([a-z])" " -l\\1" WANE_PC_LIBS_PRIVATE "${WANE_PC_LIBS_PRIVATE}")
if(WANE_LIBM)
    string(APPEND WANE_PC_LIBS_PRIVATE " -lm")
endif()
if(NOT BUILD_SHARED_LIBS)
    string(APPEND WANE_PC_LIBS " ${WANE_PC_LIBS_PRIVATE}")
endif()
# The prefix follows the file, so that an installed tree can be moved; unless folders are given as absolute.
set(WANE_PC_PREFIX ${CMAKE_INSTALL_PREFIX})
set(WANE_PC_LIBDIR ${CMAKE_INSTALL_LIBDIR})
set(WANE_PC_INCLUDEDIR ${CMAKE_INSTALL_INCLUDEDIR})
if(NOT IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
    file(RELATIVE_PATH up /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
    string(REGEX REPLACE "/$" "" up "${up}")
    set(WANE_PC_PREFIX "\${pcfiledir}/${up}")
    set(WANE_PC_LIBDIR "\${prefix}/${CMAKE_INSTALL_LIBDIR}")
endif()
if(NOT IS_ABSOLUTE "${CMAKE_INSTALL_INCLUDEDIR}")
    set(WANE_PC_INCLUDEDIR "\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}")
endif()
configure_file(cmake/wane.pc.in ${PROJECT_BINARY_DIR}/wane.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/wane.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
