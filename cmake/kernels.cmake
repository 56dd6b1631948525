# What every backend's build needs to know of kernels and terms, read from the two .def files (no Python needed).

# WANE_KERNELS: names. wane_kernel_upper(out name): its macro prefix.
file(STRINGS ${PROJECT_SOURCE_DIR}/src/core/kernels.def kernel_rows REGEX "^WANE_KERNEL\\(")
set(WANE_KERNELS "")
foreach(row IN LISTS kernel_rows)
    string(REGEX REPLACE "^WANE_KERNEL\\(([a-z0-9_]+), ([A-Z0-9_]+), ([A-Z]+)\\)$" "\\1;\\2;\\3" fields "${row}")
    list(LENGTH fields count)
    if(NOT count EQUAL 3)
        message(FATAL_ERROR "kernels.def: cannot read the row ${row}: WANE_KERNEL(name, NAME, GROUP or LANE)")
    endif()
    list(GET fields 0 name)
    list(GET fields 1 upper)
    list(GET fields 2 unit)
    list(APPEND WANE_KERNELS ${name})
    set(WANE_KERNEL_UPPER_${name} ${upper})
    set(WANE_KERNEL_UNIT_${name} ${unit})
endforeach()
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS
    ${PROJECT_SOURCE_DIR}/src/core/kernels.def ${PROJECT_SOURCE_DIR}/include/wane/losses.def)

# generated/shaders/terms.h: the include list and the switch of all softmax terms, from the registry.
file(STRINGS ${PROJECT_SOURCE_DIR}/include/wane/losses.def loss_rows REGEX "^WANE_LOSS\\(")
set(includes "")
set(cases "")
foreach(row IN LISTS loss_rows)
    string(REGEX REPLACE "^WANE_LOSS\\(([0-9]+), [A-Z0-9_]+, ([a-z0-9_]+), ([a-z]+),.*$" "\\1;\\2;\\3" fields "${row}")
    list(LENGTH fields count)
    if(NOT count EQUAL 3)
        message(FATAL_ERROR "losses.def: cannot read the row ${row}: its first line is WANE_LOSS(id, NAME, name, family,")
    endif()
    list(GET fields 0 id)
    list(GET fields 1 name)
    list(GET fields 2 family)
    # a loss without a term is linked elsewhere (softmax_pair_link)
    if(family STREQUAL "softmax" AND EXISTS ${PROJECT_SOURCE_DIR}/shaders/terms/${name}.h)
        string(APPEND includes "#include \"terms/${name}.h\"\n")
        string(APPEND cases "    if (K_C(term) == ${id}u) r = term_${name}(K_PASS row);\n")
    endif()
endforeach()
set(WANE_GENERATED ${PROJECT_BINARY_DIR}/generated)
file(WRITE ${WANE_GENERATED}/shaders/terms.h.new
"// Made by cmake/kernels.cmake from losses.def. One link for each softmax loss; the constant `term` is the loss's number.
${includes}
K_FN row_term term_apply(K_CTX row_state row)
{
    row_term r;
    r.value = 0.0f;
    r.slope = 0.0f;
${cases}    return r;
}
")
configure_file(${WANE_GENERATED}/shaders/terms.h.new ${WANE_GENERATED}/shaders/terms.h COPYONLY)

# generated/shaders/pair_terms.h: the links of pairs, from the choices of the parameter `link`.
file(STRINGS ${PROJECT_SOURCE_DIR}/include/wane/losses.def link_row REGEX "^WANE_PARAM\\([0-9]+, LINK,")
string(REGEX REPLACE "^.*\"([a-z0-9_|]+)\"\\).*$" "\\1" links "${link_row}")
string(REPLACE "|" ";" links "${links}")
set(includes "")
set(cases "")
set(numbers "")
set(id 0)
foreach(name IN LISTS links)
    string(APPEND includes "#include \"terms/pair_${name}.h\"\n")
    string(APPEND cases "    if (link == ${id}u) r = pair_${name}(K_PASS t);\n")
    string(APPEND numbers " X(${id}u)")
    math(EXPR id "${id} + 1")
endforeach()
file(WRITE ${WANE_GENERATED}/shaders/pair_terms.h.new
"// Made by cmake/kernels.cmake from losses.def. One term for each choice of the parameter `link`, a function of the
// score difference t of a pair; PAIR_LINKS(X) is X of each number, for loops made once a link where
// constants are read at run time.
struct pair_term {
    float value, slope;
};
K_STRUCT(pair_term)
#if K_CONSTANTS_FOLD
#define PAIR_LINKS(X) X(K_C(link))
#else
#define PAIR_LINKS(X)${numbers}
#endif
${includes}
K_FN pair_term pair_apply(K_CTX uint link, float t)
{
    pair_term r;
    r.value = 0.0f;
    r.slope = 0.0f;
${cases}    return r;
}
")
configure_file(${WANE_GENERATED}/shaders/pair_terms.h.new ${WANE_GENERATED}/shaders/pair_terms.h COPYONLY)

# Every text that a kernel may include: what its build depends on.
file(GLOB WANE_KERNEL_TEXTS CONFIGURE_DEPENDS
    ${PROJECT_SOURCE_DIR}/shaders/*.h ${PROJECT_SOURCE_DIR}/shaders/kernels/*.h ${PROJECT_SOURCE_DIR}/shaders/terms/*.h
    ${PROJECT_SOURCE_DIR}/cl/*.h)
list(APPEND WANE_KERNEL_TEXTS ${PROJECT_SOURCE_DIR}/src/core/kernels.def ${WANE_GENERATED}/shaders/terms.h
    ${WANE_GENERATED}/shaders/pair_terms.h)
