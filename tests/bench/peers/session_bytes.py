"""Bytes of a SQLite session changeset for the rows in a JSON file, packed with gzip; run in the peers' environment.

Arguments: the file (`[[key, record, name, place, amount, day], …]` a changeset) and gzip's level. For each line in: one
answer with the mean packed bytes of a row and the unpacked ones.
"""

import gzip
import json
import sys

import apsw


def changeset(rows):
    """Return the session's changeset of inserting *rows*."""
    conn = apsw.Connection(":memory:")
    conn.execute(
        "CREATE TABLE house_line (id TEXT PRIMARY KEY NOT NULL, record TEXT, name TEXT, place TEXT, amount INTEGER, "
        "day TEXT) STRICT"
    )
    session = apsw.Session(conn, "main")
    session.attach("house_line")
    conn.executemany("INSERT INTO house_line VALUES (?, ?, ?, ?, ?, ?)", rows)
    return session.changeset()


def main(path, level):
    """Serve rounds until the input ends."""
    with open(path, encoding="utf-8") as file:
        batches = json.load(file)
    count = sum(map(len, batches))
    print(json.dumps({"apsw": apsw.apsw_version(), "sqlite of apsw": apsw.sqlite_lib_version()}), flush=True)
    for _line in sys.stdin:
        raws = [changeset(rows) for rows in batches]
        packed = sum(len(gzip.compress(raw, compresslevel=level)) for raw in raws)
        print(json.dumps({"packed": packed / count, "unpacked": sum(map(len, raws)) / count}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
