# check-layers.awk - see check-layers. POSIX awk.

function complain(what) { print FILENAME ":" FNR ": " what; failed = 1 }

BEGIN {
    LINES_MOST = 800
    FUNCTION_MOST = 80
}

FNR == 1 {
    file = FILENAME
    is_code = file ~ /\.(c|h|cl|comp|awk|sh|cmake|in)$/ || file ~ /CMakeLists\.txt$/ || file ~ /(^|\/)[^.\/]+$/
    measured = is_code && file != "include/wane/wane.h" && file !~ /(^|\/)LICENSE/
    in_c = file ~ /^(src|tools|tests)\/.*\.(c|h|c\.in|h\.in)$/
    opened = 0
}

/\t/ && file !~ /(^|\/)Makefile$/ { complain("tab: use spaces") }
/[ \r]$/ { complain("blank at the end of the line: remove it") }
FNR == LINES_MOST + 1 && measured { complain("more than " LINES_MOST " lines: this is two ideas, make it two files") }

# ---- functions: the brace that opens one stands alone in the first column, as does the one that closes it ----

in_c && /^\{[ \r]*$/ { opened = FNR }
in_c && /^\}/ && opened {
    if (FNR - opened + 1 > FUNCTION_MOST)
        complain("a function of " FNR - opened + 1 " lines (from line " opened "): split it, " FUNCTION_MOST " is most")
    opened = 0
}

# ---- includes ----

/^[ ]*#[ ]*include[ ]*[<"]/ {
    if (file !~ /\.(c|h|def|in|cl|comp)$/) next
    name = $0
    sub(/^[ ]*#[ ]*include[ ]*/, "", name)
    system_header = name ~ /^</
    name = substr(name, 2)
    sub(/[>"].*$/, "", name)
    check_include()
}

function beside(    path, line, found)
{
    path = file
    sub(/[^\/]*$/, "", path)
    found = (getline line < (path name)) >= 0
    close(path name)
    return found
}

function check_include()
{
    if (name ~ /(^|\/)\.\.\//) complain("\"" name "\": no way up in an include; name it from its root")
    else if (file ~ /^include\//) check_public()
    else if (file ~ /^src\//) check_source()
    else if (file ~ /^tests\/oracle\//) check_oracle()
    else if (file ~ /^(tools|examples)\//) check_user()
}

function check_public()
{
    if (name ~ /^(stddef\.h|stdint\.h|losses\.def|wane\.h|wane\/wane\.h)$/) return
    if (file ~ /wane_vulkan\.h$/ && name ~ /^vulkan\//) return
    if (file ~ /wane_opencl\.h$/ && name ~ /^CL\//) return
    complain(name ": a public header includes <stddef.h>, <stdint.h>, losses.def, wane.h, its own API's header alone")
}

function check_source(    backend, other)
{
    backend = ""
    if (file ~ /^src\/backend\/[a-z0-9]+\//) { split(file, parts, "/"); backend = parts[3] }
    if (name ~ /^(unistd|time|pthread|dlfcn|sched|poll|signal|fcntl|dirent|windows|getopt)\.h$/ || name ~ /^sys\//) {
        if (file !~ /^src\/core\/platform_[a-z]+\.c$/)
            complain(name ": only src/core/platform_*.c knows the system; add a function to platform.h")
        return
    }
    if (name ~ /^vulkan\// || name == "wane/wane_vulkan.h") {
        if (backend != "vulkan") complain(name ": Vulkan stays inside src/backend/vulkan")
        return
    }
    if (name ~ /^CL\// || name == "wane/wane_opencl.h") {
        if (backend != "opencl") complain(name ": OpenCL stays inside src/backend/opencl")
        return
    }
    if (system_header || file == "src/tables.c") return
    if (name ~ /^(core\/|wane\/)/ || beside()) return
    if (name ~ /^backend\//) {
        other = name
        sub(/^backend\//, "", other)
        if (backend == "") complain(name ": only src/tables.c sees backends; go through the tables of core.h")
        else if (other ~ /\// && other !~ "^" backend "/")
            complain(name ": one backend never includes another; what both need belongs to core")
        return
    }
    if (name ~ /^loss\//) {
        if (file !~ /^src\/loss\//) complain(name ": only src/tables.c sees families; go through the tables of core.h")
        return
    }
    if (name ~ /^kernels\// && (file ~ /^src\/loss\// || backend != "")) return
    if (backend != "" && (name ~ /@/ || name ~ /^prelude_/)) return
    if (file ~ /^src\/core\//) complain(name ": core includes core and the public header alone")
    else complain(name ": not within reach of this layer; see the head of tools/check-layers")
}

function check_oracle()
{
    if (system_header || name == "wane/losses.def" || (name !~ /\// && beside())) return
    complain(name ": the oracle judges the library, so it includes nothing of it but losses.def")
}

function check_user()
{
    if (name ~ /^(core|loss|backend|kernels|src)\//) {
        if (file ~ /^tools\//) complain(name ": tools use the public headers and the oracle; add what the API lacks")
        else complain(name ": examples use the public headers; add what the API lacks")
    }
    else if (file ~ /^examples\// && name ~ /oracle/) complain(name ": examples use the public headers")
}

END { exit failed }
