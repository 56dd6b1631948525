// refused: 3: `input` is a reserved word of GLSL
#define TWICE(x) \
    ((x) + input)
