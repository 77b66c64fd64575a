"""What the README promises exists: links, make targets, commands and their options."""

from __future__ import annotations

import importlib
import re
import sys

import pytest
from conftest import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

TEXTS = [ROOT / "README.md", ROOT / "runtime/libwavernn/README.md", *sorted((ROOT / "docs").glob("*.md"))]
SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]


@pytest.mark.parametrize("path", TEXTS, ids=lambda p: p.parent.name + "/" + p.name)
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#]+)", path.read_text()):
        assert "://" in target or (path.parent / target).exists(), target


@pytest.mark.parametrize("path", TEXTS, ids=lambda p: p.parent.name + "/" + p.name)
def test_commands_have_the_options_shown(path):
    pytest.importorskip("torch")
    text = path.read_text().replace("\\\n", " ")
    for name, rest in re.findall(r"(?:^|`)(?:\S*/)?(wv-\w+) ([^`\n#]*)", text, re.M):
        module, function = SCRIPTS[name].split(":")
        module = module.replace("__main__", "cli")
        command = getattr(importlib.import_module(module), function)
        known = {option for p in command.params for option in (*p.opts, *p.secondary_opts)} | {"--help", "--version"}
        shown = set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", rest))
        assert shown <= known, f"{name}: {shown - known}"


def test_make_targets_exist():
    targets = set(re.findall(r"^([\w-]+):.*##", (ROOT / "Makefile").read_text(), re.M))
    shown = {t for p in TEXTS for t in re.findall(r"(?:^|`)make ([a-z-]+)", p.read_text(), re.M)}
    assert shown and shown <= targets
