# Builds and runs programs of somebody else against wane: the README's example in C, and one in C++11. Run as
#     cmake -DMODE=.. -DSOURCE=.. -DWORK=.. -DCC=.. -DCXX=.. -DGENERATOR=.. [-DBUILD=.. -DPKG_CONFIG=.. -DEMULATOR=..] -P
# MODE  find_package, pkg_config   what is installed from BUILD, under a name that the build never knew
#       destdir                    the same, installed through DESTDIR
#       shared                     builds a shared library from SOURCE first; then both of the above
#       add_subdirectory           wane as a folder of the project, which must leave everything else alone
#       fetch_content              the same by FetchContent, found by find_package
#       cross                      for aarch64, and run there or in an emulator
function(must)
    execute_process(COMMAND ${ARGN} RESULT_VARIABLE code OUTPUT_VARIABLE text ERROR_VARIABLE text)
    set(text "${text}" PARENT_SCOPE)
    if(NOT code EQUAL 0)
        message(FATAL_ERROR "${ARGN}\nended with ${code}:\n${text}")
    endif()
endfunction()

# What a program of a consumer prints. The rest are words in front of it: an emulator.
function(must_work program)
    must(${CMAKE_COMMAND} -E env WANE_DEVICE=cpu ${ARGN} ${program})
    if(NOT text MATCHES "loss 0\\.27526[89]")
        message(FATAL_ERROR "${program} printed:\n${text}")
    endif()
endfunction()

set(place ${WORK}/${MODE})
file(REMOVE_RECURSE ${place})
file(MAKE_DIRECTORY ${place})
set(consumer ${CMAKE_COMMAND} -S ${SOURCE}/tests/install/consumer -G ${GENERATOR} -DCMAKE_C_COMPILER=${CC}
    -DEXAMPLE=${SOURCE}/examples/hello.c)
if(CXX)
    list(APPEND consumer -DCMAKE_CXX_COMPILER=${CXX})
endif()
set(plain -DWANE_VULKAN=OFF -DWANE_OPENCL=OFF)
set(alone -DWANE_BUILD_TESTS=OFF -DWANE_BUILD_TOOLS=OFF -DWANE_BUILD_EXAMPLES=OFF)

function(build_and_run folder)
    must(${CMAKE_COMMAND} --build ${folder})
    must_work(${folder}/consumer)
    if(EXISTS ${folder}/consumer_cxx)
        must_work(${folder}/consumer_cxx)
    endif()
endfunction()

function(find_package_from prefix)
    must(${consumer} -B ${place}/build -DCMAKE_PREFIX_PATH=${prefix})
    build_and_run(${place}/build)
endfunction()

function(pkg_config_from prefix)
    file(GLOB_RECURSE found ${prefix}/*/wane.pc)
    get_filename_component(folder "${found}" DIRECTORY)
    must(${CMAKE_COMMAND} -E env PKG_CONFIG_PATH=${folder} ${PKG_CONFIG} --cflags --libs wane)
    separate_arguments(flags UNIX_COMMAND "${text}")
    must(${CC} -std=c99 -o ${place}/by_hand ${SOURCE}/examples/hello.c ${flags} -Wl,-rpath,${folder}/..)
    must_work(${place}/by_hand)
endfunction()

# Installs, and moves what was installed: nothing in it may name the place where it was made.
function(install_from build)
    must(${CMAKE_COMMAND} --install ${build} --prefix ${place}/first)
    file(RENAME ${place}/first ${place}/prefix)
endfunction()

if(MODE STREQUAL "find_package")
    install_from(${BUILD})
    find_package_from(${place}/prefix)
elseif(MODE STREQUAL "pkg_config")
    install_from(${BUILD})
    pkg_config_from(${place}/prefix)
elseif(MODE STREQUAL "destdir")
    must(${CMAKE_COMMAND} -E env DESTDIR=${place}/root ${CMAKE_COMMAND} --install ${BUILD} --prefix /opt/wane)
    find_package_from(${place}/root/opt/wane)
elseif(MODE STREQUAL "shared")
    must(${CMAKE_COMMAND} -S ${SOURCE} -B ${place}/wane -G ${GENERATOR} -DCMAKE_C_COMPILER=${CC} -DBUILD_SHARED_LIBS=ON
        ${plain} ${alone})
    must(${CMAKE_COMMAND} --build ${place}/wane)
    install_from(${place}/wane)
    find_package_from(${place}/prefix)
    if(PKG_CONFIG)
        pkg_config_from(${place}/prefix)
    endif()
elseif(MODE STREQUAL "add_subdirectory" OR MODE STREQUAL "fetch_content")
    must(${consumer} -B ${place}/build -DWANE_FOLDER=${SOURCE} -DHOW=${MODE} ${plain})
    if(MODE STREQUAL "add_subdirectory")
        build_and_run(${place}/build)
    endif()
elseif(MODE STREQUAL "cross")
    must(${CMAKE_COMMAND} -S ${SOURCE} -B ${place}/wane -G ${GENERATOR} -DCMAKE_SYSTEM_NAME=Linux
        -DCMAKE_SYSTEM_PROCESSOR=aarch64 -DCMAKE_C_COMPILER=${CC} ${plain} ${alone})
    must(${CMAKE_COMMAND} --build ${place}/wane)
    file(GLOB library ${place}/wane/libwane.a)
    must(${CC} -std=c99 -O2 -I${SOURCE}/include -o ${place}/hello ${SOURCE}/examples/hello.c ${library} -pthread -ldl -lm)
    if(EMULATOR)
        get_filename_component(name ${CC} NAME)
        string(REGEX REPLACE "-[a-z]+$" "" triplet ${name})
        must_work(${place}/hello ${EMULATOR} -L /usr/${triplet})
    endif()
else()
    message(FATAL_ERROR "MODE=${MODE}: no such mode")
endif()
