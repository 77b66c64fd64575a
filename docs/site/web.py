"""mkdocs hook: the web demo on docs/try.md, if $WV_WEB names the page that `make web` has built."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from mkdocs.structure.files import Files

ROOT = Path(__file__).parents[2]
PAGE = "<!-- page -->"
FRAME = (
    '<iframe src="demo/index.html" title="A neural voice, computed in this page" allow="microphone; autoplay" '
    'style="width: 100%; height: 60rem; border: 1px solid; border-radius: .5rem"></iframe>\n\n'
    '<a href="demo/index.html" target="_blank">Open it alone</a>'
)
ABSENT = "*This copy of the documentation was built without the page: `make web`, then `make docs`.*"


def built() -> Path | None:
    """The folder of the page"""
    site = ROOT / os.environ.get("WV_WEB", "")
    return site if os.environ.get("WV_WEB") and (site / "index.html").is_file() else None


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    return markdown.replace(PAGE, FRAME if built() else ABSENT) if page.file.src_uri == "try.md" else markdown


def on_post_build(config: Any) -> None:
    if site := built():
        shutil.copytree(site, Path(config["site_dir"]) / "demo", dirs_exist_ok=True)
