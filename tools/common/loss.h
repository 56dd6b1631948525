// loss.h - the registry as tools use it: names from the command line, shapes of outputs.
#ifndef WANE_TOOLS_COMMON_LOSS_H
#define WANE_TOOLS_COMMON_LOSS_H

#include "common/array.h"
#include "common/session.h"

// The loss of that name; NULL after a message that lists the known ones.
const wane_loss_info *tool_loss(const char *name);
// The role of the first `length` bytes of name; NULL after a message that lists the loss's roles.
const wane_role_info *tool_role(const wane_loss_info *loss, const char *name, size_t length);
// The role of that id; NULL if the loss has none.
const wane_role_info *tool_role_by_id(const wane_loss_info *loss, wane_role role);
// Reads "name=value" of a parameter of the loss; a choice's value is one of its names. False after a message. The range
// is the library's to check.
bool tool_param(const wane_loss_info *loss, const char *text, wane_param_value *out);
// The value that the loss would use: the given one, else the default; `absent` if the loss has no such parameter.
double tool_param_value(const wane_loss_info *loss, wane_param param, const wane_param_value *given, uint32_t count,
                        double absent);
// The i-th of "none|mean|sum", as a length; NULL past the end.
const char *tool_choice(const char *choices, uint32_t index, size_t *length);
// Those that this loss takes, "none|mean|sum", in `text`. Returns text.
const char *tool_choices(const wane_param_info *param, char *text, size_t size);

const char *tool_direction_name(int direction);   // "in", "out", "grad", "state"
const char *tool_kind_name(int kind);             // "real", "integer", "choice"

// Named extents of a problem ("rows" is 4), learnt from the shapes of its inputs.
typedef struct tool_extents {
    uint32_t count;
    struct { char name[32]; int64_t value; } known[16];
    uint32_t extra_count;                   // dimensions of logits [rows, cols, ...] after the class axis: whatever has
    int64_t extra[TOOL_MAX_RANK];           // rows has them too, at its end
    uint32_t planes;                        // of `statistics`, see wane_statistics_plane_count
    bool reduced_is_rows;                   // reduction none
    int64_t total_cols;                     // of a vocabulary that is split over calls, 0: it is not
} tool_extents;

// What parameters say of shapes: to be called first.
void tool_extents_start(tool_extents *extents, const wane_loss_info *loss, const wane_param_value *params, uint32_t count);
// Learns the names of a role's shape text from an array. What is known already stays; a wrong rank is left to the
// library.
void tool_extents_learn(tool_extents *extents, const char *shape, const tool_array *array);
// The shape of an array of a role: a scalar for "1", and for "reduced" unless reduction is none. An extent that no
// input has is 1: the library says which operand is missing. False: the product of the extents does not fit.
bool tool_extents_shape(const tool_extents *extents, const char *shape, int dtype, tool_array *out);

#endif
