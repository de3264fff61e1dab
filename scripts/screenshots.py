"""Pictures of the admin page for the documentation: each page, light and dark, wide and 320 px.

    make screenshots          all of them, into docs/images/admin
    python -m scripts.screenshots processes backups

They are of the shop of `scripts/scene.py`, in a headless Chromium (`scripts/packages.sh` installs one).
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, TypeAlias

from playwright.sync_api import Browser, sync_playwright

from scripts.scene import Scene, shop

Theme: TypeAlias = Literal["light", "dark"]
FOLDER: Final = Path(__file__).resolve().parent.parent / "docs" / "images" / "admin"
SIZES: Final = {"wide": (1280, 860), "narrow": (320, 640)}
THEMES: Final[Sequence[Theme]] = ("light", "dark")


def addresses(scene: Scene) -> Mapping[str, str]:
    """Return the pages that there are pictures of, by name."""
    return {
        "overview": "/",
        "processes": "/processes",
        "process": f"/processes/{scene.running.number}",
        "failed": f"/processes/{scene.failed.number}",
        "start": "/processes/start?procedure=shop.nightly_invoices",
        "sessions": "/sessions",
        "storage": "/storage",
        "locks": "/locks",
        "members": "/members",
        "hooks": "/hooks",
        "backups": "/backups",
        "schedule": "/schedule",
        "roles": "/roles",
        "audit": "/audit",
        "diagnostics": "/diagnostics",
    }


def main(wanted: Sequence[str]) -> int:
    """Take the pictures, all or those of some pages."""
    chromium = shutil.which("chromium")
    if chromium is None:
        print("There is no chromium here: scripts/packages.sh installs it.", file=sys.stderr)
        return 1
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, shop(Path(folder)) as scene, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        pages = {name: at for name, at in addresses(scene).items() if not wanted or name in wanted}
        for unknown in set(wanted) - set(pages):
            print(f"There is no page {unknown}.", file=sys.stderr)
            return 2
        for theme in THEMES:
            for size in SIZES:
                take(browser, scene, pages, theme, size)
        browser.close()
    return 0


def take(browser: Browser, scene: Scene, pages: Mapping[str, str], theme: Theme, size: str) -> None:
    """Take the pictures of some pages, in one theme and size."""
    width, height = SIZES[size]
    context = browser.new_context(
        base_url=scene.url, viewport={"width": width, "height": height}, color_scheme=theme,
        reduced_motion="reduce", timezone_id="UTC",
    )  # fmt: skip
    page = context.new_page()
    page.goto(scene.link())
    page.get_by_role("main").get_by_role("button").click()
    for name, at in pages.items():
        page.goto(at)
        page.locator("#live-sign[data-state=live], #live-sign[data-state=still]").wait_for()
        page.screenshot(path=FOLDER / f"{name}-{theme}-{size}.png")
    context.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
