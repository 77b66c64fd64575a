"""The APK of the app beside this folder, from Debian's packages alone: no SDK, no NDK, no Gradle.

    clang, lld  -> lib/<abi>/libwavernn_jni.so   by the CMakeLists.txt that Gradle uses
    aapt2       -> the manifest, resources and assets
    javac, proguard, dx -> classes.dex           proguard makes classes of lambdas and checks every call against API 23
    this file   -> one zip, the same bytes every time: .so files stored at 16 KB offsets, as the loader maps them
    apksigner   -> signed (v1, v2, v3) with the debug key that Android Studio uses, made if there is none

Usage: ``python build_apk.py --assets build/android/assets --out build/android``; see `make apk`.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

from fetch_debs import fetch

HERE = Path(__file__).resolve().parent
DEMO, SYSROOT = HERE.parent, HERE / "sysroot"
FREESTANDING = DEMO.parent / "runtime/libwavernn/freestanding"  # headers of libc and libm, as far as they are used
MIN_SDK, TARGET_SDK = 23, 35
ABIS = {
    "arm64-v8a": f"aarch64-linux-android{MIN_SDK}",
    "armeabi-v7a": f"armv7a-linux-androideabi{MIN_SDK}",
    "x86_64": f"x86_64-linux-android{MIN_SDK}",
}
JNI_HEADERS = "/usr/include/android/nativehelper"
FRAMEWORK = "/usr/share/android-framework-res/framework-res.apk"
PAGE = 16384
ALIGNMENT_FIELD = 0xD935  # APK Signature Scheme: apksigner keeps the alignment that this extra field asks for
BUILTINS = "/usr/lib/llvm-19/lib/clang/19/lib/linux/libclang_rt.builtins-x86_64.a"
JAVAC = ["javac", "--release", 8, "-encoding", "UTF-8", "-Xlint:all,-options", "-Werror"]  # whatever the locale is
TOOLS = {  # what has to be there: the package it is in
    "clang-19": "clang-19",
    "ld.lld-19": "lld-19",
    BUILTINS: "libclang-rt-19-dev",
    f"{JNI_HEADERS}/jni.h": "android-libnativehelper-dev",
    "aapt2": "aapt",
    FRAMEWORK: "android-framework-res",
    "javac": "openjdk-17-jdk-headless",
    "proguard": "proguard-cli",
    "apksigner": "apksigner",
}
# Debian 12 has no dexer and no android.jar; Debian 11's are the last
DX = {
    "dalvik-exchange": "8fc128db7c27253d963eb9b33de79b197162a4749d2ba69019b2fd0664cbd7fe",
    "libandroid-23-java": "8af1b6df556971dda0a6da3536ea526a838e0c363afcdd454213d8bce94793e3",
}


def missing() -> list[str]:
    """Packages that `make deps` would install."""
    return sorted({package for tool, package in TOOLS.items() if not shutil.which(tool) and not Path(tool).exists()})


def run(*command: object, **options: object) -> None:
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **options)  # type: ignore[call-overload]
    if done.returncode != 0:
        sys.exit(f"build_apk.py: error: {command[0]} failed:\n{done.stdout}{done.stderr}")


# ---- native code


def functions() -> dict[str, list[str]]:
    """{library: functions}, from the prototypes in the headers."""
    names: dict[str, list[str]] = {"libc": [], "libm": []}
    for header in sorted([*FREESTANDING.glob("*.h"), *SYSROOT.rglob("*.h")]):
        found = re.findall(r"^\w.*?(\w+)\(.*\);$", header.read_text(), re.M)
        names["libm" if header.name == "math.h" else "libc"] += found
    return names


def stubs(abi: str, folder: Path) -> None:
    """Empty libc.so and libm.so with those functions, of the version that bionic gives them."""
    folder.mkdir(parents=True, exist_ok=True)
    for library, names in functions().items():
        source, versions = folder / f"{library}.c", folder / f"{library}.map"
        source.write_text("".join(f"void {name}(void) {{}}\n" for name in names))
        versions.write_text("LIBC { global: *; };\n")
        flags = ["-shared", "-nostdlib", "-fuse-ld=lld", f"-Wl,-soname,{library}.so,--version-script,{versions}"]
        run("clang-19", f"--target={ABIS[abi]}", "-fno-builtin", *flags, source, "-o", folder / f"{library}.so")


def native(abi: str, out: Path, cmake: str) -> Path:
    """libwavernn_jni.so for one ABI."""
    folder = out / "native" / abi
    shutil.rmtree(folder, ignore_errors=True)  # CMake does not see when a stub changes
    stubs(abi, folder / "stubs")
    if abi == "armeabi-v7a":
        # -fno-builtin: or clang makes memclr a call of memclr
        flags = ["-O2", "-ffreestanding", "-fno-builtin", "-nostdlibinc", "-isystem", FREESTANDING, "-fPIC", "-mthumb"]
        run("clang-19", f"--target={ABIS[abi]}", *flags, "-c", SYSROOT / "aeabi.c", "-o", folder / "stubs/aeabi.o")
    flags = {"CMAKE_TOOLCHAIN_FILE": HERE / "android.toolchain.cmake", "ANDROID_TRIPLE": ABIS[abi], "SYSROOT": SYSROOT,
             "FREESTANDING": FREESTANDING, "STUBS": (folder / "stubs").resolve(), "JNI": JNI_HEADERS}  # fmt: skip
    run(cmake, "-S", DEMO / "lib/src/main/cpp", "-B", folder, *(f"-D{k}={v}" for k, v in flags.items()))
    run(cmake, "--build", folder, "--target", "wavernn_jni", "-j2")
    return folder / "libwavernn_jni.so"


# ---- Java and resources


def resources(out: Path, assets: Path, version_name: str) -> tuple[Path, Path]:
    """The manifest, resources and assets in an APK without code, and the folder of R.java."""
    manifest = (DEMO / "app/src/main/AndroidManifest.xml").read_text()
    # what Gradle adds from build.gradle
    manifest = manifest.replace("<manifest", '<manifest package="org.wavernn.demo"', 1)
    manifest = manifest.replace("<application", '<application android:extractNativeLibs="false"', 1)
    (out / "AndroidManifest.xml").write_text(manifest)
    run("aapt2", "compile", "--dir", DEMO / "app/src/main/res", "-o", out / "res.zip")
    versions = ["--min-sdk-version", MIN_SDK, "--target-sdk-version", TARGET_SDK, "--version-code", 1]
    versions += ["--version-name", version_name]
    run("aapt2", "link", "-I", FRAMEWORK, "--manifest", out / "AndroidManifest.xml", "-A", assets, *versions,
        "--java", out / "gen", "-o", out / "resources.apk", out / "res.zip")  # fmt: skip
    return out / "resources.apk", out / "gen"


def classes(out: Path, generated: Path, dx: Path) -> Path:
    """classes.dex"""
    android = dx / "usr/share/java/com.android.android-23.jar"
    folders = (DEMO / "lib/src/main/java", DEMO / "app/src/main/java", generated)
    sources = sorted(f for folder in folders for f in folder.rglob("*.java"))
    shutil.rmtree(out / "classes", ignore_errors=True)
    run(*JAVAC, "-cp", android, "-d", out / "classes", *sources)
    (out / "classes.jar").unlink(missing_ok=True)
    run("proguard", "-injars", out / "classes", "-outjars", out / "classes.jar", "-libraryjars", android, "-dontshrink",
        "-dontoptimize", "-dontobfuscate", "-target", "1.7", "-dontwarn", "java.lang.invoke.**",
        "-keepattributes", "*")  # fmt: skip
    run("java", "-cp", dx / "usr/share/java/com.android.dx.jar", "com.android.dx.command.Main", "--dex",
        f"--min-sdk-version={MIN_SDK}", f"--output={out / 'classes.dex'}", out / "classes.jar")  # fmt: skip
    return out / "classes.dex"


# ---- the package


def pack(path: Path, resources_apk: Path, files: dict[str, Path]) -> None:
    """One zip with fixed times and order. Stored, not compressed: .so at 16 KB, resources.arsc at 4 bytes."""
    with zipfile.ZipFile(resources_apk) as linked, zipfile.ZipFile(path, "w") as apk:
        content = {name: linked.read(name) for name in linked.namelist()}
        content |= {name: file.read_bytes() for name, file in files.items()}
        for name, data in sorted(content.items()):
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            alignment = PAGE if name.endswith(".so") else 4 if name == "resources.arsc" else 0
            if alignment:
                assert apk.fp is not None
                padding = -(apk.fp.tell() + 30 + len(name.encode()) + 6) % alignment  # behind header, name and field
                entry.extra = struct.pack("<HHH", ALIGNMENT_FIELD, 2 + padding, alignment) + bytes(padding)
            apk.writestr(entry, data, zipfile.ZIP_STORED if alignment else zipfile.ZIP_DEFLATED, 9)


def sign(unsigned: Path, signed: Path, keystore: Path) -> None:
    """v1, v2 and v3 with a debug key, which is no secret."""
    if not keystore.exists():
        keystore.parent.mkdir(parents=True, exist_ok=True)
        owner = ["-alias", "androiddebugkey", "-dname", "CN=Android Debug,O=Android,C=US", "-validity", 10000]
        run("keytool", "-genkeypair", "-keystore", keystore, "-storepass", "android", *owner,
            "-keyalg", "RSA", "-keysize", 2048)  # fmt: skip
    part = signed.with_suffix(".part")
    run("apksigner", "sign", "--ks", keystore, "--ks-pass", "pass:android", "--ks-key-alias", "androiddebugkey",
        "--min-sdk-version", MIN_SDK, "--v1-signing-enabled", "true", "--v2-signing-enabled", "true",
        "--v3-signing-enabled", "true", "--v4-signing-enabled", "false", "--out", part, unsigned)  # fmt: skip
    part.replace(signed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--assets", required=True, type=Path, help="folder of assets.py")
    parser.add_argument("--out", required=True, type=Path, help="folder to build in")
    parser.add_argument("--version-name", default="0")
    parser.add_argument("--keystore", type=Path, default=Path.home() / ".android/debug.keystore")
    parser.add_argument("--check", action="store_true", help="only say which packages are missing")
    args = parser.parse_args()
    if packages := missing():
        sys.exit(f"build_apk.py: error: missing {' '.join(packages)}, wanted them installed (make deps, as root)")
    if args.check:
        return
    out = args.out
    out.mkdir(parents=True, exist_ok=True)
    dx = out / "dx"
    if not (dx / "complete").exists():
        fetch("bullseye", "amd64", DX, dx)
        (dx / "complete").touch()
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    cmake = shutil.which("cmake", path=places) or "cmake"
    files = {f"lib/{abi}/libwavernn_jni.so": native(abi, out, cmake) for abi in ABIS}
    linked, generated = resources(out, args.assets, args.version_name)
    files["classes.dex"] = classes(out, generated, dx)
    pack(out / "unsigned.apk", linked, files)
    sign(out / "unsigned.apk", out / "wavernn-demo.apk", args.keystore)
    print(f"{out / 'wavernn-demo.apk'}: {(out / 'wavernn-demo.apk').stat().st_size} bytes")


if __name__ == "__main__":
    main()
