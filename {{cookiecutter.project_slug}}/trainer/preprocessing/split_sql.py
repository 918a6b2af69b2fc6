"""The split of the train table as SQL in BigQuery's dialect: by the rows' keys, by class, by fold, by the table `sides`."""

from trainer.preprocessing.cell_sql import literal
from trainer.preprocessing.sql import PART, SPLIT_PARTS, joined, key


def eval_parts(eval_share: float) -> int:
    """Return how many of the `SPLIT_PARTS` parts of the rows are evaluated on."""
    return round(eval_share * SPLIT_PARTS)


def with_split(relation: str, eval_share: float, split: str) -> str:
    """Return SQL that adds `split`: the rows of a train table are split by their key, in any order of them alike."""
    by_key = f"IF({PART} < {eval_parts(eval_share)}, 'eval', 'train')"
    split = by_key if split == "train" else literal(split)
    return f"SELECT *, {split} AS split FROM ({relation}) AS read"


def equal_rows() -> str:
    """Return SQL for one row about the train table: the number of different rows, and of the copies of the most frequent one."""
    counted = "SELECT COUNT(*) AS copies FROM prepared WHERE split <> 'test' GROUP BY row_key"
    return f"SELECT COUNT(*), MAX(copies) FROM ({counted}) AS counted"


def divided(split: str, eval_share: float, limit: int) -> str:
    """Return SQL for the rows of one table with a key of its own for each copy of a row that has more than `limit` copies."""
    tables = "split = 'test'" if split == "test" else "split <> 'test'"
    copies = "ROW_NUMBER() OVER (PARTITION BY row_key) AS copy, COUNT(*) OVER (PARTITION BY row_key) AS copies"
    own_key = key(joined(["CAST(row_key AS STRING)", "CAST(copy AS STRING)"]))
    rows = (
        f"SELECT * EXCEPT (row_key, copy, copies), IF(copies > {limit} AND copy > 1, {own_key}, row_key) AS row_key"
        f" FROM (SELECT * EXCEPT (split), {copies} FROM prepared WHERE {tables}) AS counted"
    )
    return with_split(rows, eval_share, split)


def stratified(eval_share: float) -> str:
    """Return SQL for `prepared` with the same share of each class in the eval split, by the keys of its rows."""
    of_class = "PARTITION BY split = 'test', label"
    rank, rows = f"RANK() OVER ({of_class} ORDER BY {PART}, row_key)", f"COUNT(*) OVER ({of_class})"
    placed = f"DIV((2 * {rank} - 1) * {SPLIT_PARTS}, (2 * {rows}))"  # sqlglot adds no parentheses
    side = f"IF(split = 'test', 'test', IF(part < {eval_parts(eval_share)}, 'eval', 'train'))"
    ranked = f"SELECT *, {placed} AS part FROM prepared"
    return f"SELECT * EXCEPT (split, part), {side} AS split FROM ({ranked}) AS ranked"


def is_in_fold(key: str, number: int, count: int) -> str:
    """Return SQL for whether a key belongs to a fold, by other digits than those of PART."""
    return f"MOD(DIV({key}, {SPLIT_PARTS}), {count}) = {number - 1}"


def with_fold(number: int, count: int) -> str:
    """Return SQL for `prepared` in which the rows of a fold are those to test on."""
    side = f"IF({is_in_fold('row_key', number, count)}, 'test', split)"
    return f"SELECT * EXCEPT (split), {side} AS split FROM prepared"


def with_sides(otherwise: str) -> str:
    """Return SQL for `prepared` with the split that the table `sides` gives to the cell of each row."""
    side = f"IF(p.split = 'test', 'test', IFNULL(sides.side, {otherwise}))"
    return f"SELECT p.* EXCEPT (split, split_cell), {side} AS split FROM prepared AS p LEFT JOIN sides ON sides.cell = p.split_cell"


def classes_by_split() -> str:
    """Return SQL for the rows of each class in the train table: class, rows to train on, rows to evaluate on."""
    return (
        "SELECT label, COUNTIF(split = 'train'), COUNTIF(split = 'eval') FROM prepared"
        " WHERE split <> 'test' GROUP BY label ORDER BY label"
    )


def place_classes() -> str:
    """Return SQL that gives each class of the table `lacking` one row to evaluate on, if it has two; it trains on the others."""
    rows = "SELECT DISTINCT label, row_key FROM prepared WHERE split <> 'test' AND label IN (SELECT value FROM lacking)"
    window = f"OVER (PARTITION BY label ORDER BY {PART}, row_key)"
    placed = (
        f"SELECT label, row_key, ROW_NUMBER() {window} = 1 AND COUNT(*) OVER (PARTITION BY label) > 1 AS held_out"
        f" FROM ({rows}) AS different"
    )
    return (
        f"UPDATE prepared SET split = IF(placed.held_out, 'eval', 'train') FROM ({placed}) AS placed"
        " WHERE prepared.split <> 'test' AND prepared.label = placed.label AND prepared.row_key = placed.row_key"
    )
