// profile.h - a Vulkan device made as weak as a profile says.
#ifndef WANE_TESTS_PROFILES_PROFILE_H
#define WANE_TESTS_PROFILES_PROFILE_H

#define VK_NO_PROTOTYPES
#include <wane/wane_vulkan.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    OPS_BASIC = VK_SUBGROUP_FEATURE_BASIC_BIT, OPS_VOTE = VK_SUBGROUP_FEATURE_VOTE_BIT,
    OPS_ARITHMETIC = VK_SUBGROUP_FEATURE_ARITHMETIC_BIT, OPS_BALLOT = VK_SUBGROUP_FEATURE_BALLOT_BIT,
    OPS_SHUFFLE = VK_SUBGROUP_FEATURE_SHUFFLE_BIT, OPS_RELATIVE = VK_SUBGROUP_FEATURE_SHUFFLE_RELATIVE_BIT,
    OPS_QUAD = VK_SUBGROUP_FEATURE_QUAD_BIT
};
enum { HAS_INT16 = 1, HAS_HALF = 2, HAS_TIMELINE = 4, HAS_ADDRESS = 8 };   // HALF: 16-bit storage and arithmetic

#define FLOOR_API VK_API_VERSION_1_1
enum { FLOOR_BUFFERS = 8 };

typedef struct profile {
    const char *name;
    uint32_t api, storage_buffers, shared_bytes, lanes, push_bytes, offset_align;
    uint64_t allocation_bytes;              // 0: a version that has no such limit
    uint32_t subgroup_lanes, subgroup_ops, features;
    const char *reason;
} profile;

extern const profile profiles[];            // name NULL at the end

// From here on the resolver gives functions of a device like that. One device and context at a time.
void profile_enter(const profile *p);
void *profile_resolve(void *user, const char *name);

// Tells what went past the profile, and ends the process.
_Noreturn void profile_exceeded(const char *format, ...) __attribute__((format(printf, 1, 2)));

// What a module needs: version, capabilities, group size, shared bytes (profile_spirv.c).
void profile_check_module(const profile *p, const uint32_t *words, size_t count);

#endif
