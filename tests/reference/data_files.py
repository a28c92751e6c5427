"""Writes tests/golden/data: rows of several shapes as pandas and pyarrow write them, and the same rows as JSON.

    python tests/reference/data_files.py

pairs.*    texts with separators, quotes and newlines in them, from pandas (CSV, TSV) and pyarrow (Parquet in every compression)
nested.*   lists of structs, structs of lists, nulls, large and small whole numbers, in three row groups, from pyarrow
*.zst      Zstandard data of one frame, of a frame without its content size, and of two frames
"""

import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

GOLDEN = Path(__file__).parent.parent / "golden" / "data"

pairs = [
    {"prompt": "Say \"hi\", then stop.", "chosen": "hi", "rejected": "hi, hi\nhi", "margin": 1.5},
    {"prompt": "Two\n\nlines\tand a tab", "chosen": "", "rejected": "x,y;z", "margin": -2.0},
    {"prompt": "Größe 大小 🙂", "chosen": "'single'", "rejected": "\"\"", "margin": 0.25},
]


def message(role, content):
    return {"role": role, "content": content}


nested = [
    {
        "id": 2**53 + 1 if i == 1 else i,
        "messages": [message("user", f"Question {i}"), message("assistant", f"Answer {i}")],
        "chosen": [message("assistant", "A" * (i % 3))],
        "scores": None if i == 2 else [0.5 * i, 1.0],
        "answers": {"text": [f"a{i}", f"b{i}"], "pm_score": [i, 2 * i]},
        "label": None if i == 3 else i % 2 == 0,
        "empty": [],
    }
    for i in range(7)
]


def write_json(name, rows):
    (GOLDEN / name).write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def main():
    GOLDEN.mkdir(parents=True, exist_ok=True)
    write_json("pairs.json", pairs)
    frame = pd.DataFrame(pairs)
    frame.to_csv(GOLDEN / "pairs.csv", index=False)
    frame.to_csv(GOLDEN / "pairs.tsv", index=False, sep="\t")
    frame.to_csv(GOLDEN / "pairs-index-crlf.csv", lineterminator="\r\n", encoding="utf-8-sig")
    for compression in ["none", "snappy", "gzip", "brotli", "zstd", "lz4"]:
        pq.write_table(pa.Table.from_pylist(pairs), GOLDEN / f"pairs-{compression}.parquet", compression=compression)
    # JSON has no whole number of more than 53 bits: such a one is read as its digits.
    write_json("nested.json", [{**row, "id": str(row["id"]) if row["id"] > 2**53 else row["id"]} for row in nested])
    table = pa.Table.from_pylist(nested).set_column(6, "empty", pa.array([[]] * 7, pa.list_(pa.string())))
    pq.write_table(table, GOLDEN / "nested.parquet", row_group_size=3)
    pq.write_table(table, GOLDEN / "nested-v2.parquet", row_group_size=3, data_page_version="2.0", use_dictionary=False)
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in pairs).encode()
    compress = lambda data: pa.compress(data, codec="zstd", asbytes=True)
    (GOLDEN / "one-frame.jsonl.zst").write_bytes(compress(lines))
    with pa.CompressedOutputStream(str(GOLDEN / "streamed.jsonl.zst"), "zstd") as stream:
        stream.write(lines)
    (GOLDEN / "two-frames.jsonl.zst").write_bytes(compress(lines[:50]) + compress(lines[50:]))


if __name__ == "__main__":
    main()
