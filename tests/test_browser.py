"""That `look` sees what is wrong with a page, so that the test of the report, in test_life.py, can fail."""

from pathlib import Path

import pytest

from tests.browser import look

pytestmark = pytest.mark.minute


def test_a_good_page_has_nothing_wrong(tmp_path: Path) -> None:
    page = '<a href="#x">x</a><p id="x">text</p>'
    measured, said = look(page, 360, "light", tmp_path / "p.png", 600)
    assert said == [] and (tmp_path / "p.png").stat().st_size > 0
    assert measured["scroll_width"] == measured["width"] == 360
    assert (measured["links"], measured["broken"]) == (1, [])
    assert not measured["dark"] and look(page, 360, "dark", tmp_path / "p.png")[0]["dark"]


def test_what_is_wrong_is_seen(tmp_path: Path) -> None:
    style = '<style>:root { color-scheme: light dark; }</style><div style="width: 700px">x</div>'
    page = f'{style}<a href="#y">y</a><p style="clip-path: url(#z)"></p><script>throw "up"</script>'
    measured, said = look(
        f'{page}<link rel="stylesheet" href="none.css"><img src="a.png">',
        360,
        "dark",
        tmp_path / "p.png",
    )
    assert measured["scroll_width"] > 700 - 1 and "up" in said[0]
    assert measured["broken"] == ["#y", "#z", "none.css", "a.png"]
