// The engine's own compute pass: y = a * x + b * y.
#version 450
layout(local_size_x = 64) in;
layout(set = 0, binding = 0) readonly buffer X { float x[]; };
layout(set = 0, binding = 1) buffer Y { float y[]; };
layout(push_constant) uniform P { uint count; float a, b; } p;

void main()
{
    uint i = gl_GlobalInvocationID.x;
    if (i < p.count) y[i] = p.a * x[i] + (p.b == 0.0 ? 0.0 : p.b * y[i]);
}
