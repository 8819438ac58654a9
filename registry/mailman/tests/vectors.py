"""Reads the vectors that every implementation of the hash is held to."""

import base64
import json
from pathlib import Path

FILE = Path(__file__).resolve().parents[3] / "testdata" / "vectors" / "message-id.jsonl"


def rows():
    for line in FILE.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        row["header"] = base64.b64decode(row["header"])
        row["canonical"] = base64.b64decode(row["canonical"] or "")
        yield row
