"""wane for the programs that run it beside others, bench-peers and bench-peers-rank: peer.c through ctypes."""
import ctypes, os, sys

# wane_dtype
CODES = {"float32": 1, "float16": 2, "bfloat16": 3, "int32": 4, "int64": 5}


def keep_freed_memory():
    """Peers at their best, before they are imported: without this glibc gives large blocks back to the system at once, and
    PyTorch's fresh gradient costs more in page faults than in arithmetic."""
    best = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 40)}
    if any(os.environ.get(name) != value for name, value in best.items()):
        os.execve(sys.executable, [sys.executable] + sys.argv, dict(os.environ, **best))


class Operand(ctypes.Structure):
    """peer_operand of peer.c."""
    _fields_ = [("role", ctypes.c_char_p), ("data", ctypes.c_void_p), ("extents", ctypes.c_int64 * 4),
                ("dtype", ctypes.c_int32), ("rank", ctypes.c_int32)]


class Param(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("value", ctypes.c_double)]


class Problem(ctypes.Structure):
    _fields_ = [("loss", ctypes.c_char_p), ("operands", ctypes.POINTER(Operand)), ("params", ctypes.POINTER(Param)),
                ("operand_count", ctypes.c_int32), ("param_count", ctypes.c_int32), ("threads", ctypes.c_int32),
                ("reserved", ctypes.c_int32)]


def program():
    return os.path.basename(sys.argv[0])


def load(build):
    for folder in (os.path.join(build, "tools", "bench"), os.path.join(build, "bin"), build):
        path = os.path.join(folder, "libwane_peer.so")
        if os.path.exists(path):
            library = ctypes.CDLL(path)
            library.peer_open.restype = ctypes.c_void_p
            library.peer_workspace_bytes.restype = ctypes.c_int64
            for call in (library.peer_run, library.peer_close, library.peer_workspace_bytes):
                call.argtypes = [ctypes.c_void_p]
            library.peer_version.restype = ctypes.c_char_p
            return library
    sys.exit(f"{program()}: no libwane_peer.so under {build}: cmake --build {build} --target wane_peer")


def address(tensor):
    """Of a dense array of PyTorch or NumPy."""
    return tensor.data_ptr() if hasattr(tensor, "data_ptr") else tensor.ctypes.data


class Call:
    """A loss on arrays by role, planned once. Who makes it keeps the arrays."""
    def __init__(self, library, loss, tensors, params, threads):
        self.library = library
        operands = (Operand * len(tensors))(*[
            Operand(role.encode(), address(t), (ctypes.c_int64 * 4)(*t.shape), CODES[str(t.dtype).split(".")[-1]], t.ndim)
            for role, t in tensors.items()])
        params = (Param * len(params))(*[Param(name.encode(), value) for name, value in params.items()])
        problem = Problem(loss.encode(), operands, params, len(operands), len(params), threads, 0)
        status = ctypes.c_int32()
        self.handle = library.peer_open(ctypes.byref(problem), ctypes.byref(status))
        if not self.handle:
            sys.exit(f"{program()}: wane refused: status {status.value}; WANE_LOG=error says more")

    def run(self):
        self.library.peer_run(self.handle)

    def close(self):
        self.library.peer_close(self.handle)
