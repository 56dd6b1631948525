# shellcheck shell=sh
# steps.sh - for the scripts beside it: runs long commands with their output in a log, and shows that they are alive.

# step TEXT LOG COMMAND...: on a terminal one line that is rewritten, elsewhere a word now and then. After a failure the
# end of the log is shown. The exit status is the command's.
step() {
    step_text=$1
    step_log=$2
    shift 2
    step_start=$(date +%s)
    mkdir -p "$(dirname "$step_log")"
    if [ -t 1 ]; then printf '%s' "$step_text"; else printf '%s\n' "$step_text"; fi
    "$@" >"$step_log" 2>&1 </dev/null &
    step_pid=$!
    # a shell's background commands do not hear Ctrl-C
    trap 'kill "$step_pid" 2>/dev/null; echo; echo "interrupted; the log is $step_log"; exit 130' INT TERM
    step_beat=0
    while kill -0 "$step_pid" 2>/dev/null; do
        sleep 1
        step_beat=$((step_beat + 1))
        if [ -t 1 ]; then
            printf '\r\033[K%s  %s s  %s' "$step_text" "$(($(date +%s) - step_start))" \
                "$(tail -n 1 "$step_log" | tr -d '\r' | cut -c 1-60)"
        elif [ $((step_beat % 20)) -eq 0 ]; then
            printf '    %s s: %s\n' "$(($(date +%s) - step_start))" "$(tail -n 1 "$step_log" | cut -c 1-90)"
        fi
    done
    step_code=0
    wait "$step_pid" || step_code=$?
    trap - INT TERM
    step_seconds=$(($(date +%s) - step_start))
    if [ -t 1 ]; then printf '\r\033[K'; fi
    if [ "$step_code" -eq 0 ]; then
        if [ -t 1 ]; then printf '%s  done, %s s\n' "$step_text" "$step_seconds"; else printf '    done, %s s\n' "$step_seconds"; fi
    else
        printf '%s  FAILED after %s s; the end of %s:\n' "$step_text" "$step_seconds" "$step_log"
        tail -n 40 "$step_log" | sed 's/^/    /'
    fi
    return "$step_code"
}

# Drivers compile kernels when they first see them, and keep the results: in the build folder, not in the home folder.
use_caches_in() {
    POCL_CACHE_DIR=$1/pocl-cache
    MESA_SHADER_CACHE_DIR=$1/mesa-cache
    export POCL_CACHE_DIR MESA_SHADER_CACHE_DIR
    mkdir -p "$POCL_CACHE_DIR" "$MESA_SHADER_CACHE_DIR"
}

# configure SOURCE BUILD OPTION...: with ninja if it is there. A build folder keeps the tool that it was made with.
configure() {
    configure_source=$1
    configure_build=$2
    shift 2
    if [ -f "$configure_build/CMakeCache.txt" ]; then
        if ! grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$configure_source" "$configure_build/CMakeCache.txt"; then
            echo "$configure_build was made for another source folder: remove it, or name another with --build."
            return 1
        fi
    elif command -v ninja >/dev/null 2>&1; then
        set -- -G Ninja "$@"
    fi
    step "Configuring ($configure_build)" "$configure_build/configure.log" \
        cmake -S "$configure_source" -B "$configure_build" "$@" || return 1
    # which backends are in, and what the others need
    sed -n 's/^-- \(wane[ :].*\)/    \1/p' "$configure_build/configure.log"
}

processors() {
    nproc 2>/dev/null || getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2
}
