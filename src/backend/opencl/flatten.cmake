# Makes one self-contained text of a kernel: puts every #include "..." in its place, recursively, and writes the result
# as a C array of bytes. Run as cmake -DENTRY=.. -DNAME=.. -DOUT=.. -DDIRS=a|b|.. -DROOTS=a|b|.. -P flatten.cmake
#
# Texts are handled as single strings, never as lists, and cut with string(FIND) and string(SUBSTRING): semicolons,
# brackets and backslashes pass unharmed. Lines of comment alone become empty lines; #line directives and kept line
# counts make a driver's messages name the true file and line (but for core/kernels.def, which is cut).
cmake_minimum_required(VERSION 3.16)
string(REPLACE "|" ";" DIRS "${DIRS}")
string(REPLACE "|" ";" ROOTS "${ROOTS}")

# The path of `name` as included from a file in `directory`.
function(find_include name directory from out)
    foreach(candidate IN LISTS directory DIRS)
        if(EXISTS "${candidate}/${name}")
            set(${out} "${candidate}/${name}" PARENT_SCOPE)
            return()
        endif()
    endforeach()
    message(FATAL_ERROR "${from}: cannot find the include \"${name}\"")
endfunction()

# A path as messages should show it: from the project's root.
function(shown_name path out)
    foreach(root IN LISTS ROOTS)
        string(FIND "${path}" "${root}/" at)
        if(at EQUAL 0)
            string(LENGTH "${root}/" length)
            string(SUBSTRING "${path}" ${length} -1 path)
            break()
        endif()
    endforeach()
    set(${out} "${path}" PARENT_SCOPE)
endfunction()

function(count_lines text out)
    string(LENGTH "${text}" all)
    string(REPLACE "\n" "" text "${text}")
    string(LENGTH "${text}" rest)
    math(EXPR count "${all} - ${rest}")
    set(${out} ${count} PARENT_SCOPE)
endfunction()

# A kernel's body is included twice: K_PHASE 1 up to its first #else, K_PHASE 2 from there. What the other phase
# includes is left out. Answers which inclusion this is (0: not a body) and the line of the #else.
function(phase_of path text phase split)
    set(${phase} 0 PARENT_SCOPE)
    string(FIND "${text}" "\n#else\n" at)
    if(NOT path MATCHES "/${NAME}\\.k\\.h$" OR at LESS 0)
        return()
    endif()
    string(SUBSTRING "${text}" 0 ${at} before)
    count_lines("${before}" lines)
    math(EXPR lines "${lines} + 1")
    set(${split} ${lines} PARENT_SCOPE)
    get_property(seen GLOBAL PROPERTY wane_body_seen)
    set_property(GLOBAL PROPERTY wane_body_seen 1)
    if(seen)
        set(${phase} 2 PARENT_SCOPE)
    else()
        set(${phase} 1 PARENT_SCOPE)
    endif()
endfunction()

# Of core/kernels.def what is of the kernel's family, the first word of its name: the rest would be half of all text.
function(keep_family text out)
    string(REGEX REPLACE "_.*" "" family "${NAME}")
    string(TOUPPER "${family}" family)
    string(REPLACE "\\\n" "\r" text "${text}")
    string(REPLACE "\n#define ${family}_" "\n@define ${family}_" text "${text}")
    string(REGEX REPLACE "\n(#define|WANE_KERNEL)[^\n]*" "" text "${text}")
    string(REPLACE "\n@define" "\n#define" text "${text}")
    string(REPLACE "\r" "\\\n" text "${text}")
    string(REGEX REPLACE "\n\n+" "\n" text "${text}")
    set(${out} "${text}" PARENT_SCOPE)
endfunction()

function(flatten path depth out)
    if(depth GREATER 16)
        message(FATAL_ERROR "${path}: includes itself")
    endif()
    file(READ "${path}" text)
    string(REPLACE "\r" "" text "${text}")
    string(REGEX REPLACE "\n[ \t]*//[^\n]*" "\n" text "\n${text}")     # so that every line follows a line break
    if(path MATCHES "/core/kernels\\.def$")
        keep_family("${text}" text)
    endif()
    shown_name("${path}" shown)
    get_filename_component(directory "${path}" DIRECTORY)
    set(result "#line 1 \"${shown}\"")
    set(line 0)
    phase_of("${path}" "${text}" phase split)
    while(TRUE)
        string(FIND "${text}" "\n#include \"" at)
        if(at LESS 0)
            break()
        endif()
        string(SUBSTRING "${text}" 0 ${at} before)
        math(EXPR at "${at} + 11")
        string(SUBSTRING "${text}" ${at} -1 text)
        string(FIND "${text}" "\"" end)
        string(SUBSTRING "${text}" 0 ${end} name)
        math(EXPR end "${end} + 1")
        string(SUBSTRING "${text}" ${end} -1 text)
        count_lines("${before}" lines)
        math(EXPR line "${line} + ${lines} + 1")
        math(EXPR next "${line} + 1")
        if((phase EQUAL 1 AND line GREATER split) OR (phase EQUAL 2 AND line LESS split))
            string(APPEND result "${before}\n")
            continue()
        endif()
        find_include("${name}" "${directory}" "${shown}:${line}" included)
        math(EXPR deeper "${depth} + 1")
        flatten("${included}" ${deeper} inner)
        string(APPEND result "${before}\n${inner}\n#line ${next} \"${shown}\"")
    endwhile()
    string(APPEND result "${text}")
    set(${out} "${result}" PARENT_SCOPE)
endfunction()

flatten("${ENTRY}" 0 text)
if(text MATCHES "\n[ \t]*#[ \t]*include[^\n]*")
    message(FATAL_ERROR "${ENTRY}: not flattened: ${CMAKE_MATCH_0}")
endif()
string(REGEX REPLACE "\n\n\n+#line" "\n#line" text "${text}")
# comments behind code and indents are a third of the bytes; lines stay what they are
string(REGEX REPLACE "[ \t]+//[^\n]*" "" text "${text}")
string(REGEX REPLACE "\n[ \t]+" "\n" text "${text}")
string(REGEX REPLACE "  +" " " text "${text}")
string(REGEX REPLACE "[ \t]+\n" "\n" text "${text}")
get_filename_component(directory "${OUT}" DIRECTORY)
file(WRITE "${directory}/${NAME}.cl" "${text}\n")
file(READ "${directory}/${NAME}.cl" bytes HEX)
string(REGEX REPLACE "(................................)" "\\1\n" bytes "${bytes}")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
file(WRITE "${OUT}"
"// The kernel ${NAME} as OpenCL C text, made by src/backend/opencl/flatten.cmake.
#include \"backend/opencl/text.h\"

const unsigned char wane_opencl_text_${NAME}[] = {
${bytes}
};
const size_t wane_opencl_bytes_${NAME} = sizeof wane_opencl_text_${NAME};
")
