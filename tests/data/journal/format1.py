#!/usr/bin/env python3
"""Makes `format1` and `format1-keyed` from `format2`: the same history in the older format, by code that shares nothing
with the library's. Format 1 has no key check in its header and no approvals in its records."""

import hashlib
import hmac
import json
import pathlib
import struct
import zlib

HERE = pathlib.Path(__file__).parent
KEY = b"a key of this test's own"
MAGIC = b"nicfw journal\r\n\x1a"


def records(data):
    assert data[:16] == MAGIC
    version, flags, length = struct.unpack_from("<IBB", data, 16)
    assert (version, flags) == (2, 0)
    name = data[22 : 22 + length]
    at = 22 + length
    assert struct.unpack_from("<I", data, at)[0] == zlib.crc32(data[:at])
    at += 4
    before = hashlib.sha256(data[:at]).digest()
    payloads = []
    while at < len(data):
        length, crc, prev, head = struct.unpack_from("<II32sI", data, at)
        payload = data[at + 44 : at + 44 + length]
        own = data[at + 44 + length : at + 76 + length]
        assert head == zlib.crc32(data[at : at + 40])
        assert crc == zlib.crc32(payload + own)
        assert prev == before
        assert own == hashlib.sha256(prev + payload).digest()
        payloads.append(json.loads(payload))
        before = own
        at += 76 + length
    return name, payloads


def write(name, payloads, key):
    def digest(data):
        return hmac.new(key, data, hashlib.sha256).digest() if key else hashlib.sha256(data).digest()

    out = MAGIC + struct.pack("<IBB", 1, 1 if key else 0, len(name)) + name
    out += struct.pack("<I", zlib.crc32(out))
    before = digest(out)
    for record in payloads:
        record["event"].get("begin", {}).pop("approval", None)
        payload = json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode()
        own = digest(before + payload)
        head = struct.pack("<II32s", len(payload), zlib.crc32(payload + own), before)
        out += head + struct.pack("<I", zlib.crc32(head)) + payload + own
        before = own
    return out


name, payloads = records((HERE / "format2").read_bytes())
(HERE / "format1").write_bytes(write(name, payloads, None))
(HERE / "format1-keyed").write_bytes(write(name, payloads, KEY))
