"""The walls that an agent's process raises around itself before it imports the submission; standard library only.

What has been given up here cannot be taken back: limits are hard, user id and capabilities are gone, Landlock
(landlock(7)) and seccomp(2) hold for the process until it ends.
"""

from __future__ import annotations

import base64
import ctypes
import os
import resource
import sys
from typing import Any

from agt_tournament.sandbox.inside import clock

_PR_SET_DUMPABLE, _PR_SET_KEEPCAPS, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 4, 8, 22, 38
_SECCOMP_MODE_FILTER = 2
_PR_SET_PDEATHSIG, _SIGKILL = 1, 9
_CLONE_NEWNS, _MS_RDONLY, _MS_NOEXEC, _MS_REC, _MS_PRIVATE = 0x20000, 1, 8, 0x4000, 1 << 18
_MOUNT_SETATTR, _AT_FDCWD, _AT_RECURSIVE = 442, -100, 0x8000  # Linux 5.12, older than Landlock
_MOUNT_ATTR_RDONLY, _MOUNT_ATTR_NOSUID, _MOUNT_ATTR_NOATIME, _MOUNT_ATTR_ATIME = 1, 2, 0x10, 0x70
_CAPABILITY_VERSION_3 = 0x20080522
CAP_DAC_READ_SEARCH = 2
_LANDLOCK_CREATE_RULESET, _LANDLOCK_ADD_RULE, _LANDLOCK_RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_LANDLOCK_VERSION_FLAG, _RULE_PATH_BENEATH = 1, 1
READ_FILE, READ_DIR = 1 << 2, 1 << 3
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}  # bits of file access that an ABI knows; later ones know 16
_NETWORK_RIGHTS, _SCOPES = 0b11, 0b11  # bind and connect TCP (ABI 4); abstract sockets and signals (ABI 6)

_libc = ctypes.CDLL(None, use_errno=True)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _MountAttributes(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "namespace"))


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("rights", ctypes.c_uint64), ("folder", ctypes.c_int32))


def raise_walls(plan: dict[str, Any]) -> None:
    """Give up what `plan` says.

    Args:
        plan: What `sandbox.Sandbox.plan` made. limits: hard limits by their names in `resource`; without anything else
            these are all. covered: folders to hide from `stat`, where that is allowed. readable: paths and Landlock
            rights; landlock: whether to use them. user_id: the id to take, None to keep the present one. capabilities:
            those to keep. vvar_bytes: for `clock.hide`. seccomp and seccomp_with_clocks: a BPF program in Base64 for a
            process without clocks, and for one that kept them.

    Raises:
        OSError: the kernel does not let it.
    """
    for name, limit in plan["limits"].items():
        resource.setrlimit(getattr(resource, name), (limit, limit))
    if "seccomp" not in plan:
        return
    kept_clocks = clock.hide(plan["vvar_bytes"])
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _cover(plan["covered"])
    if plan["landlock"]:
        _restrict_to(plan["readable"])
    if plan["user_id"] is not None:
        _become(plan["user_id"])
    _keep_capabilities(plan["capabilities"] if plan["user_id"] is not None else [])
    _prctl(_PR_SET_DUMPABLE, 0)  # no other process of the same user reads its memory
    _prctl(_PR_SET_PDEATHSIG, _SIGKILL)  # a stopped process does not notice that its organiser is gone
    program = base64.b64decode(plan["seccomp_with_clocks" if kept_clocks else "seccomp"])
    filtered = _Program(len(program) // 8, program)
    done = _libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(filtered), 0, 0)
    _check(done, "prctl(PR_SET_SECCOMP)")


def landlock_abi() -> int:
    """Return the version of Landlock that the kernel has; 0 for none."""
    if sys.platform != "linux":  # there the number is another call's
        return 0
    return max(int(_libc.syscall(_LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), _LANDLOCK_VERSION_FLAG)), 0)


def _cover(folders: list[str]) -> None:
    """Mount an empty folder over each of `folders` where that is allowed, in a mount namespace of its own.

    There the whole tree becomes read-only, and reading leaves no time of access.
    """
    if not folders or _libc.unshare(_CLONE_NEWNS) < 0:
        return
    _check(_libc.mount(None, b"/", None, _MS_REC | _MS_PRIVATE, None), "mount(/, MS_PRIVATE)")
    attributes = _MountAttributes(_MOUNT_ATTR_RDONLY | _MOUNT_ATTR_NOSUID | _MOUNT_ATTR_NOATIME, _MOUNT_ATTR_ATIME)
    size = ctypes.c_size_t(ctypes.sizeof(attributes))
    done = _libc.syscall(_MOUNT_SETATTR, _AT_FDCWD, b"/", _AT_RECURSIVE, ctypes.byref(attributes), size)
    _check(done, "mount_setattr(/)")
    for folder in folders:
        done = _libc.mount(b"none", folder.encode(), b"tmpfs", _MS_RDONLY | _MS_NOEXEC, b"size=0,mode=755")
        _check(done, f"mount({folder})")


def _restrict_to(readable: list[tuple[str, int]]) -> None:
    """Leave nothing of the file system but `readable`, and of network and signals nothing that Landlock knows."""
    abi = landlock_abi()
    handled = (1 << _FILE_RIGHTS.get(abi, 16)) - 1
    ruleset = _Ruleset(handled, _NETWORK_RIGHTS if abi >= 4 else 0, _SCOPES if abi >= 6 else 0)
    size = ctypes.sizeof(_Ruleset) if abi >= 6 else 16 if abi >= 4 else 8
    made = _libc.syscall(_LANDLOCK_CREATE_RULESET, ctypes.byref(ruleset), ctypes.c_size_t(size), 0)
    rules = _check(made, "landlock_create_ruleset")
    for path, rights in readable:
        try:
            folder = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except FileNotFoundError:  # a link that leads out of the namespace: nothing to open
            continue
        beneath = _PathBeneath(rights, folder)
        done = _libc.syscall(_LANDLOCK_ADD_RULE, rules, _RULE_PATH_BENEATH, ctypes.byref(beneath), 0)
        _check(done, f"landlock_add_rule({path})")
        os.close(folder)
    _check(_libc.syscall(_LANDLOCK_RESTRICT_SELF, rules, 0), "landlock_restrict_self")
    os.close(rules)


def _become(user_id: int) -> None:
    """Take the user and the group of that id, and no other group; capabilities stay for `_keep_capabilities`."""
    _prctl(_PR_SET_KEEPCAPS, 1)
    os.setgroups([])
    os.setresgid(user_id, user_id, user_id)
    os.setresuid(user_id, user_id, user_id)


def _keep_capabilities(kept: list[int]) -> None:
    """Drop all capabilities but `kept`, even when running as root."""
    bits = sum(1 << capability for capability in kept)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    _check(_libc.capset(header, (ctypes.c_uint32 * 6)(bits, bits, 0)), "capset")


def _prctl(option: int, value: int) -> None:
    _check(_libc.prctl(option, value, 0, 0, 0), f"prctl({option}, {value})")


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result
