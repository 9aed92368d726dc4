"""The pause program, written down as machine code: it keeps a pod's namespaces alive and takes no memory to speak of.

What it does, for both architectures (system call numbers: Linux asm/unistd.h):

    rt_sigaction(SIGCHLD, SIG_IGN)            children of a shared process namespace are reaped at once
    rt_sigaction(SIGTERM, stop); rt_sigaction(SIGINT, stop)
    for ever: wait for a signal               pause() on amd64; ppoll(NULL, 0, NULL, NULL) on arm64, without pause()
    stop: exit_group(0)

The file is one ELF header, one PT_LOAD segment (read, execute) and the bytes below; no heap, no libc.
"""

import struct

_BASE = 0x400000
_CODE = _BASE + 64 + 56  # after the ELF header and the one program header
_SA_RESTORER = 0x04000000  # amd64 delivers no signal to a handler without it; the restorer is never reached
_SIGINT, _SIGTERM, _SIGCHLD = 2, 15, 17
_SIG_IGN = 1


def pause_program(arch: str) -> bytes:
    """The ELF executable for "amd64" or "arm64". Raises KeyError for another architecture."""
    machine, assemble = {"amd64": (62, _amd64), "arm64": (183, _arm64)}[arch]
    code, stop = assemble(0, 0)
    actions = _CODE + len(code) + -len(code) % 8
    code, _ = assemble(actions, actions + 32)
    body = code.ljust(actions - _CODE, b"\0")
    body += struct.pack("<4Q", _SIG_IGN, 0, 0, 0)  # struct kernel_sigaction: handler, flags, restorer, mask
    body += struct.pack("<4Q", _CODE + stop, _SA_RESTORER, _CODE + stop, 0)
    size = 64 + 56 + len(body)
    ident = b"\x7fELF" + bytes([2, 1, 1, 0]) + bytes(8)  # 64 bit, little endian, version 1, System V
    header = struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, _CODE, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x10000)
    return ident + header + segment + body


def _amd64(ignore: int, handle: int) -> tuple[bytes, int]:
    """The code and where in it `stop` is; the arguments are the addresses of the two actions."""
    syscall = b"\x0f\x05"
    code = b"\x31\xd2"  # xor edx, edx           no old action
    code += b"\x41\xba" + struct.pack("<I", 8)  # mov r10d, 8     size of the mask
    for signal, action in ((_SIGCHLD, ignore), (_SIGTERM, handle), (_SIGINT, handle)):
        code += b"\xb8" + struct.pack("<I", 13)  # mov eax, 13    rt_sigaction
        code += b"\xbf" + struct.pack("<I", signal)  # mov edi, signal
        code += b"\xbe" + struct.pack("<I", action)  # mov esi, action
        code += syscall
    code += b"\xb8" + struct.pack("<I", 34) + syscall  # mov eax, 34; pause
    code += b"\xeb\xf7"  # jmp back to the mov, 9 bytes
    stop = len(code)
    code += b"\x31\xff\xb8" + struct.pack("<I", 231) + syscall  # xor edi, edi; mov eax, 231; exit_group
    return code, stop


def _arm64(ignore: int, handle: int) -> tuple[bytes, int]:
    """As _amd64. Words: movz 0xd2800000, movk …, lsl 16 0xf2a00000, svc 0xd4000001, b 0x14000000."""

    def mov(register: int, value: int) -> list[int]:
        words = [0xD2800000 | (value & 0xFFFF) << 5 | register]
        return [*words, 0xF2A00000 | (value >> 16) << 5 | register]

    svc = 0xD4000001
    words: list[int] = []
    for signal, action in ((_SIGCHLD, ignore), (_SIGTERM, handle), (_SIGINT, handle)):
        words += mov(0, signal) + mov(1, action) + mov(2, 0) + mov(3, 8) + mov(8, 134) + [svc]  # rt_sigaction
    loop = len(words)
    words += mov(0, 0) + mov(1, 0) + mov(2, 0) + mov(3, 0) + mov(4, 8) + mov(8, 73) + [svc]  # ppoll
    words.append(0x14000000 | (loop - len(words)) & 0x03FFFFFF)  # b loop
    stop = len(words) * 4
    words += mov(0, 0) + mov(8, 94) + [svc]  # exit_group
    return struct.pack(f"<{len(words)}I", *words), stop
