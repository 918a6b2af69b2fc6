"""The beginning of a table as files of their own: what a plan for the whole table is measured on."""

import zlib
from dataclasses import dataclass
from pathlib import Path

from trainer.data.schema import Schema
from trainer.data.table_files import compression, files_of, opened
from trainer.preprocessing.raw_table import layout_of

PROBE_BYTES = 1 << 22
ROWS_AT_ONCE = 1 << 14


@dataclass(frozen=True)
class Sample:
    """The files of a sample, and the share of the table that they are; 1.0 where they are all of it."""

    folder: Path
    table_bytes: int
    written_bytes: int
    share: float


def sample_of(path: Path, folder: Path, limit_bytes: int, schema: Schema) -> Sample:
    """Write the first `limit_bytes` of text, or of Parquet, of a table to a folder; an estimate for compressed files."""
    root, paths = files_of(path)
    whole = sum(each.stat().st_size for each in paths)
    taken, left = 0.0, limit_bytes
    for each in paths:
        if left <= 0:
            break
        target = folder / each.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        kind = layout_of(each, schema).kind
        write = parquet_beginning if kind == "parquet" else text_beginning
        written, share = write(each, target, left)
        taken, left = taken + share * each.stat().st_size, left - written
    return Sample(folder, whole, limit_bytes - left, min(1.0, taken / max(1, whole)))


def text_beginning(path: Path, target: Path, limit_bytes: int) -> tuple[int, float]:
    """Write the first whole lines of a file, decompressed; return their bytes and their share of it."""
    with opened(path) as file:
        data = file.read(limit_bytes + 1)
    if len(data) <= limit_bytes:
        target.write_bytes(data)
        return len(data), 1.0
    data = data[: end_of_line(data[:limit_bytes])]
    if data:  # else not one line fits, and a file without a header is no table
        target.write_bytes(data)
    probe = data[:PROBE_BYTES]
    ratio = len(zlib.compress(probe)) / max(1, len(probe)) if compression(path) else 1.0
    return len(data), min(1.0, len(data) * ratio / path.stat().st_size)


def end_of_line(data: bytes) -> int:
    """Return the number of bytes up to the last end of a line outside of quotes, in UTF-16 too."""
    mark = {b"\xff\xfe": b"\n\0", b"\xfe\xff": b"\0\n"}.get(data[:2], b"\n")
    quotes, position = data.count(b'"'), len(data)
    while (before := data.rfind(mark, 0, position)) >= 0:
        quotes -= data.count(b'"', before, position)
        position = before
        if quotes % 2 == 0:
            return before + len(mark)
    return 0


def parquet_beginning(path: Path, target: Path, limit_bytes: int) -> tuple[int, float]:
    """Write the first rows of a Parquet file, at least one batch; return about their bytes and their share of it."""
    import pyarrow.parquet

    file, size = pyarrow.parquet.ParquetFile(path), path.stat().st_size
    rows, total = 0, max(1, file.metadata.num_rows)
    with pyarrow.parquet.ParquetWriter(target, file.schema_arrow) as writer:
        for batch in file.iter_batches(ROWS_AT_ONCE):
            writer.write_batch(batch)
            rows += batch.num_rows
            if rows / total * size >= limit_bytes:
                break
    return int(rows / total * size), rows / total if rows < file.metadata.num_rows else 1.0
