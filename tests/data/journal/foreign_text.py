#!/usr/bin/env python3
"""Makes foreign-text from format2: the same records with what people gave in who, reason, ticket, approval, the document's
name and the names of closed and reserved containers, as it was let in before there was a rule for it. Each record is sealed
anew, as src/journal/frame.rs says."""

import hashlib
import json
import struct
import sys
import zlib

ESCAPES = "\x1b[2J\x1b[31m"
FORGED = "ann\n2       2026-11-23T08:30:00Z   apply   root: forged"
BIDI = "\u202egnp.exe\u200b\ufeff"


def marked(value, key=None):
    if isinstance(value, dict):
        return {name: marked(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        if key == "kept":
            return [[name + BIDI, addresses] for name, addresses in value]
        return [marked(inner, key) for inner in value]
    if isinstance(value, str):
        return {
            "who": value + FORGED,
            "reason": value + ESCAPES + "x" * 400,
            "ticket": value + BIDI,
            "approval": value + "\x9b31m\x07",
            "name": value + "\x1b]0;title\x07",
        }.get(key, value)
    return value


def main(source, to):
    data = open(source, "rb").read()
    adapter = data[21]
    at = 22 + adapter + 4
    out = data[:at]
    before = hashlib.sha256(out).digest()
    while at < len(data):
        (length,) = struct.unpack_from("<I", data, at)
        payload = json.loads(data[at + 44 : at + 44 + length])
        at += 44 + length + 32
        payload = json.dumps(marked(payload), ensure_ascii=False, separators=(",", ":")).encode()
        sealed = hashlib.sha256(before + payload).digest()
        head = struct.pack("<II", len(payload), zlib.crc32(payload + sealed)) + before
        out += head + struct.pack("<I", zlib.crc32(head)) + payload + sealed
        before = sealed
    open(to, "wb").write(out)


main(*sys.argv[1:])
