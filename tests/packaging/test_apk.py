"""The APK of `make apk`, taken apart: its manifest, libraries, signature and bundled files."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import zipfile
from pathlib import Path

import build_apk
import fetch_debs
import pytest
from android import DEMO, OUT, entries, sh

pytestmark = pytest.mark.slow

MAX_APK_BYTES = 1_700_000  # without the voice; 1.0 MB of it is libwavernn for three ABIs


def test_the_package_holds_what_a_phone_wants(apk):
    names = set(entries())
    libraries = {f"lib/{abi}/libwavernn_jni.so" for abi in ("arm64-v8a", "armeabi-v7a", "x86_64")}
    assert {n for n in names if n.endswith(".so")} == libraries
    assert {"AndroidManifest.xml", "classes.dex", "resources.arsc", "assets/hashes.tsv"} <= names
    for name in libraries:
        entry, offset, _ = entries()[name]
        assert entry.compress_type == zipfile.ZIP_STORED and offset % 16384 == 0, (name, offset)
    entry, offset, _ = entries()["resources.arsc"]  # Android 11 refuses it otherwise
    assert entry.compress_type == zipfile.ZIP_STORED and offset % 4 == 0
    voices = sum(e.compress_size for n, (e, _, _) in entries().items() if n.startswith("assets/voices/"))
    print(f"{apk.stat().st_size} bytes, {apk.stat().st_size - voices} without the voice")
    assert 0 < apk.stat().st_size - voices < MAX_APK_BYTES


def test_the_manifest_says_which_phones(apk):
    badging = sh("aapt2", "dump", "badging", apk)
    for line in ("package: name='org.wavernn.demo'", "sdkVersion:'23'", "targetSdkVersion:'35'",
                 "native-code: 'arm64-v8a' 'armeabi-v7a' 'x86_64'",
                 "launchable-activity: name='org.wavernn.demo.MainActivity'"):  # fmt: skip
        assert line in badging
    assert re.findall("^uses-permission: name='(.*)'", badging, re.M) == ["android.permission.RECORD_AUDIO"]
    assert "uses-feature-not-required: name='android.hardware.microphone'" in badging  # a TV has none
    manifest = sh("aapt2", "dump", "xmltree", "--file", "AndroidManifest.xml", apk)
    assert re.search(r"extractNativeLibs\(\w+\)=false", manifest)  # libraries are mapped out of the APK


def test_every_class_of_the_manifest_and_layouts_is_there(apk):
    named = re.findall(r'name="(\.\w+)"', (DEMO / "app/src/main/AndroidManifest.xml").read_text())
    named += [f".{n}" for f in (DEMO / "app/src/main/res/layout").iterdir()
              for n in re.findall(r"<org\.wavernn\.demo\.(\w+)", f.read_text())]  # fmt: skip
    assert len(named) == 4
    for name in named:
        assert f"Lorg/wavernn/demo/{name[1:]};".encode() in entries()["classes.dex"][2], name


def test_the_signature_verifies(apk, tmp_path):
    said = sh("apksigner", "verify", "--verbose", "--min-sdk-version", 23, apk)
    assert re.findall(r"using (v\d) scheme .*: true", said) == ["v1", "v2", "v3"]
    assert "WARNING" not in said
    damaged = bytearray(apk.read_bytes())
    damaged[entries()["classes.dex"][1] + 100] ^= 1
    (tmp_path / "damaged.apk").write_bytes(damaged)
    assert subprocess.run(["apksigner", "verify", tmp_path / "damaged.apk"], capture_output=True).returncode != 0


def test_packing_gives_the_same_bytes_every_time(apk, tmp_path):
    files = {n: tmp_path / n.replace("/", "_") for n in entries() if n.endswith((".so", ".dex"))}
    for name, file in files.items():
        file.write_bytes(entries()[name][2])
    build_apk.pack(tmp_path / "again.apk", OUT / "resources.apk", files)
    assert (tmp_path / "again.apk").read_bytes() == (OUT / "unsigned.apk").read_bytes()
    with zipfile.ZipFile(OUT / "unsigned.apk") as z:
        assert {i.date_time for i in z.infolist()} == {(1980, 1, 1, 0, 0, 0)}


@pytest.mark.parametrize("abi", list(build_apk.ABIS))
def test_the_libraries_suit_androids_loader(abi, apk, tmp_path):
    so = tmp_path / "lib.so"
    so.write_bytes(entries()[f"lib/{abi}/libwavernn_jni.so"][2])
    text = sh("readelf", "-W", "-d", "-l", "-V", "--dyn-syms", so)
    loads = re.findall(r"^ +LOAD +(0x\w+) (0x\w+) .* (0x\w+)$", text, re.M)
    assert len(loads) >= 3
    for offset, address, alignment in loads:
        assert int(alignment, 16) == 16384 and (int(address, 16) - int(offset, 16)) % 16384 == 0
    assert re.findall(r"\(NEEDED\).*\[(.*)\]", text) == ["libm.so", "libc.so"]
    assert "[libwavernn_jni.so]" in text and "TEXTREL" not in text and "GLIBC" not in text
    assert re.search(r"GNU_RELRO", text) and re.search(r"FLAGS.*NOW", text)
    assert re.search(r"GNU_STACK.* RW +0", text) and "RWE" not in text
    undefined = re.findall(r"UND (\S+@LIBC) ", text)
    names = build_apk.functions()
    assert undefined and {u.split("@")[0] for u in undefined} <= {*names["libc"], *names["libm"]}
    exported = re.findall(r"(?:GLOBAL|WEAK) +DEFAULT +\d+ (\S+)", text)
    declared = (DEMO / "lib/src/main/java/org/wavernn/WaveRnn.java").read_text()
    native = re.findall(r"static native [^(]* (\w+)\(", declared)
    assert set(exported) == {f"Java_org_wavernn_WaveRnn_{n}" for n in native}


def test_the_bundled_hashes_are_those_of_wv_run(apk, wv_run, tmp_path):
    """hashes.tsv comes from Python's binding; here wv_run speaks the bundled files themselves."""
    rows = [line.split("\t") for line in entries()["assets/hashes.tsv"][2].decode().splitlines()]
    assert len(rows) == 6
    for voice, mel, sha256 in rows[:2]:
        for name in (f"voices/{voice}", f"clips/{mel}"):
            (tmp_path / Path(name).name).write_bytes(entries()[f"assets/{name}"][2])
        done = wv_run(tmp_path / voice, tmp_path / mel, "-o", tmp_path / "out.wav", "--json")
        assert json.loads(done.out)["sha256"] == sha256
        wav = entries()[f"assets/clips/{mel[:-4]}.wav"][2]
        assert len(wav) > 16000 and wav[:4] == b"RIFF"


@pytest.mark.parametrize(("activity", "layout"), [("MainActivity", "main"), ("BenchActivity", "bench")])
def test_every_view_that_a_screen_asks_for_is_in_its_layout(activity, layout):
    sources = [(DEMO / f"app/src/main/java/org/wavernn/demo/{name}.java").read_text() for name in (activity, "Screen")]
    asked = set(re.findall(r"R\.id\.(\w+)", "".join(sources)))
    there = set(re.findall(r"@\+id/(\w+)", (DEMO / f"app/src/main/res/layout/{layout}.xml").read_text()))
    assert len(asked) >= 6 and asked <= there, asked - there


def test_gradle_builds_for_the_same_phones():
    for module in ("lib", "app"):
        text = (DEMO / module / "build.gradle").read_text()
        assert f"minSdk {build_apk.MIN_SDK}\n" in text
    assert f"targetSdk {build_apk.TARGET_SDK}\n" in text
    abis = re.search(r"abiFilters (.*)", (DEMO / "lib/build.gradle").read_text())
    assert abis and re.findall(r"'(.*?)'", abis[1]) == list(build_apk.ABIS)


def test_hashes_of_the_fetched_packages_are_checked(tmp_path, monkeypatch):
    def download(*command: object, cwd: Path | None = None) -> str:
        if "download" in command:
            (cwd / "thing_1_all.deb").write_bytes(b"other bytes")
        return "mirror\n"

    monkeypatch.setattr(fetch_debs, "_run", download)
    wanted = hashlib.sha256(b"the bytes").hexdigest()
    with pytest.raises(SystemExit, match=rf"thing_1_all.deb: SHA-256 \w+, wanted {wanted}"):
        fetch_debs.fetch("bullseye", "amd64", {"thing": wanted}, tmp_path)
