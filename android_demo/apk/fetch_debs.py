"""Debian packages of another suite or architecture, unpacked into a folder: nothing is installed.

apt fetches them from this machine's own mirror by a private configuration, and checks Debian's signatures as always.

Usage: ``python fetch_debs.py --suite bullseye --arch amd64 --into build/android/dx NAME[=SHA256]...``
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
from pathlib import Path

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def fetch(suite: str, arch: str, packages: dict[str, str], into: Path) -> None:
    """Unpack packages, {name: SHA-256 or ""}, below `into`."""
    private = into / ".apt"
    for folder in ("lists/partial", "cache/archives/partial", "debs"):
        (private / folder).mkdir(parents=True, exist_ok=True)
    known = ["--format", "$(REPO_URI)", "Created-By: Packages", "Origin: Debian"]
    mirror = _run("apt-get", "indextargets", *known).split()
    if not mirror:
        sys.exit("fetch_debs.py: error: apt knows no Debian mirror, wanted one (apt-get update)")
    (private / "status").write_text("")
    (private / "sources.list").write_text(f"deb [arch={arch} signed-by={KEYRING}] {mirror[0]} {suite} main\n")
    settings = {
        "Dir::Etc::SourceList": private.resolve() / "sources.list", "Dir::Etc::SourceParts": "/dev/null",
        "Dir::State::Lists": private.resolve() / "lists", "Dir::State::Status": private.resolve() / "status",
        "Dir::Cache": private.resolve() / "cache", "APT::Architecture": arch, "APT::Architectures": arch,
        "APT::Sandbox::User": "root", "Acquire::Languages": "none", "Acquire::Check-Valid-Until": "false",
        "APT::Update::Post-Invoke-Success::": "true",
    }  # fmt: skip
    apt = ["apt-get", "-qq", *(f"-o{key}={value}" for key, value in settings.items())]
    _run(*apt, "update")
    _run(*apt, "download", *packages, cwd=private / "debs")
    for name, sha256 in packages.items():
        (deb,) = (private / "debs").glob(f"{name}_*.deb")
        found = hashlib.sha256(deb.read_bytes()).hexdigest()
        if sha256 and found != sha256:
            sys.exit(f"fetch_debs.py: error: {deb.name}: SHA-256 {found}, wanted {sha256}")
        _run("dpkg", "-x", deb, into)
        deb.unlink()


def _run(*command: object, cwd: Path | None = None) -> str:
    done = subprocess.run([str(c) for c in command], cwd=cwd, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"fetch_debs.py: error: {command[0]} failed:\n{done.stderr.strip()}")
    return done.stdout


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--suite", required=True)
    parser.add_argument("--arch", required=True)
    parser.add_argument("--into", required=True, type=Path)
    parser.add_argument("packages", nargs="+", metavar="NAME[=SHA256]")
    args = parser.parse_args()
    fetch(args.suite, args.arch, {name: sha for name, _, sha in (p.partition("=") for p in args.packages)}, args.into)
