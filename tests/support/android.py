"""The APK of `make apk`: where it is and what is in it."""

from __future__ import annotations

import functools
import os
import struct
import subprocess
import zipfile

import pytest
from conftest import ROOT

DEMO = ROOT / "android_demo"
OUT = ROOT / "build/android"
APK = OUT / "wavernn-demo.apk"


def unavailable(reason: str) -> None:
    if os.environ.get("WV_NEED_ANDROID"):
        pytest.fail(reason)
    pytest.skip(reason)


def sh(*command: object, **options: object) -> str:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, f"{command[0]}:\n{done.stdout}{done.stderr}"
    return done.stdout


@functools.cache
def entries() -> dict[str, tuple[zipfile.ZipInfo, int, bytes]]:
    """{name: (entry, offset of its data in the APK, content)}"""
    found = {}
    with zipfile.ZipFile(APK) as z:
        for i in z.infolist():
            name_bytes, extra_bytes = struct.unpack_from("<HH", APK.read_bytes(), i.header_offset + 26)
            found[i.filename] = (i, i.header_offset + 30 + name_bytes + extra_bytes, z.read(i))
    return found
