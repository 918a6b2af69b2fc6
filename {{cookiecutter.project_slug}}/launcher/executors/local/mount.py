"""The folder that stands for the mount of Cloud Storage."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def mounted(links: dict[str, Path]) -> Iterator[Path]:
    """Yield a folder that stands for the mount of Cloud Storage, with links to local folders at gs:// addresses."""
    with tempfile.TemporaryDirectory(prefix="gcs-") as name:
        for address, folder in links.items():
            link = Path(name) / address.removeprefix("gs://")
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(folder, target_is_directory=True)
        yield Path(name)
