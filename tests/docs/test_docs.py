"""The documentation holds: paths and targets exist, commands parse, Python runs, the site builds without warnings."""

from __future__ import annotations

import importlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from conftest import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
TEXTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "runtime/FORMAT.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted(p for p in ROOT.glob("*/*/README.md") if p.parts[-3] in ("runtime", "voices")),
    *sorted(p for p in ROOT.glob("*/README.md") if p.parts[-2] in ("android_demo", "benchmarks", "examples")),
]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
CODE = re.compile(r"`([^`\n]+)`")
# a path is a name with a folder, below one of the tree's own
PATH = re.compile(r"\b(?:android_demo|benchmarks|docs|eval|examples|export|runtime|tests|train|voices)/[\w./*-]+")
PYTHON = [
    pytest.param(code, id=f"{p.stem}-{i}")
    for p in TEXTS
    for i, (language, code) in enumerate(FENCE.findall(p.read_text()))
    if language == "python"
]

texts = pytest.mark.parametrize("path", TEXTS, ids=lambda p: p.relative_to(ROOT).as_posix())


def shell_lines(text: str) -> Iterator[str]:
    """Every command of the fenced blocks, continuation lines joined, and every code span."""
    for language, block in FENCE.findall(text):
        if language in ("", "sh", "bash"):
            yield from block.replace("\\\n", " ").splitlines()
    yield from CODE.findall(FENCE.sub("", text))


def invocations(line: str) -> Iterator[list[str]]:
    """The words of every wv-* command: `A=1 .venv/bin/wv-run a.bin b.npy | cat` -> [wv-run, a.bin, b.npy]."""
    line = re.sub(r"\s#.*", "", re.sub(r"^\$ ", "", line.strip()))
    for part in re.split(r"[|;&()]+", re.sub(r"\$\w+", "0", line)):
        try:
            words = shlex.split(part)
        except ValueError:  # a quotation that another part of the line ends
            continue
        words = [w for w in words if not w.startswith((">", "<"))]
        for i, word in enumerate(words):
            name = word.rsplit("/", 1)[-1]
            if (name in SCRIPTS or name == "wv_run") and all("=" in w or w in ("do", "time") for w in words[:i]):
                yield [name, *words[i + 1 :]]
        if "torchrun" in words and "wv_train" in words:
            yield ["wv-train", *words[words.index("wv_train") + 1 :]]


def click_command(name: str) -> click.Command:
    module, function = SCRIPTS[name.replace("wv_run", "wv-run")].split(":")  # the C program has the options of wv-run
    start = getattr(importlib.import_module(module), function)  # functools.partial(start, program, module)
    found: object = importlib.import_module(start.args[1]).main
    assert isinstance(found, click.Command), name
    return found


@texts
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#\s]+)", path.read_text()):
        if "://" not in target and not page_of_the_site(path, target):
            assert (path.parent / target).exists(), target


def page_of_the_site(path: Path, target: str) -> bool:
    """Pages that `make docs` makes of files elsewhere: docs/site/pages.py"""
    names = re.findall(r'^    "([\w-]+\.md)":', (ROOT / "docs/site/pages.py").read_text(), re.M)
    return "docs" in path.parts and target.rsplit("/", 1)[-1] in names


@texts
def test_paths_exist(path):
    for found in PATH.findall(re.sub(r"\]\([^)]*\)|https?://\S+", "", path.read_text())):
        folders = [ROOT, path.parent, ROOT / "android_demo"]
        name = found.rstrip("./")
        assert any(True for folder in folders for _ in folder.glob(name)), f"{path.name}: {found}"


@texts
def test_commands_parse(path, folder):
    """click's own parser reads every command shown: options, choices, ranges, number of arguments."""
    pytest.importorskip("torch")
    for line in shell_lines(path.read_text()):
        for name, *args in invocations(line):
            if not args:
                continue  # a name in a sentence
            try:
                click_command(name).make_context(name, args)
            except click.exceptions.Exit:  # --help, --version
                pass
            except (click.ClickException, ValueError) as error:
                bare = all(a.startswith("-") for a in args)  # `wv-run --json`: an option in a sentence
                if not (bare and isinstance(error, (click.MissingParameter, click.BadOptionUsage))):
                    raise AssertionError(f"{path.name}: {line.strip()}: {error}") from None


@texts
def test_scripts_and_targets_exist(path):
    targets = set(re.findall(r"^([\w./%-]+):(?!=)", (ROOT / "Makefile").read_text(), re.M))
    for line in shell_lines(path.read_text()):
        for script in re.findall(r"\bpython3? (\S+\.py)", line):
            assert (ROOT / script).exists(), line
        for target in re.findall(r"^\s*make ([\w./-]+)", line):
            assert target in targets, line


@pytest.mark.parametrize("code", PYTHON)
@pytest.mark.slow
def test_python_runs_as_it_stands(code, tmp_path):
    """In a folder with the voices and nothing else. The README's lines must write audio."""
    (tmp_path / "voices").symlink_to(ROOT / "voices")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    if "out.wav" in code:
        import soundfile

        pcm, rate = soundfile.read(tmp_path / "out.wav", dtype="int16")
        assert rate >= 16000 and len(pcm) > rate and abs(pcm).max() > 3000


@pytest.mark.slow
def test_site_builds_without_warnings(tmp_path):
    pytest.importorskip("material")
    pytest.importorskip("pyworld")
    voice = re.search(r"^VOICE := (\S+)", (ROOT / "Makefile").read_text(), re.M)
    assert voice
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "WV_VOICE": voice[1]})
    assert done.returncode == 0, done.stdout + done.stderr
    audio = list((tmp_path / "audio").iterdir())
    assert len(audio) == 12 and sum(p.stat().st_size for p in audio) < 1e6
    assert (tmp_path / "listen.html").read_text().count("<audio") == 12
    html = "".join(p.read_text() for p in tmp_path.rglob("*.html"))
    tags = re.findall(r'<(?:script|img|audio|link)\b[^>]*(?:src|href)="https?:[^"]+"[^>]*>', html)
    assert not [t for t in tags if 'rel="canonical"' not in t], "a page loads from another host"
