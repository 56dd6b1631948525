# check-kernels.awk - see check-kernels. POSIX awk.
#
# Reads all files into one row of tokens T[1..n], each with its file F, line L, and phase P (1 file scope, 2 statements
# of the entry, 0 preprocessor). A unit is a function or a kernel's statements. Words of the languages are looked for in
# the tokens; barriers, recursion and conditions in the units, by a graph of calls.

function words(list, set,    a, i, n) { n = split(list, a, " "); for (i = 1; i <= n; i++) set[a[i]] = 1 }

BEGIN {
    words("active asm attribute auto buffer cast centroid class coherent common discard enum extern " \
          "external filter fixed flat goto half highp in inline inout input interface invariant layout lowp mediump " \
          "namespace noinline noperspective out output partition patch precise precision public readonly resource " \
          "sample sampler shared short sizeof smooth static subroutine superp template texture this typedef " \
          "uniform union unsigned using varying volatile writeonly image2D atomic_uint " \
          "vec2 vec3 vec4 ivec2 ivec3 ivec4 uvec2 uvec3 uvec4 bvec2 bvec3 bvec4 dvec2 dvec3 dvec4 mat2 mat3 mat4 " \
          "fvec2 fvec3 fvec4 hvec2 hvec3 hvec4", glsl_words)
    words("kernel global local constant private generic read_only write_only read_write uchar ushort image2d_t " \
          "sampler_t event_t pipe vec_step complex imaginary quad", cl_words)
    words("char register restrict signed", c_words)
    words("int64_t uint64_t int64 uint64 long ulong size_t ssize_t ptrdiff_t intptr_t uintptr_t i64vec2 u64vec2 " \
          "long2 ulong2 int16_t uint16_t int8_t uint8_t", wide_words)
    words("exp log log2 exp2 pow sqrtf expf logf powf tanh sinh cosh log1p expm1 fma mad fmax fmin isnan isinf mix " \
          "step smoothstep inversesqrt rsqrt native_exp barrier memoryBarrier memoryBarrierShared get_local_id " \
          "get_global_id printf memcpy", native_words)
    not_sized = " is sized by a constant that is no literal: glslang drops what passes through it"
    n = 0
    split(lane_kernels, names, " ")
    for (i in names) lane_kernel[names[i]] = 1
}

function complain(i, what) { bad_line(F[i], L[i], what) }
function bad_line(file, line, what)
{
    if (said[file, line, what]++) return
    print file ":" line ": " what
    failed = 1
}

# ---- reading ----

FNR == 1 { depth = 0; phase = 1; kernel_depth = 0; in_comment = 0; in_macro = 0; files[++file_count] = FILENAME }
{ read_line($0) }

function strip(text,    out, at)
{
    out = ""
    while (text != "") {
        if (in_comment) {
            at = index(text, "*/")
            if (!at) return out
            text = substr(text, at + 2)
            in_comment = 0
            continue
        }
        at = match(text, /\/[\/*]/)
        if (!at) return out text
        out = out substr(text, 1, at - 1) " "
        if (substr(text, at + 1, 1) == "/") return out
        text = substr(text, at + 2)
        in_comment = 1
    }
    return out
}

function read_line(text,    code, directive, more)
{
    if (index(text, "the same for the whole group")) uniform[FILENAME, FNR] = 1
    code = strip(text)
    more = code ~ /\\[ \t]*$/
    sub(/\\[ \t]*$/, "", code)
    if (!in_macro && code ~ /^[ \t]*#/) {
        directive = code
        sub(/^[ \t]*#[ \t]*/, "", directive)
        track_phase(directive)
        if (directive ~ /^include/ && directive !~ /^include[ \t]*"/)
            bad_line(FILENAME, FNR, "system header: a body includes files of its own alone")
        if (directive ~ /^define/) {
            in_macro = 1
            macro = directive
            sub(/^define[ \t]+/, "", macro)
            match(macro, /^[A-Za-z_0-9]+/)
            macro = substr(macro, 1, RLENGTH)
            sub(/^define[ \t]+[A-Za-z_0-9]+/, "", directive)
            if (directive ~ /K_[CPW][ \t]*\(/) not_literal[macro] = 1
            tokens(directive, 0)
        }
    } else {
        if (in_macro && code ~ /K_[CPW][ \t]*\(/) not_literal[macro] = 1
        tokens(code, in_macro ? 0 : phase)
    }
    if (in_macro && !more) in_macro = 0
}

function track_phase(directive)
{
    if (directive ~ /^if/) {
        depth++
        if (directive ~ /K_PHASE[ \t]*==[ \t]*1/) { kernel_depth = depth; phase = 1 }
    } else if (directive ~ /^else/ && depth == kernel_depth) phase = 2
    else if (directive ~ /^endif/) {
        if (depth == kernel_depth) { kernel_depth = 0; phase = 1 }
        depth--
    }
}

function tokens(code, where,    t)
{
    while (code != "") {
        sub(/^[ \t\r]+/, "", code)
        if (code == "") return
        if (match(code, /^[A-Za-z_][A-Za-z_0-9]*/) || match(code, /^\.?[0-9]([eE][+-]|[A-Za-z_0-9.])*/) ||
            match(code, /^"[^"]*"/) || match(code, /^(<<=|>>=)/) ||
            match(code, /^(==|!=|<=|>=|&&|\|\||<<|>>|\+\+|--|->|##|[-+*\/%&|^]=)/)) t = substr(code, 1, RLENGTH)
        else t = substr(code, 1, 1)
        code = substr(code, length(t) + 1)
        n++
        T[n] = t; F[n] = FILENAME; L[n] = FNR; P[n] = where
    }
}

# ---- single words ----

function check_word(i,    t, u)
{
    t = T[i]
    u = ": choose another name"
    if (t in wide_words)
        complain(i, "`" t "`: only uint, int, float and bool are the same in all languages; read i64 as two words")
    else if (t == "double" || t ~ /^dvec/) complain(i, "`double`: devices of the floor have none; compute in float")
    else if (t in glsl_words) complain(i, "`" t "` is a reserved word of GLSL" u)
    else if (t in cl_words) complain(i, "`" t "` is a reserved word of OpenCL C" u)
    else if (t in c_words) complain(i, "`" t "` is a keyword of C" u)
    else if (t in native_words)
        complain(i, "`" t "` differs between devices: use the prelude's words or elementary.h")
    else if (t ~ /^atomic/)
        complain(i, "`" t "`: no atomics in a body; write partial results and merge them in a fixed order")
    else if (t ~ /^gl_/ || t ~ /__/) complain(i, "`" t "`: names with gl_ or __ belong to the languages" u)
    else if (t == "k_" || t ~ /^k_(sh|shared|slot|ctx|context)($|_)/ || t ~ /^s_[a-z]/)
        complain(i, "`" t "`: memory is reached through K_LD, K_ST, K_SL and K_SS alone, or the checks cannot see it")
    else if (t == "->") complain(i, "`->`: GLSL has no pointers")
    else if (t == "do") complain(i, "`do`: write a for loop, whose condition stands before its barriers")
    else if (t ~ /^\.?[0-9]/ && t !~ /^0[xX]/ && t ~ /[.eE]/ && t !~ /[fF]$/)
        complain(i, "`" t "` is a double in C: write " t "f")
}

# type name[...] with a size that is no literal
function check_array(i,    k, level)
{
    if (T[i] !~ /^[a-z_]/ || T[i - 1] !~ /^[a-z_]/ || T[i - 1] == "return" || T[i - 1] == "else") return
    level = 0
    for (k = i + 1; k <= n; k++) {
        if (T[k] == "[") level++
        if (T[k] == "]" && --level == 0) return
        if (T[k] ~ /^K_[CPW]$/ || T[k] in not_literal) {
            complain(i, "array `" T[i] "`" not_sized)
            return
        }
    }
}

# ---- units: functions and statements ----

function closing(i, left, right,    level)
{
    for (level = 0; i <= n; i++) {
        if (T[i] == left) level++
        if (T[i] == right && --level == 0) return i
    }
    return n
}

function find_units(    i, k, end)
{
    for (i = 1; i <= n; i++) {
        if (P[i] == 1 && T[i] == "K_FN") {
            k = i + 1
            while (k < n && T[k] != "(") k++
            end = closing(k, "(", ")") + 1
            if (T[end] == "{") add_unit(T[k - 1], end, closing(end, "{", "}"))
        } else if (P[i] == 2) {
            for (k = i; k < n && F[k + 1] == F[i] && P[k + 1] != 1; k++) ;
            add_unit("", i, k)
            i = k
        }
    }
}

function add_unit(name, first, last)
{
    unit_count++
    unit_name[unit_count] = name
    unit_first[unit_count] = first
    unit_last[unit_count] = last
    if (name != "") units_of[name] = units_of[name] " " unit_count
}

# called(i): whether token i calls a function of ours that has the property
function called(i, property) { return T[i + 1] == "(" && (T[i] in units_of) && (T[i] in property) }

function spread(property, pattern,    u, i, name, again)
{
    for (u = 1; u <= unit_count; u++)
        for (i = unit_first[u]; i <= unit_last[u]; i++)
            if (unit_name[u] != "" && T[i] ~ pattern) property[unit_name[u]] = 1
    do {
        again = 0
        for (u = 1; u <= unit_count; u++) {
            name = unit_name[u]
            if (name == "" || name in property) continue
            for (i = unit_first[u]; i <= unit_last[u] && !(name in property); i++)
                if (called(i, property)) property[name] = again = 1
        }
    } while (again)
}

function check_recursion(    u, i, name, seen, list, count, v, k, parts)
{
    for (u = 1; u <= unit_count; u++) {
        name = unit_name[u]
        if (name == "") continue
        split("", seen)
        list[1] = u
        count = 1
        for (k = 1; k <= count; k++) {
            v = list[k]
            for (i = unit_first[v]; i <= unit_last[v]; i++) {
                if (T[i + 1] != "(" || !(T[i] in units_of) || T[i] in seen) continue
                if (T[i] == name) {
                    complain(i, "recursion: `" name "` calls itself, here or on the way; GLSL and OpenCL forbid it")
                    return
                }
                seen[T[i]] = 1
                for (parts = split(units_of[T[i]], ids, " "); parts > 0; parts--) list[++count] = ids[parts]
            }
        }
    }
}

# ---- what differs between lanes ----

function by_lane(i) { return T[i] ~ /^K_(LANE|LD|SL)$/ || T[i] in tainted || called(i, loading) }

# Variables of a unit that hold what a lane computed from its number or loaded.
function taint_unit(u,    i, k, base, level, again)
{
    split("", tainted)
    do {
        again = 0
        for (i = unit_first[u]; i <= unit_last[u]; i++) {
            if (T[i] !~ /^(=|[-+*\/%&|^]=|<<=|>>=)$/) continue
            base = assigned(i)
            if (base == "" || base in tainted) continue
            level = 0
            for (k = i + 1; k <= unit_last[u] && T[k] != ";"; k++) {
                if (T[k] ~ /^[([{]$/) level++
                if (T[k] ~ /^[])}]$/ && --level < 0) break
                if (T[k] == "," && level == 0) break
                if (by_lane(k)) { tainted[base] = 1; again = 1; break }
            }
        }
    } while (again)
}

# The variable left of the assignment at token i: `a`, `a[..]`, `a.b`.
function assigned(i,    level)
{
    i--
    if (T[i] == "]")
        for (level = 0; i > 1; i--) {
            if (T[i] == "]") level++
            if (T[i] == "[" && --level == 0) { i--; break }
        }
    while (T[i - 1] == ".") i -= 2
    return T[i] ~ /^[A-Za-z_]/ ? T[i] : ""
}

function differs(first, last,    i)
{
    for (i = first; i <= last; i++)
        if ((F[first], L[i]) in uniform) return 0
    for (i = first; i <= last; i++) if (by_lane(i)) return 1
    return 0
}

function is_barrier(i) { return T[i] == "K_BARRIER" || called(i, waiting) }

# The end of the statement that begins at token i.
function statement_end(i, last)
{
    if (T[i] == "{") return closing(i, "{", "}")
    while (i < last && T[i] != ";") i = T[i] == "(" ? closing(i, "(", ")") + 1 : i + 1
    return i
}

function holds_barrier(first, last,    i)
{
    for (i = first; i <= last; i++) if (is_barrier(i)) return 1
    return 0
}

# ---- control: a stack of frames, each a statement under a condition ----

function push(kind, control, bad, loop)
{
    top++
    kinds[top] = kind
    controls[top] = control
    bads[top] = bad
    loops[top] = loop                       # 0 none, 1 a loop, 2 a loop with a barrier
}

# A statement has ended at token i: with it end the ifs and loops of which it is the one statement.
function ended(i)
{
    while (top > 0 && kinds[top] == "single") {
        last_bad = bads[top]
        top--
        if (controls[top + 1] == "if" && T[i + 1] == "else") return
    }
}

function under_bad(    k)
{
    for (k = top; k > 0; k--) if (bads[k]) return bads[k]
    return 0
}

# break and continue under such a condition leave a loop whose other lanes wait
function leaves_waiting_loop(    k, bad)
{
    bad = 0
    for (k = top; k > 0; k--) {
        if (bads[k]) bad = bads[k]
        if (loops[k]) return loops[k] == 2 ? bad : 0
    }
    return 0
}

function walk_unit(u,    i, end, bad, loop, last)
{
    top = 0
    last_bad = 0
    last = unit_last[u]
    for (i = unit_first[u]; i <= last; i++) {
        if (P[i] == 0) continue
        if (T[i] ~ /^(if|for|while)$/ && T[i + 1] == "(") {
            end = closing(i + 1, "(", ")")
            bad = differs(i, end) ? L[i] : 0
            loop = T[i] == "if" ? 0 : holds_barrier(end + 1, statement_end(end + 1, last)) ? 2 : 1
            push("single", T[i], bad, loop)
            i = end
        } else if (T[i] == "else") push("single", "else", last_bad, 0)
        else if (T[i] == "{") {
            if (top > 0 && kinds[top] == "single") kinds[top] = "block"
            else push("block", "", 0, 0)
        } else if (T[i] == "}") {
            if (top > 0) { last_bad = bads[top]; top-- }
            if (!(controls[top + 1] == "if" && T[i + 1] == "else")) ended(i)
        } else if (T[i] == ";") ended(i)
        else if (is_barrier(i) && under_bad())
            complain(i, "barrier under the condition of line " under_bad() ", which may differ between lanes: move " \
                        "it out, or mark that line `// the same for the whole group`")
        else if (T[i] ~ /^(break|continue)$/ && leaves_waiting_loop())
            complain(i, "`" T[i] "` under the condition of line " leaves_waiting_loop() ", which may differ between " \
                        "lanes, leaves a loop with a barrier: let the loop run on")
    }
}

function check_returns(u,    i, last_barrier)
{
    last_barrier = 0
    for (i = unit_first[u]; i <= unit_last[u]; i++) if (is_barrier(i)) last_barrier = i
    for (i = unit_first[u]; i <= unit_last[u]; i++) {
        if (T[i] != "return") continue
        if (unit_name[u] == "")
            complain(i, "`return` in a kernel's statements: later barriers and the CPU's later items are lost; use if")
        else if (i < last_barrier)
            complain(i, "`return` before the last barrier of `" unit_name[u] "`: the others wait; use if")
    }
}

function check_lane_kernel(u,    i, name)
{
    name = F[unit_first[u]]
    sub(/.*\//, "", name)
    sub(/\.k\.h$/, "", name)
    if (unit_name[u] != "" || !(name in lane_kernel)) return
    for (i = unit_first[u]; i <= unit_last[u]; i++)
        if (is_barrier(i) || T[i] ~ /^K_S[LS]$/ || called(i, sharing))
            complain(i, "a LANE kernel has neither barriers nor shared memory: make it a GROUP kernel in kernels.def")
}

END {
    for (i = 1; i <= n; i++) {
        check_word(i)
        if (T[i + 1] == "[" && P[i] != 0) check_array(i)
        if (T[i] == "K_INOUT_ARRAY") {
            end = closing(i + 1, "(", ")")
            for (k = i; k < end && T[k] !~ /^K_[CPW]$/ && !(T[k] in not_literal); k++) ;
            if (k < end) complain(k, "array `" T[i + 4] "`" not_sized)
        }
    }
    find_units()
    spread(waiting, "^K_BARRIER$")
    spread(sharing, "^K_S[LS]$")
    spread(loading, "^K_(LANE|LD|SL)$")
    check_recursion()
    for (u = 1; u <= unit_count; u++) {
        taint_unit(u)
        walk_unit(u)
        check_returns(u)
        check_lane_kernel(u)
    }
    exit failed
}
