"""The header and the library from Python, by cffi: smoke.py HEADER LIBRARY WHERE"""

import re
import sys

import cffi

header, library, where = sys.argv[1:]
text = open(header).read()
text = re.sub(r"#ifdef __cplusplus.*?#endif[^\n]*", "", text, flags=re.S)
text = re.sub(r"^#define (?!NICFW_ABI_VERSION)[^\n]*(\\\n[^\n]*)*", "", text, flags=re.M)
text = re.sub(r"^#(?!define)[^\n]*", "", text, flags=re.M)
ffi = cffi.FFI()
ffi.cdef(text)
nicfw = ffi.dlopen(library)


def struct(name):
    made = ffi.new(name + " *")
    made.size = ffi.sizeof(name)
    return made


def must(code):
    assert code == nicfw.NICFW_OK, ffi.string(err.message)


err = struct("nicfw_error")
assert nicfw.nicfw_abi_version() == nicfw.NICFW_ABI_VERSION
nic = ffi.new("nicfw_adapter **")
must(nicfw.nicfw_adapter_open(where.encode(), ffi.NULL, nic, err))
policy, made, items = ffi.new("nicfw_policy **"), ffi.new("nicfw_compiled **"), ffi.new("nicfw_list **")
must(nicfw.nicfw_policy_parse(b"nicfw: 1\nunbound: allow\nmulticast: deny\n", b"base", policy, err))
must(nicfw.nicfw_adapter_compile(nic[0], policy[0], ffi.NULL, made, err))
must(nicfw.nicfw_adapter_adopt(nic[0], made[0], err))
must(nicfw.nicfw_adapter_list_usage(nic[0], items, err))
number = ffi.new("uint64_t *")
must(nicfw.nicfw_list_number(items[0], 0, nicfw.NICFW_FIELD_AVAILABLE, number, err))
assert number[0] == 8192
must(nicfw.nicfw_list_free(items[0], err))
assert nicfw.nicfw_list_free(items[0], err) == nicfw.NICFW_E_HANDLE
must(nicfw.nicfw_compiled_free(made[0], err))
must(nicfw.nicfw_policy_free(policy[0], err))
must(nicfw.nicfw_adapter_close(nic[0], nicfw.NICFW_LEAVE_EMPTY, err))
print("Python: ok")
