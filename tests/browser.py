"""A page as a headless Chromium shows it, from Debian or already on the machine: `.ci/run` installs one where it can."""

import html
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
TIMEOUT_SECONDS = 120
# The page is in a frame, which can be narrower than any window, and whose scheme its style chooses.
FRAME = """<!doctype html><meta charset="utf-8"><style>body { margin: 0; background: BACKGROUND; }
iframe { border: 0; width: WIDTHpx; height: HEIGHTpx; color-scheme: SCHEME; }</style>
<iframe srcdoc="PAGE"></iframe>
<script>
onload = () => {
  const frame = document.querySelector("iframe"), page = frame.contentDocument, root = page.documentElement;
  const attributes = [...page.querySelectorAll("*")].flatMap(each => [...each.attributes]);
  const names = attributes.flatMap(each =>
    ["href", "src"].includes(each.localName) ? [each.value] : (each.value.match(/url\\([^)]*\\)/g) ?? []).map(url => url.slice(4, -1)));
  console.log("measured " + JSON.stringify({
    scroll_width: root.scrollWidth, width: root.clientWidth, height: page.body.offsetHeight, links: names.length,
    broken: names.filter(name => !(name.startsWith("#") && page.getElementById(name.slice(1)))),
    dark: frame.contentWindow.matchMedia("(prefers-color-scheme: dark)").matches,
  }));
};
</script>
"""


def browser() -> str:
    """Return the path of a browser; without one skip the test, or fail it in CI, which must have one."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if not found and os.environ.get("CI"):
        pytest.fail("no Chromium on PATH; expected one in CI; install Debian's package chromium")
    return found or pytest.skip("no Chromium on PATH; apt-get install chromium")


def look(
    text: str, width: int, scheme: str, picture: Path, height: int = 8000
) -> tuple[dict[str, Any], list[str]]:
    """Show a page in the scheme "light" or "dark", take a picture of it; return its measures and what the console says."""
    background = {"light": "#fff", "dark": "#121212"}[scheme]
    values = {"BACKGROUND": background, "WIDTH": width, "HEIGHT": height, "SCHEME": scheme}
    frame = re.sub("|".join(values), lambda each: str(values[each[0]]), FRAME)
    path = picture.with_suffix(".html")
    path.write_text(frame.replace("PAGE", html.escape(text)), encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    flags += ["--enable-logging=stderr", f"--window-size={max(width, 500)},{height}"]
    command = [browser(), *flags, f"--screenshot={picture}", path.as_uri()]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, timeout=TIMEOUT_SECONDS
    )
    said = re.findall(r'CONSOLE[^"]*"(.*)", source', done.stderr)
    [measured] = [each for each in said if each.startswith("measured ")]
    said.remove(measured)
    return json.loads(measured.removeprefix("measured ")), said
