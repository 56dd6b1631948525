// profile_spirv.c - what a SPIR-V module asks of a device, read from its words.
#include "profile.h"

#include <stdlib.h>

// Numbers of the SPIR-V specification.
enum {
    OP_EXECUTION_MODE = 16, OP_CAPABILITY = 17, OP_TYPE_INT = 21, OP_TYPE_FLOAT = 22, OP_TYPE_VECTOR = 23, OP_TYPE_ARRAY = 28,
    OP_TYPE_STRUCT = 30, OP_TYPE_POINTER = 32, OP_CONSTANT = 43, OP_SPEC_CONSTANT = 50, OP_VARIABLE = 59,
    MODE_LOCAL_SIZE = 17, STORAGE_WORKGROUP = 4,
    CAP_SHADER = 1, CAP_FLOAT16 = 9, CAP_INT16 = 22, CAP_STORAGE_BUFFER_16 = 4433, CAP_UNIFORM_AND_STORAGE_16 = 4434,
    CAP_GROUP = 61, CAP_GROUP_VOTE = 62, CAP_GROUP_ARITHMETIC = 63, CAP_GROUP_BALLOT = 64, CAP_GROUP_SHUFFLE = 65,
    CAP_GROUP_RELATIVE = 66, CAP_GROUP_QUAD = 68
};

static void check_capability(const profile *p, uint32_t capability)
{
    static const struct { uint32_t capability, ops, features; } table[] = {
        {CAP_SHADER, 0, 0}, {CAP_FLOAT16, 0, HAS_HALF}, {CAP_STORAGE_BUFFER_16, 0, HAS_HALF},
        {CAP_UNIFORM_AND_STORAGE_16, 0, HAS_HALF}, {CAP_INT16, 0, HAS_INT16}, {CAP_GROUP, OPS_BASIC, 0},
        {CAP_GROUP_VOTE, OPS_VOTE, 0}, {CAP_GROUP_ARITHMETIC, OPS_ARITHMETIC, 0}, {CAP_GROUP_BALLOT, OPS_BALLOT, 0},
        {CAP_GROUP_SHUFFLE, OPS_SHUFFLE, 0}, {CAP_GROUP_RELATIVE, OPS_RELATIVE, 0}, {CAP_GROUP_QUAD, OPS_QUAD, 0}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (table[i].capability == capability && (p->subgroup_ops & table[i].ops) == table[i].ops
            && (p->features & table[i].features) == table[i].features)
            return;
    profile_exceeded("a module has capability %u", capability);
}

typedef struct module {
    const uint32_t *words;
    size_t count;
    uint32_t bound;
    uint64_t *bytes;                        // of a type, or the value of a constant, by id
    uint32_t *pointee;                      // of a pointer type to shared memory
} module;

static uint64_t of(const module *m, uint32_t id) { return id < m->bound ? m->bytes[id] : 0; }

// Sizes without alignment: what the module itself asks for. Returns bytes of shared memory that the instruction adds.
static uint64_t take(module *m, uint32_t op, const uint32_t *w, uint32_t length)
{
    uint32_t id = length > 1 ? w[1] : 0;
    bool typed = op == OP_CONSTANT || op == OP_SPEC_CONSTANT || op == OP_VARIABLE;
    if (typed) id = length > 2 ? w[2] : 0;
    if (id >= m->bound) return 0;
    switch (op) {
    case OP_TYPE_INT:
    case OP_TYPE_FLOAT: m->bytes[id] = w[2] / 8; break;
    case OP_TYPE_VECTOR: m->bytes[id] = of(m, w[2]) * w[3]; break;
    case OP_TYPE_ARRAY: m->bytes[id] = of(m, w[2]) * of(m, w[3]); break;
    case OP_TYPE_STRUCT:
        for (uint32_t i = 2; i < length; i++) m->bytes[id] += of(m, w[i]);
        break;
    case OP_TYPE_POINTER:
        if (w[2] == STORAGE_WORKGROUP) m->pointee[id] = w[3];
        break;
    case OP_CONSTANT:
    case OP_SPEC_CONSTANT: m->bytes[id] = w[3]; break;
    case OP_VARIABLE:
        if (w[3] == STORAGE_WORKGROUP && w[1] < m->bound) return of(m, m->pointee[w[1]]);
        break;
    default: break;
    }
    return 0;
}

static void check_words(const profile *p, module *m)
{
    uint64_t shared = 0;
    for (size_t at = 5; at < m->count;) {
        const uint32_t *w = m->words + at;
        uint32_t op = w[0] & 0xffff, length = w[0] >> 16;
        if (!length || at + length > m->count) profile_exceeded("a module is no SPIR-V");
        if (op == OP_CAPABILITY) check_capability(p, w[1]);
        if (op == OP_EXECUTION_MODE && w[2] == MODE_LOCAL_SIZE
            && ((uint64_t)w[3] * w[4] * w[5] > p->lanes || w[3] > p->lanes || w[4] > p->lanes || w[5] > 64))
            profile_exceeded("a module has groups of %u x %u x %u", w[3], w[4], w[5]);
        shared += take(m, op, w, length);
        at += length;
    }
    if (shared > p->shared_bytes) profile_exceeded("a module takes %llu bytes of shared memory", (unsigned long long)shared);
}

void profile_check_module(const profile *p, const uint32_t *words, size_t count)
{
    // 1.0 for Vulkan 1.0, 1.3 for 1.1, 1.5 for 1.2, 1.6 for 1.3
    uint32_t newest = p->api < VK_API_VERSION_1_1 ? 0x10000 : p->api < VK_API_VERSION_1_2 ? 0x10300
                    : p->api < VK_API_VERSION_1_3 ? 0x10500 : 0x10600;
    if (count < 5 || words[0] != 0x07230203) profile_exceeded("a module is no SPIR-V");
    if (words[1] > newest) profile_exceeded("a module has version 0x%x of SPIR-V", words[1]);
    module m = {.words = words, .count = count, .bound = words[3]};
    m.bytes = calloc((size_t)m.bound + 1, sizeof *m.bytes);
    m.pointee = calloc((size_t)m.bound + 1, sizeof *m.pointee);
    if (m.bytes && m.pointee) check_words(p, &m);
    free(m.bytes);
    free(m.pointee);
}
