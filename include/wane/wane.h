// wane.h - training losses for any vendor's GPU, and for the CPU. The whole core API and its manual.
//
// wane computes the value and the gradient of fused losses on Vulkan, on OpenCL and on the CPU behind one C interface.
// Four steps lead from a loss to numbers:
//
//     wane_plan        what will be done: host only, no device call. Answers workspace bytes, passes, why.
//     wane_executable  a plan prepared on its device: pipelines, programs. Slow to make, may fail, then immutable.
//     wane_recorder    descriptor sets and kernel objects for one thread or command buffer in flight.
//     record           into the host's command buffer or queue (wane_vulkan.h, wane_opencl.h), or on the CPU here;
//     run              or: stage, record, submit and wait, for scripts, tools and tests.
//
// Shapes. A softmax loss reads logits [rows, cols]; one row is one example. As in torch the class axis is the second:
// logits [N, C, L] and [N, C, H, W] have N * L and N * H * W rows, and what is [rows] is then [N, L] or [N, H, W],
// statistics [planes, N, ...], grad_logits like logits. Everything is row-major unless strides say otherwise; strides
// have any sign.
//
// Types. Logits are f32, f16 or bf16; their gradient has that type or f32, and in that type may lie over them
// (WANE_OPERAND_IN_PLACE). Targets are indices, i32 or i64, or where a loss takes them probabilities, f32, f16 or bf16,
// shaped like logits. Values, statistics and all sums are f32: nothing is rounded to a
// half type on the way.
//
// Linear heads. linear_<loss> takes input [rows, dim] and linear_weight [cols, dim] (of one type), linear_bias [cols]
// (of that type or f32), as torch.nn.functional.linear_cross_entropy does, in place of logits, and gives grad_input,
// grad_linear_weight and grad_linear_bias, each of its tensor's type or f32. The logits input . linear_weight^T +
// linear_bias are made a chunk at a time in the workspace and never stored whole. All sums are f32, and a gradient of a
// half type is rounded once (an f32 gradient of a logit may be rounded to bf16 where it is multiplied with bf16).
// workspace_limit_bytes chooses between speed and memory: 0 means 4 MiB forward, and for gradients 64 MiB and an f32
// [rows, dim]; wane_plan_describe tells the choice, and too small a limit what is needed. docs/linear-heads.md has more.
// A vocabulary split over several devices: each call takes its rows of linear_weight and linear_bias with
// WANE_PARAM_COL_OFFSET and WANE_PARAM_TOTAL_COLS, and targets as numbers of the whole; it first saves `statistics` alone;
// wane_statistics_merge joins those of all; given them, each call makes the values, grad_input's part (to be summed over the
// devices) and its own part of grad_linear_weight and grad_linear_bias.
//
// Contrastive losses. info_nce, clip and siglip compare rows of a [rows, dim] with rows of b [cols, dim], divided by their
// norms unless WANE_PARAM_NORMALIZE is 0: z = s <a_i, b_j> + bias, s = 1 / temperature or the tensor scale (both given is an
// error). Positive of row i: labels[i], or i + row_offset - col_offset. z is made a chunk of rows at a time and never stored
// whole. info_nce: lse_j z_ij - z_iy. clip (rows = cols, paired one to one): half of that in each direction, for row i and
// column i. siglip: the sum over j of softplus(-+ z_ij), - for the positive; there an absent bias is -10. Means are over
// the rows that count: a row without a positive is dropped (status[3]; siglip keeps it), one with a label that is no column,
// or in clip an earlier row's, is a fault (status[0]), with value and gradient 0. Rows of norm 0 have gradient 0.
// grad_scale is dL/ds. docs/contrastive.md has more.
// A batch split into blocks of rows and columns over several calls: WANE_PARAM_ROW_OFFSET, WANE_PARAM_COL_OFFSET and
// WANE_PARAM_TOTAL_COLS, with which labels are numbers of the whole (without it of this call's rows of b). Blocks of siglip
// are independent. Of info_nce and clip each call first saves `statistics` of its rows (clip: and `col_statistics` of its
// columns) alone; wane_statistics_merge, with temperature 1, joins those of blocks side by side (above each other); given
// them, each call makes the values of the pairs that it holds and its part of the gradients. All are sums over the blocks.
//
// Order of transforms: u = softcap * tanh(z / softcap) if asked for, x = u / temperature. Losses, lse and entropy
// are of x; gradients are with respect to z, the logits as given; argmax is z's, so that a softcap makes no ties.
//
// Row value of cross_entropy: weight[y] * ((1 - s) * (lse - x_y)) + (s / cols) * sum_j weight[j] * (lse - x_j), with
// s = label_smoothing; of the other losses their formula in losses.def. Then + z_loss * lse^2, all times row_weight.
// `mean` divides by the sum of weight[y] over valid rows, by the number of rows where a loss has no target (entropy);
// `sum` by 1.
// Probabilities t in place of an index (cross_entropy): sum_j weight[j] ((1 - s) t_j + s / cols) (lse - x_j), divided
// under `mean` by the number of rows. t need not sum to 1 and has no gradient; a negative t_j is a number like another;
// a row with a t_j that is NaN or infinite is NaN like one with such a logit. ignore_index and accuracy are refused.
// kl_logits and cross_entropy_logits compare softmax(logits) = p with softmax(teacher_logits) = q, both after the same
// softcap and temperature. kl_logits is temperature^2 times sum q log(q / p) (direction forward), sum p log(p / q)
// (reverse), or both added (symmetric); it is summed as q (e^r - 1 - r), r = log(p / q), so that rows that are nearly
// equal lose no digits. cross_entropy_logits is lse - sum q x; symmetric adds the other direction. Either tensor has a
// gradient. lse, entropy, argmax, z_loss and upstream_lse are those of logits. A column that is -inf in both adds
// nothing; one with weight in the distribution that weighs and -inf in the other makes that direction infinite, and its
// gradient by the weighing tensor, which has no limit, 0. hl_gauss takes a number for each row and makes t of it: the
// mass of N(target, sigma^2) in each of cols equal bins from vmin to vmax, over that in all of them; a target outside is
// taken at the nearer end, a NaN makes its row NaN, a mass below 1e-30 is 0. The target's place among the bins is an f32
// number of bins, whose rounding grows with theirs: with sigma at its default a mass above 0.01 is off by up to 3e-5 of
// itself with 101 bins from -10 to 10, 2e-4 with 1025, 1e-3 with 4099; a wider sigma makes that less.
// Differences from torch.nn.functional.cross_entropy: nothing valid (or a weight sum of 0) gives 0, not NaN; a target
// out of range gives its row loss 0 and gradient 0 and is counted (WANE_WARN_DATA), and never read out of bounds; a
// term whose weight is 0 is 0 even where its logit is -inf.
//
// Special logits, in this order: an ignored row, then a bad target: loss, gradient, lse, entropy 0, argmax -1. NaN or
// +inf anywhere in a row: that row's loss, lse, entropy and gradient are NaN, its argmax -1; no other row's. A row of
// -inf: loss +inf, gradient 0, lse -inf, entropy 0, argmax 0. Target -inf: loss +inf, gradient p_j - [j = y]
// (cross_entropy); other losses take the limit. A -inf logit is a class left out, also under softcap. Some -inf with
// smoothing and a weight that is not 0: loss +inf.
// Weights that are NaN or infinite make their rows NaN, and count, as such a logit does: a row_weight its row, a class weight
// the rows whose target it is, and with label smoothing or probabilities every row. A row that is ignored or whose target
// is bad stays 0; the denominator of mean leaves such a class weight out. An upstream or upstream_lse that is NaN or
// infinite is the caller's and counts nowhere: the gradients of the rows that it multiplies are NaN, values are as ever.
//
// Structs begin with struct_size: set it to sizeof the struct. Zero means default for handles, flags and sizes. A
// struct from a newer header works with an older library if what that library does not know is zero. In an array of
// structs the first element's struct_size is the distance between elements.
//
// Ownership: whoever creates destroys: recorders, executables, plans and buffers in any order, then the context. Nothing
// given to wane is taken over. Destroying NULL does nothing.
//
// Threading: a context, its devices, plans and executables may be used by many threads at once, except while they are
// destroyed. A recorder, and a buffer's contents, belong to one thread at a time. After fork() the child leaves what it
// inherited alone, destroying included, and makes a context of its own: threads do not survive a fork, and few drivers
// do, so the CPU is what is sure to work there.
//
// Errors: every call that can fail returns a wane_status. Argument and unsupported errors are found before anything is
// written: outputs are untouched. After a resource or internal error outputs are unspecified. The text that names the
// operand and the remedy goes to the context's log callback (and to standard error only if WANE_LOG is set).
//
// Environment: WANE_DEVICE (a device name, used where the caller names none) and WANE_LOG (error, warning, info,
// debug). Nothing else is read.

#ifndef WANE_WANE_H
#define WANE_WANE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(_WIN32) && defined(WANE_SHARED)
#ifdef WANE_BUILD
#define WANE_API __declspec(dllexport)
#else
#define WANE_API __declspec(dllimport)
#endif
#elif defined(__GNUC__)
#define WANE_API __attribute__((visibility("default")))
#else
#define WANE_API
#endif

#define WANE_VERSION_MAJOR 0
#define WANE_VERSION_MINOR 1
#define WANE_VERSION_PATCH 0

// The library's version at run time as text, "0.1.0".
WANE_API const char *wane_version(void);

// ---------------------------------------------------------------------------------------------------------------------
// Status

// Numbers are pinned. 0 is success, a positive one a success with a warning, negative ones fall in ranges:
// -1..-99 argument, -100..-199 unsupported, -200..-299 resource, -300..-399 internal.
typedef enum wane_status {
    WANE_OK = 0,
    WANE_WARN_DATA = 1,                    // done, but some data was faulty: the log and the output `status` count it

    WANE_ERROR_NULL_ARGUMENT = -1,         // a pointer or handle that must not be NULL is
    WANE_ERROR_STRUCT = -2,                // struct_size is 0 or too small, or an unknown tail is not zero
    WANE_ERROR_UNKNOWN_LOSS = -3,          // no such loss in the registry
    WANE_ERROR_UNKNOWN_ROLE = -4,          // no such role, or the loss has no such role
    WANE_ERROR_UNKNOWN_PARAM = -5,         // no such parameter, or the loss has no such parameter
    WANE_ERROR_DUPLICATE = -6,             // a role or parameter is given twice
    WANE_ERROR_MISSING_OPERAND = -7,       // a required tensor is not given
    WANE_ERROR_PARAM_RANGE = -8,           // a parameter is out of its range, or NaN
    WANE_ERROR_RANK = -9,                  // a tensor's rank does not fit its role
    WANE_ERROR_EXTENT = -10,               // an extent is negative, or disagrees with another tensor's
    WANE_ERROR_DTYPE = -11,                // a tensor's type does not fit its role
    WANE_ERROR_STRIDE = -12,               // an output's stride is 0, or its elements overlap
    WANE_ERROR_SIZE = -13,                 // a product of extents or strides does not fit 63 bits
    WANE_ERROR_ALIGNMENT = -14,            // a byte offset breaks the alignment promised to the plan
    WANE_ERROR_BOUNDS = -15,               // a view reaches outside its buffer
    WANE_ERROR_OVERLAP = -16,              // an output shares bytes with another operand
    WANE_ERROR_WORKSPACE = -17,            // the workspace is smaller than the plan's workspace_bytes
    WANE_ERROR_CAPACITY = -18,             // a recorder has too few dispatches left, or does not know the executable
    WANE_ERROR_MISMATCH = -19,             // objects of different devices or contexts were mixed
    WANE_ERROR_NO_OUTPUT = -20,            // a plan that would compute nothing
    WANE_ERROR_FLAGS = -21,                // an unknown flag, or one that does not fit here
    WANE_ERROR_STATISTICS = -22,           // given statistics lack a plane that the problem needs
    WANE_ERROR_IN_USE = -23,               // objects made from it are alive, or work recorded from it is not done

    WANE_ERROR_UNSUPPORTED = -100,         // a combination that this version does not do; the log says which
    WANE_ERROR_NO_DEVICE = -101,           // no device of that name
    WANE_ERROR_DEVICE_UNUSABLE = -102,     // the device exists but was refused; wane_device_info.reason says why
    WANE_ERROR_TOO_LARGE = -103,           // does not fit the device's limits, or workspace_limit_bytes, in any plan

    WANE_ERROR_HOST_MEMORY = -200,
    WANE_ERROR_DEVICE_MEMORY = -201,
    WANE_ERROR_BUILD = -202,               // a driver refused a kernel
    WANE_ERROR_SUBMIT = -203,              // a driver refused work

    WANE_ERROR_INTERNAL = -300,
    WANE_ERROR_DEVICE_LOST = -301,         // latched: every later call on the device returns it at once
    WANE_ERROR_DRIVER = -302               // a driver call failed in a way its specification does not allow
} wane_status;

// The name and meaning of a status, "WANE_ERROR_EXTENT: an extent is ...". Never NULL.
WANE_API const char *wane_status_text(wane_status status);

// ---------------------------------------------------------------------------------------------------------------------
// Registry: losses.def as enums and as data

typedef enum wane_dtype {
    WANE_DTYPE_F32 = 1,
    WANE_DTYPE_F16 = 2,
    WANE_DTYPE_BF16 = 3,
    WANE_DTYPE_I32 = 4,
    WANE_DTYPE_I64 = 5,
    WANE_DTYPE_U32 = 6
} wane_dtype;

// Values of the parameter WANE_PARAM_REDUCTION.
enum { WANE_REDUCTION_NONE = 0, WANE_REDUCTION_MEAN = 1, WANE_REDUCTION_SUM = 2, WANE_REDUCTION_GROUP_MEAN = 3 };
// Of WANE_PARAM_LINK.
enum {
    WANE_LINK_LOGISTIC = 0, WANE_LINK_HINGE = 1, WANE_LINK_SQUARED_HINGE = 2, WANE_LINK_EXPONENTIAL = 3,
    WANE_LINK_SQUARE = 4, WANE_LINK_SMOOTH_ZERO_ONE = 5
};
// Of WANE_PARAM_PAIR_WEIGHT.
enum {
    WANE_PAIR_WEIGHT_NONE = 0, WANE_PAIR_WEIGHT_LABEL_DIFF = 1, WANE_PAIR_WEIGHT_LAMBDA = 2,
    WANE_PAIR_WEIGHT_NDCG_LOSS1 = 3, WANE_PAIR_WEIGHT_NDCG_LOSS2 = 4, WANE_PAIR_WEIGHT_NDCG_LOSS2PP = 5,
    WANE_PAIR_WEIGHT_PRECISION = 6, WANE_PAIR_WEIGHT_PROFIT = 7
};
enum { WANE_SCOPE_ALL = 0, WANE_SCOPE_GROUP = 1 };     // of WANE_PARAM_SCOPE

typedef enum wane_loss {
    WANE_LOSS_NONE = 0,
#define WANE_LOSS(id, NAME, name, FAMILY, ROLES, PARAMS, summary, formula, source) WANE_LOSS_##NAME = id,
#include "losses.def"
    WANE_LOSS_FORCE_INT = 0x7fffffff
} wane_loss;

// Roles of the softmax family (rows and cols are those of `logits`; every dtype is f32 unless said):
//   in   logits f32, f16 or bf16 [rows, cols]; target i32 or i64 [rows], of cross_entropy also f32, f16 or bf16
//        [rows, cols], of hl_gauss f32 [rows], of entropy none; teacher_logits f32, f16 or bf16 [rows, cols] (kl_logits,
//        cross_entropy_logits); weight [cols], one per class (where the target is an index or probabilities);
//        row_weight [rows];
//        upstream: d(objective)/d(loss), [1] for mean and sum, [rows] for none, absent means 1;
//        upstream_lse [rows]: a gradient into the output lse, added in
//   both statistics [planes, rows], see WANE_STATISTIC_* below. As an output: what backward needs. Given as an input
//        (WANE_OPERAND_GIVEN): the logits are read for gradients only, values come from the statistics. A row whose flags
//        say that its target was never seen, ignored or bad (planes that nobody made, or of one shard) becomes NaN
//   out  loss [1], or [rows] for none; row_loss [rows], unreduced, row_weight in, upstream and denominator not;
//        lse [rows]; entropy [rows]; argmax i32 or i64 [rows], ties to the lowest column; accuracy [1], argmax = target
//        over valid rows, 0 if there are none; valid_count i64 [1];
//        grad_logits [rows, cols], of the logits' type or f32; grad_teacher_logits likewise;
//        status u32 [8]: bad targets, rows with NaN or +inf or a weight that is either or -inf, rows of -inf, five reserved
//        for other families
// Roles of linear heads: input, linear_weight, linear_bias in place of logits; grad_input, grad_linear_weight,
// grad_linear_bias in place of grad_logits; the others are those of the softmax family.
// Roles of contrastive losses: a, b f32, f16 or bf16; labels i32 or i64 [rows]; scale, bias f32 [1]; upstream; loss, row_loss;
// grad_a, grad_b of their tensor's type or f32; grad_scale, grad_bias f32 [1]; status; of info_nce and clip statistics
// [planes, rows], of clip col_statistics [planes, cols].
// Roles of the ranking family (items are the elements of `scores`, groups those that `offsets` makes):
//   in   scores f32, f16 or bf16 [items]; labels f32 or i32 [items], the larger the better;
//        offsets i32 or i64 [groups + 1]: group g is items offsets[g] .. offsets[g + 1]; absent: one group of all;
//        weight [items], of the preferred item of a pair;
//        upstream: [1] for mean, sum and group_mean, [groups] for none, absent means 1
//   out  loss [1], or [groups] for none; group_loss [groups]: the sum over the group's pairs;
//        grad_scores [items], of the scores' type or f32; pair_count i64 [1];
//        ndcg [groups] at k, 0 where no label is above 0; auc [1]: ties count half, with scope = group the mean over groups
//        with a pair; status u32 [8]: bad labels, scores or weights that are NaN or infinite, 0, groups without a pair, bad
//        offsets, bad pairs, groups made NaN, 0
//   bpr and margin_ranking take scores and pairs i32 or i64 [pairs, 2], the first of which should rank higher, in place of
//   labels and groups; [groups] is then [pairs]. A bad index drops its pair, a NaN or infinite score makes its pairs and
//   their items NaN. auc_margin has labels and one group of all.
//   A pair is two items i, j of a group with label_i > label_j (ndcg_loss1: all ordered pairs of a group with two labels).
//   mean divides by the number of pairs, group_mean each group by its own and then by the groups that have one. Pair
//   weights are constants in the gradient. Ranks are those of a stable descending sort: ties keep input order.
//   A score or weight that is NaN or infinite makes its group's value, ndcg and gradients NaN, and no other group's;
//   such an upstream the gradients that it multiplies. A label that is NaN or infinite, or outside of 0..30 where pairs
//   weigh by gains 2^label - 1 (lambda, ndcg_loss*), is bad: its group counts nowhere, with value, ndcg and gradients
//   0. Where the output ndcg alone needs gains, a label outside of 0..30 is counted as bad and makes its group's ndcg
//   0, and nothing else changes. Nowhere count either the groups on both sides of a bad offset: negative, past the
//   items, or below an earlier good one. Work grows with the sum of the squares of group sizes (ndcg alone: n log n),
//   memory with items.
//   Every operand, and the workspace (7 to 18 words an item), must fit max_window_bytes: else TOO_LARGE. See docs/ranking.md.
typedef enum wane_role {
    WANE_ROLE_NONE = 0,
#define WANE_ROLE(id, NAME, name) WANE_ROLE_##NAME = id,
#include "losses.def"
    WANE_ROLE_FORCE_INT = 0x7fffffff
} wane_role;

typedef enum wane_param {
    WANE_PARAM_NONE = 0,
#define WANE_PARAM(id, NAME, name, kind, choices) WANE_PARAM_##NAME = id,
#include "losses.def"
    WANE_PARAM_FORCE_INT = 0x7fffffff
} wane_param;

enum { WANE_DIRECTION_IN = 1, WANE_DIRECTION_OUT = 2, WANE_DIRECTION_GRAD = 3, WANE_DIRECTION_STATE = 4 };
enum { WANE_NEED_OPTIONAL = 0, WANE_NEED_REQUIRED = 1 };
enum {                                     // bits 1 << WANE_DTYPE_*
    WANE_TYPES_FLOAT = 1 << WANE_DTYPE_F32 | 1 << WANE_DTYPE_F16 | 1 << WANE_DTYPE_BF16,
    WANE_TYPES_F32 = 1 << WANE_DTYPE_F32,
    WANE_TYPES_INDEX = 1 << WANE_DTYPE_I32 | 1 << WANE_DTYPE_I64,
    WANE_TYPES_GRADE = 1 << WANE_DTYPE_F32 | 1 << WANE_DTYPE_I32,
    WANE_TYPES_TARGET = WANE_TYPES_INDEX | WANE_TYPES_FLOAT,
    WANE_TYPES_I64 = 1 << WANE_DTYPE_I64,
    WANE_TYPES_U32 = 1 << WANE_DTYPE_U32
};
enum { WANE_KIND_REAL = 1, WANE_KIND_INTEGER = 2, WANE_KIND_CHOICE = 3 };

// Rows of the registry. Members may be added at the end: use the functions below, not arrays of these structs.
typedef struct wane_role_info {
    wane_role role;
    const char *name;
    int direction, need;                   // WANE_DIRECTION_*, WANE_NEED_*
    const char *shape;                     // named extents, "rows,cols"; "A|B": A for index types, B for float types
    uint32_t types;                        // bits of the types it takes
} wane_role_info;

typedef struct wane_param_info {
    wane_param param;
    const char *name;
    int kind;                              // WANE_KIND_*
    double standard, lowest, highest;      // the default, and the range
    int lowest_excluded;
    const char *choices;                   // of a CHOICE: names of the values 0, 1, ..., "none|mean|sum"; else ""
    const char *meaning;
} wane_param_info;

typedef struct wane_loss_info {
    wane_loss loss;
    const char *name, *family, *summary, *formula, *source;
    uint32_t role_count, param_count;
} wane_loss_info;

// The registry as static data. loss_at walks it from 0; by name or id; NULL where there is none.
WANE_API const wane_loss_info *wane_loss_at(uint32_t index);
WANE_API const wane_loss_info *wane_loss_by_name(const char *name);
WANE_API const wane_loss_info *wane_loss_by_id(wane_loss loss);
// The roles and parameters of a loss, in the registry's order; NULL past the end.
WANE_API const wane_role_info *wane_loss_role_at(const wane_loss_info *loss, uint32_t index);
WANE_API const wane_param_info *wane_loss_param_at(const wane_loss_info *loss, uint32_t index);
// Bytes of one element, 0 for an unknown type; and its name, "f32", NULL for an unknown one.
WANE_API size_t wane_dtype_bytes(wane_dtype dtype);
WANE_API const char *wane_dtype_name(wane_dtype dtype);

// ---------------------------------------------------------------------------------------------------------------------
// Context

typedef struct wane_context wane_context;
typedef struct wane_device wane_device;
typedef struct wane_buffer wane_buffer;
typedef struct wane_plan wane_plan;
typedef struct wane_executable wane_executable;
typedef struct wane_recorder wane_recorder;

// Info: what was passed by or made anew. Debug: the device taken and why, each plan and its choices, what was compiled, in how
// many ms, and what the cache had.
typedef enum wane_log_level { WANE_LOG_ERROR = 1, WANE_LOG_WARNING = 2, WANE_LOG_INFO = 3, WANE_LOG_DEBUG = 4 } wane_log_level;

typedef struct wane_log_record {
    wane_log_level level;
    wane_status status;                    // WANE_OK for a plain message
    int32_t native_code;                   // VkResult or cl_int, 0 if none
    const char *operand;                   // the role, parameter or member at fault, or NULL
    const char *text;                      // what is wrong, and what to do
} wane_log_record;

// Host memory. alloc returns NULL when there is none; align is a power of two; free gets the same bytes and align.
typedef struct wane_allocator {
    void *user;
    void *(*alloc)(void *user, size_t bytes, size_t align);
    void (*free)(void *user, void *memory, size_t bytes, size_t align);
} wane_allocator;

// The host's threads: run(user, count, task, argument) calls task(argument, i) once for each i < count, on any threads
// in any order, and returns when all are done. The library never nests it.
typedef struct wane_parallel {
    void *user;
    void (*run)(void *user, uint32_t count, void (*task)(void *argument, uint32_t index), void *argument);
    uint32_t width;                        // how many tasks can run at once
} wane_parallel;

// Compiled kernels kept by the host (a file, a database). load copies at most `capacity` bytes of the blob under `key`
// to `data` and returns its whole size, 0 if there is none. Blobs are checked by wane before a driver sees them: a
// damaged or foreign one is rebuilt silently and counted (wane_context_get_cache_info). Called from any thread, not
// concurrently for one device.
typedef struct wane_cache {
    void *user;
    size_t (*load)(void *user, const char *key, void *data, size_t capacity);
    void (*store)(void *user, const char *key, const void *data, size_t bytes);
} wane_cache;

// Any name to address: vkGetInstanceProcAddr for Vulkan ("vkGetInstanceProcAddr" itself is asked for first), every cl*
// name for OpenCL. NULL: wane loads libvulkan or libOpenCL itself. Also where tests inject limits and failures.
typedef struct wane_resolver {
    void *user;
    void *(*resolve)(void *user, const char *name);
} wane_resolver;

enum { WANE_BACKEND_CPU = 1, WANE_BACKEND_VULKAN = 2, WANE_BACKEND_OPENCL = 4 };

typedef struct wane_context_desc {
    size_t struct_size;
    uint32_t backends;                     // WANE_BACKEND_* or-ed; 0 means all. The CPU is always there
    uint32_t thread_count;                 // of the CPU backend's own pool; 0 means the CPUs this process may use
    wane_log_level log_level;              // 0 means warnings and errors
    uint32_t reserved;
    void (*log)(void *user, const wane_log_record *record);
    void *log_user;
    wane_allocator allocator;              // alloc NULL: the C library's
    wane_parallel parallel;                // run NULL: own pool, made at the first use of the CPU
    wane_cache cache;                      // either may be NULL
    wane_resolver vulkan, opencl;
} wane_context_desc;

// Makes a context. desc may be NULL for all defaults. Loads no driver: devices are looked for when first asked for.
// Errors: NULL_ARGUMENT (out), STRUCT, FLAGS (backends, log_level, half an allocator, or a parallel without width),
// HOST_MEMORY.
WANE_API wane_status wane_context_create(const wane_context_desc *desc, wane_context **out);

// Destroys a context and its devices. Everything else made from it must be destroyed before: where something is not,
// the log says so, and the context goes when the last of it does.
WANE_API void wane_context_destroy(wane_context *context);

// How the host's cache served this context so far. A start that compiled nothing has absent and refused at 0.
typedef struct wane_cache_info {
    size_t struct_size;
    uint64_t used;                         // blobs found, whole, and given to a driver
    uint64_t absent;                       // blobs asked for that the cache did not have
    uint64_t refused;                      // damaged, foreign, or not taken by the driver: made anew
    uint64_t stored;                       // blobs given to the cache
} wane_cache_info;

// Errors: NULL_ARGUMENT, STRUCT.
WANE_API wane_status wane_context_get_cache_info(wane_context *context, wane_cache_info *info);

// ---------------------------------------------------------------------------------------------------------------------
// Devices: owned by the context

// What plans depend on. Plans made from equal limits are equal.
typedef struct wane_limits {
    size_t struct_size;
    uint32_t backend;                      // WANE_BACKEND_*
    uint32_t tier;                         // 0 the floor, 1 phones since Android 15, 2 desktop; the CPU counts as 2
    uint32_t max_lanes;                    // invocations of a group
    uint32_t shared_bytes;
    uint64_t max_window_bytes;             // of one bound range
    uint64_t max_buffer_bytes;
    uint32_t offset_align_bytes;           // of a bound range's start
    uint32_t max_groups;                   // of one grid dimension
    uint64_t max_dispatch_elems;           // what one dispatch may touch: the time budget, in elements
    // Choices that only a measurement can make (wane_device_tune); 0: the library's own.
    uint32_t split_rows_below;             // fewer rows than this do not fill the device: long ones are split
    uint32_t linear_slice_cols;            // columns of a linear head's logits that are made at a time
    uint32_t linear_chunk_dim;             // gradients of a linear head have memory for logits from this dim on
} wane_limits;

typedef struct wane_device_info {
    size_t struct_size;
    const char *id;                        // "cpu", "cpu:avx2", "vulkan:0", "opencl:1": what wane_device_find takes
    const char *backend;                   // "cpu", "vulkan", "opencl"
    const char *name;                      // the driver's name for it
    const char *driver;                    // driver and version
    const char *quirks;                    // workarounds in force, comma separated, "" if none
    int is_hardware_gpu;                   // 0 for the CPU and for software devices
    int usable;                            // 0: refused
    const char *reason;                    // why it is refused, or "" if usable
    uint64_t reserved[4];
    wane_limits limits;
} wane_device_info;

// The devices of this context: every Vulkan, then every OpenCL device, then the CPU (last, never absent). The first
// call looks for them, and may take as long as the drivers take to load. A refused device is listed too.
WANE_API uint32_t wane_device_count(wane_context *context);
WANE_API wane_device *wane_device_at(wane_context *context, uint32_t index);   // NULL past the end

// Finds a device by name: "auto" (a usable hardware GPU, else the CPU; software devices only when named), "cpu",
// "cpu:generic", "cpu:portable" (the same with matrix products in blocks), "cpu:avx2", "cpu:avx512", "cpu:avx512bf16",
// "cpu:neon" (kernels of at most that instruction set), "vulkan", "vulkan:0", "opencl", "opencl:0". NULL or "": the environment's WANE_DEVICE, else "auto".
// A named GPU is checked by a small self-test at its first use here. Errors: NULL_ARGUMENT, NO_DEVICE,
// DEVICE_UNUSABLE (never a silent fall-back), HOST_MEMORY.
WANE_API wane_status wane_device_find(wane_context *context, const char *name, wane_device **out);

// Fills info; texts live as long as the context. Touches no queue: `usable` is what is known so far.
WANE_API wane_status wane_device_get_info(wane_device *device, wane_device_info *info);

// Opens the device and runs a small kernel whose results are known, once; later calls answer from memory. What
// wane_device_find does for a GPU that it opens itself. Errors: NULL_ARGUMENT, HOST_MEMORY, DEVICE_LOST, UNSUPPORTED (the
// host's device, wrapped without a queue), DEVICE_UNUSABLE (info.reason then says why).
WANE_API wane_status wane_device_selftest(wane_device *device);

// Makes the choices of a tuning record the device's, for plans that are made from now on: call it before there are any. The
// record is text that wane-bench --tune wrote; the host keeps it (a file, an asset), and may put records of many devices one
// behind the other. bytes 0 takes the library's own choices again. Plans made under equal records are equal; under others
// sums may be cut otherwise, and bits differ. Not while another thread makes plans for the device.
// Errors, the device then is as before: NULL_ARGUMENT, STRUCT (damaged, or no record), MISMATCH (of other devices, of
// another driver or version of wane).
WANE_API wane_status wane_device_tune(wane_device *device, const char *record, size_t bytes);
// Writes the record of this device with the choices of `limits` (max_dispatch_elems and what stands below it). Returns the
// bytes of the whole text without its end, like snprintf, which is not cut: it is empty where capacity is too small. 0:
// device or limits NULL, struct_size too small.
WANE_API size_t wane_tuning_write(wane_device *device, const wane_limits *limits, char *text, size_t capacity);

// Ends a device that was wrapped (wane_vulkan.h, wane_opencl.h): what wane made on the host's device is destroyed, and
// its handles are used no more. All work recorded from it must be done. The other devices go with the context.
// Errors, the device is then as before: NULL_ARGUMENT, MISMATCH (not wrapped), IN_USE (objects made from it are alive).
WANE_API wane_status wane_device_unwrap(wane_device *device);

// ---------------------------------------------------------------------------------------------------------------------
// Buffers

// Device memory, visible to the host through read and write alone. On the CPU plain memory. Errors: NULL_ARGUMENT,
// TOO_LARGE, DEVICE_MEMORY, HOST_MEMORY, DEVICE_LOST. The contents are unspecified at first.
WANE_API wane_status wane_buffer_create(wane_device *device, uint64_t bytes, wane_buffer **out);
// Host memory as a buffer: never copied, never freed by wane. The CPU works in it; on other devices wane_run stages it.
WANE_API wane_status wane_buffer_wrap_host(wane_device *device, void *memory, uint64_t bytes, wane_buffer **out);
WANE_API wane_status wane_buffer_write(wane_buffer *buffer, uint64_t byte_offset, const void *data, uint64_t bytes);
WANE_API wane_status wane_buffer_read(wane_buffer *buffer, uint64_t byte_offset, void *data, uint64_t bytes);
WANE_API uint64_t wane_buffer_bytes(const wane_buffer *buffer);
WANE_API void wane_buffer_destroy(wane_buffer *buffer);

// ---------------------------------------------------------------------------------------------------------------------
// Plans

enum { WANE_TENSOR_STRIDED = 1 };          // strides are given; else the tensor is dense and strides are ignored

// A tensor's shape, without memory.
typedef struct wane_tensor {
    size_t struct_size;
    wane_dtype dtype;
    uint32_t rank;                         // 0..4; [1] and a scalar of rank 0 are the same
    uint32_t flags;                        // WANE_TENSOR_*
    uint32_t offset_align_bytes;           // a promise about later byte offsets; 0 means the element's size
    int64_t extents[4];
    int64_t strides[4];                    // in elements, of any sign; 0 on inputs, never on outputs of more than 1
} wane_tensor;

enum {
    WANE_OPERAND_ACCUMULATE = 1,           // a gradient adds to what is there
    WANE_OPERAND_GIVEN = 2,                // `statistics` is an input
    WANE_OPERAND_IN_PLACE = 4              // a gradient lies over its tensor: same type and strides, bound to the same
                                           // bytes, which it replaces
};

typedef struct wane_operand {
    size_t struct_size;
    wane_role role;
    uint32_t flags;                        // WANE_OPERAND_*
    uint64_t reserved[2];
    wane_tensor tensor;
} wane_operand;

// A parameter. Absent means the registry's default; a present one is checked as it stands (0 is 0).
typedef struct wane_param_value {
    wane_param param;
    uint32_t reserved;
    double value;
} wane_param_value;

typedef struct wane_loss_desc {
    size_t struct_size;
    wane_loss loss;
    uint32_t flags;                        // none yet
    const wane_param_value *params;
    const wane_operand *operands;          // inputs given and outputs asked for; what is asked for decides the mode:
    uint32_t param_count;                  // forward, backward (statistics given), or both fused
    uint32_t operand_count;
    uint64_t workspace_limit_bytes;        // 0 means the library's choice
    uint32_t statistics_mask;              // planes of `statistics`: to save (0: the least that backward needs), or what
    uint32_t reserved;                     // is there if given (0: the least)
} wane_loss_desc;

typedef struct wane_plan_info {
    size_t struct_size;
    uint64_t workspace_bytes;              // exact: one byte less is refused, this many suffice
    uint32_t workspace_align_bytes;        // of the workspace's place: 4 on the CPU, 256 on a GPU
    uint32_t dispatch_count;               // what a recorder's capacity is counted in
    uint32_t statistics_mask;              // WANE_STATISTIC_* bits of the planes that this problem saves or reads
    uint32_t reserved;
    uint64_t minimal_bytes;                // what has to move: each input read once, each output written once
    uint64_t moved_bytes;                  // what the chosen passes read and write of the caller's tensors
    uint64_t flops, exps;
} wane_plan_info;

// Makes a plan for a device; touches the limits alone. Errors: NULL_ARGUMENT, STRUCT, FLAGS, UNKNOWN_LOSS,
// UNKNOWN_ROLE, UNKNOWN_PARAM, DUPLICATE, MISSING_OPERAND, PARAM_RANGE, RANK, EXTENT, DTYPE, STRIDE, SIZE, ALIGNMENT,
// STATISTICS, NO_OUTPUT, UNSUPPORTED, TOO_LARGE, HOST_MEMORY.
WANE_API wane_status wane_plan_create(wane_device *device, const wane_loss_desc *desc, wane_plan **out);
// The same for a record of limits, where no such device is at hand; such a plan makes no executable.
WANE_API wane_status wane_plan_create_for(wane_context *context, const wane_limits *limits, const wane_loss_desc *desc,
                                          wane_plan **out);
WANE_API wane_status wane_plan_get_info(const wane_plan *plan, wane_plan_info *info);
// Writes a text for people: the passes with kernels and sizes, and why other choices were not taken. Returns the bytes
// of the whole text without its end, like snprintf.
WANE_API size_t wane_plan_describe(const wane_plan *plan, char *text, size_t capacity);
WANE_API void wane_plan_destroy(wane_plan *plan);

// ---------------------------------------------------------------------------------------------------------------------
// Statistics planes: f32 [planes, rows], what backward needs of forward, mergeable over shards of a row

// "Others" are the columns other than the target. max and target hold u, exact values of the input's scale (after
// softcap, before the temperature: rounding u / temperature to f32 alone would cost 1e-5 of a gradient); the sums are
// over x - max = (u - max) / temperature.
enum {
    WANE_STATISTIC_MAX = 1 << 0,           // max of u over the others; -FLT_MAX if none is above -inf
    WANE_STATISTIC_SUM = 1 << 1,           // sum over the others of exp(x_j - max)
    WANE_STATISTIC_TARGET = 1 << 2,        // u of the target, 0 in a shard without it
    WANE_STATISTIC_FLAGS = 1 << 3,         // WANE_FLAG_* or-ed, as an f32 of that integer
    WANE_STATISTIC_SUM_EXP_X = 1 << 4,     // sum over the others of exp(x_j - max) * (x_j - max)
    WANE_STATISTIC_SUM_WEIGHT_X = 1 << 5,  // sum over the others above -inf of weight[j] * (x_j - max); of probabilities
                                           // all columns, weight[j] the smoothed t_j times the class weight
    WANE_STATISTIC_SUM_WEIGHT = 1 << 6     // sum over the others of weight[j]
    // MAX, SUM, TARGET and FLAGS are always there. The two sums with weights serve label smoothing, SUM_EXP_X entropy
};

enum {
    WANE_FLAG_NAN = 1, WANE_FLAG_PLUS_INF = 2,
    WANE_FLAG_OTHER_FINITE = 4,            // one of the others is above -inf
    WANE_FLAG_MINUS_INF = 8,               // a column of non-zero class weight is -inf
    WANE_FLAG_TARGET_SEEN = 16, WANE_FLAG_TARGET_MINUS_INF = 32,
    WANE_FLAG_BAD_TARGET = 64, WANE_FLAG_IGNORED = 128
};

// The planes that backward (and merging) need of this problem: what to give `statistics` as its first extent. Of the
// operands their types alone are looked at: probabilities need other planes than an index, which is taken for granted
// where `target` is not among them. Errors: as wane_plan_create for loss and parameters.
WANE_API wane_status wane_statistics_need(wane_context *context, const wane_loss_desc *desc, uint32_t *mask);

// The layout of a mask: planes stand in the order of their bits. Number of planes; index of one, -1 if it is absent.
WANE_API uint32_t wane_statistics_plane_count(uint32_t mask);
WANE_API int32_t wane_statistics_plane(uint32_t mask, uint32_t bit);

typedef struct wane_statistics_merge_desc {
    size_t struct_size;
    uint32_t mask;
    uint32_t shard_count;
    int64_t rows;
    double temperature;                    // that of the loss, > 0; of contrastive losses 1, whatever theirs is
    const float *const *shards;            // shard_count arrays [planes, rows]
    float *out;                            // [planes, rows]; may be one of the shards
} wane_statistics_merge_desc;

// Merges shards of a row set on the host, in their order, so that equal inputs give equal bits. Errors: NULL_ARGUMENT,
// STRUCT, FLAGS (unknown or missing bits), EXTENT, PARAM_RANGE.
WANE_API wane_status wane_statistics_merge(wane_context *context, const wane_statistics_merge_desc *desc);

// ---------------------------------------------------------------------------------------------------------------------
// Executables and recorders

// Prepares a plan on its device. The plan may be destroyed afterwards. Slow (a driver compiles) unless cached.
// Errors: NULL_ARGUMENT, MISMATCH (a plan without a device), DEVICE_UNUSABLE, BUILD, HOST_MEMORY, DEVICE_MEMORY,
// DEVICE_LOST, DRIVER.
WANE_API wane_status wane_executable_create(const wane_plan *plan, wane_executable **out);
// All work recorded from it must be done.
WANE_API void wane_executable_destroy(wane_executable *executable);

// For work of these executables (of one device) of at most dispatch_capacity dispatches until a reset; 0: the sum of
// what the executables need for one record each.
WANE_API wane_status wane_recorder_create(wane_executable *const *executables, uint32_t count,
                                          uint32_t dispatch_capacity, wane_recorder **out);
// Rewinds. The work recorded so far must be done: on Vulkan its descriptors are written anew by the next record. A debug
// build of wane (without NDEBUG) answers IN_USE where a Vulkan device has not done any of it, also where it was never
// submitted; a release build does not look.
WANE_API wane_status wane_recorder_reset(wane_recorder *recorder);
WANE_API void wane_recorder_destroy(wane_recorder *recorder);

// ---------------------------------------------------------------------------------------------------------------------
// Run

// Memory for an operand of the plan: exactly one of a buffer, a host pointer and a native handle.
typedef struct wane_binding {
    size_t struct_size;
    wane_role role;
    uint32_t flags;                        // none yet
    wane_buffer *buffer;
    uint64_t byte_offset;                  // of the element at index 0, also with negative strides
    void *host;                            // instead of buffer; wane_run and wane_run_cpu alone
    uint64_t native;                       // instead of buffer: a VkBuffer or cl_mem; record functions alone
    uint64_t bytes;                        // size of what host or native stands for
    uint64_t reserved[2];
} wane_binding;

// Every operand of the plan exactly once.
typedef struct wane_args {
    size_t struct_size;
    const wane_binding *bindings;
    uint32_t binding_count;
    uint32_t flags;                        // none yet
    wane_binding workspace;                // role NONE; absent only for wane_run, which then brings its own
} wane_args;

// Stages host memory, records, submits and waits. recorder may be NULL (a temporary one is made) or one made for this
// executable; it keeps the staging memory for the next call, and is reset by it. Returns WANE_WARN_DATA when the data
// had faults. Errors: those of arguments (before anything is written), HOST_MEMORY, DEVICE_MEMORY, SUBMIT, DEVICE_LOST.
WANE_API wane_status wane_run(wane_executable *executable, wane_recorder *recorder, const wane_args *args);

// The CPU's record: works at once, in the caller's memory and workspace, without any heap call. Kernels round to the nearest
// and keep small numbers, whatever mode the calling thread is in (rounding, flush to zero, traps), and leave it as it was.
// Errors: those of arguments, and MISMATCH for an executable of another backend.
WANE_API wane_status wane_run_cpu(wane_executable *executable, const wane_args *args);

#ifdef __cplusplus
}
#endif

#endif
