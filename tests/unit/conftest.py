"""Fixtures of the unit tests."""

from __future__ import annotations

import struct
import subprocess

import pytest
from conftest import SUPPORT
from format_c import build


@pytest.fixture(scope="session")
def c_status(tmp_path_factory):
    """bytes -> the status name of wv_model_load, which runs under the address and undefined-behaviour sanitizers."""
    folder, driver = tmp_path_factory.mktemp("c"), str(SUPPORT / "check_bin.c")
    plain = ("-D_POSIX_C_SOURCE=200112L", "-g", "-O1", driver)
    try:
        program = build(folder, "check_bin", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", *plain)
    except subprocess.CalledProcessError:  # a compiler without its sanitizer libraries
        program = build(folder, "check_bin", *plain)
    with subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:

        def status(data: bytes) -> str:
            process.stdin.write(struct.pack("<I", len(data)) + data)
            process.stdin.flush()
            line = process.stdout.readline().decode().strip()
            assert line, f"check_bin ended with {process.wait()}"
            return line

        yield status
        process.stdin.close()
        assert process.wait() == 0
