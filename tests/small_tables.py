"""A small table in several formats, for the tests of the file that data_path names."""

from pathlib import Path

GOOD = "age,city,label\n31,Rome,yes\n47,Oslo,no\n31,Rome,no\n"
LINES = """{"age": 31, "city": "Rome", "label": "yes"}
{"label": "no", "age": 47, "city": "Oslo"}
{"city": "Rome", "age": 31, "label": "no"}
"""


def written(folder: Path, content: str | bytes, name: str = "table.csv") -> str:
    """Return the path of a new file with this content."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)
