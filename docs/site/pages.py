"""mkdocs hook: pages that are kept elsewhere in the repository, and links that leave docs/.

A link to a file of the repository that is a page becomes a link to that page; one to any other file becomes the file's
path. So the same Markdown works in a checkout and on the site.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
# page of the site -> file of the repository
ELSEWHERE = {
    "changelog.md": "CHANGELOG.md",
    "contributing.md": "CONTRIBUTING.md",
    "format.md": "runtime/FORMAT.md",
    "index.md": "README.md",
    "libwavernn.md": "runtime/libwavernn/README.md",
    "security.md": "SECURITY.md",
    **{f"voice-{p.parent.name}.md": p.relative_to(ROOT).as_posix() for p in ROOT.glob("voices/*/README.md")},
}
PAGES = {source: page for page, source in ELSEWHERE.items()}
LINK = re.compile(r"(!?)\[([^]\n]+)\]\(([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    for page, source in ELSEWHERE.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text()))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    uri = page.file.src_uri
    folder = (ROOT / ELSEWHERE.get(uri, f"docs/{uri}")).parent

    def on_site(match: re.Match[str]) -> str:
        image, text, target, anchor = match.groups()
        if "://" in target:
            return match[0]
        path = Path(os.path.normpath(folder / target)).relative_to(ROOT).as_posix()
        at = PAGES.get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else None)
        if at is None:
            return text if "`" in text or text.endswith(path) else f"{text} (`{path}`)"
        return f"{image}[{text}]({os.path.relpath(at, os.path.dirname(uri) or '.')}{anchor or ''})"

    return LINK.sub(on_site, markdown)
