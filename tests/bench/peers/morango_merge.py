"""Merge rows with Morango between two SQLite stores; run by `tests/bench/peer.py` in the peers' environment.

Argument: the number of rows. First line out: versions. Then for each line in: one round, answered by one line with the
seconds of each stage. What is Morango's own: serialising into the store, queueing into buffers, the JSON of the
transfer (`BufferSerializer`), its validation into the receiver's buffers, dequeueing, deserialising into the app's
table. What is not measured: HTTP, certificates, and the writing of the rows by the app. In its favour: one partition,
one instance, no foreign keys, no conflicts, an empty receiver, WAL.
"""

import json
import logging
import shutil
import sqlite3
import sys
import tempfile
import time
import uuid
from pathlib import Path

import django
from django.conf import settings

DAY = "2026-11-20"
CHUNK = 500  # Morango's own default for a transfer


def configure(folder):
    """Set Django up with Morango and the app beside this file."""
    settings.configure(
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(folder / "first.db")}},
        INSTALLED_APPS=["django.contrib.contenttypes", "rest_framework", "morango", "morango_app"],
        USE_TZ=True,
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    )
    django.setup()


def make_template(path):
    """Make the tables of a store that is copied for every round."""
    from django.core.management import call_command
    from django.db import connection

    connection.settings_dict["NAME"] = str(path)
    call_command("migrate", verbosity=0, run_syncdb=True)
    connection.close()


def use(template, path):
    """Let Django work on a fresh store at *path*."""
    from django.db import connection
    from morango.models.core import DatabaseIDModel, InstanceIDModel

    connection.close()
    shutil.copyfile(template, path)
    connection.settings_dict["NAME"] = str(path)
    connection.ensure_connection()
    connection.connection.execute("PRAGMA journal_mode=WAL")
    connection.connection.execute("PRAGMA synchronous=FULL")
    DatabaseIDModel.objects.all().delete()
    InstanceIDModel.get_or_create_current_instance(clear_cache=True)


def session(fsic):
    """Return a transfer session of a push whose sender has *fsic*."""
    from django.utils import timezone
    from morango.models.core import SyncSession, TransferSession
    from morango_app.models import PARTITION, PROFILE

    now = timezone.now()
    sync = SyncSession.objects.create(
        id="a" * 32, profile=PROFILE, last_activity_timestamp=now, connection_kind="network", connection_path="bench"
    )
    empty = json.dumps({"super": {}, "sub": {}})
    return TransferSession.objects.create(
        id="b" * 32, sync_session=sync, filter=PARTITION, push=True, last_activity_timestamp=now,
        client_fsic=fsic, server_fsic=empty, records_transferred=1,
    )  # fmt: skip


def send(model, rows):
    """Return the transfer, as JSON chunks, and the sender's counters."""
    from django.db import transaction
    from morango.api.serializers import BufferSerializer
    from morango.models.certificates import Filter
    from morango.models.core import Buffer, DatabaseMaxCounter
    from morango.sync.controller import MorangoProfileController
    from morango.sync.operations import _queue_into_buffer_v2
    from morango_app.models import PARTITION, PROFILE

    with transaction.atomic():
        for row in rows:
            model(**row).save()
    started = time.perf_counter()
    MorangoProfileController(PROFILE).serialize_into_store(Filter(PARTITION))
    serialized = time.perf_counter()
    counters = DatabaseMaxCounter.calculate_filter_specific_instance_counters(
        Filter(PARTITION), is_producer=True, v2_format=True
    )
    fsic = json.dumps(counters)
    transfer = session(fsic)
    _queue_into_buffer_v2(transfer)
    chunks = []
    buffers = Buffer.objects.filter(transfer_session=transfer).order_by("pk")
    for start in range(0, len(rows), CHUNK):
        chunks.append(json.dumps(BufferSerializer(buffers[start : start + CHUNK], many=True).data))
    return chunks, fsic, serialized - started, time.perf_counter() - serialized


def receive(model, chunks, fsic, count):
    """Return the seconds of buffering, dequeueing and deserialising."""
    from morango.models.certificates import Filter
    from morango.sync.controller import MorangoProfileController
    from morango.sync.operations import _dequeue_into_store
    from morango.sync.utils import validate_and_create_buffer_data
    from morango_app.models import PARTITION, PROFILE

    transfer = session(fsic)
    started = time.perf_counter()
    for chunk in chunks:
        validate_and_create_buffer_data(json.loads(chunk), transfer)
    buffered = time.perf_counter()
    _dequeue_into_store(transfer, fsic, v2_format=True)
    dequeued = time.perf_counter()
    MorangoProfileController(PROFILE).deserialize_from_store(filter=Filter(PARTITION))
    done = time.perf_counter()
    assert model.objects.count() == count
    return buffered - started, dequeued - buffered, done - dequeued


def main(count):
    """Serve rounds until the input ends."""
    logging.disable(logging.CRITICAL)
    folder = Path(tempfile.mkdtemp(prefix="syncgov-morango-"))
    configure(folder)
    from morango_app.models import Item

    rows = [
        {
            "record": str(uuid.UUID(int=n // 100)),
            "name": f"第 {n} 户",
            "place": "101001",
            "amount": n,
            "day": "2026-11-20",
        }
        for n in range(count)
    ]
    from importlib.metadata import version

    names = ("morango", "django")
    print(json.dumps({"sqlite": sqlite3.sqlite_version, **{name: version(name) for name in names}}), flush=True)
    template = folder / "template.db"
    make_template(template)
    for number, _line in enumerate(sys.stdin):
        use(template, folder / f"from{number}.db")
        chunks, fsic, serialize, queue = send(Item, rows)
        use(template, folder / f"to{number}.db")
        buffer, dequeue, deserialize = receive(Item, chunks, fsic, count)
        stages = {"serialize": serialize, "queue": queue, "buffer": buffer, "dequeue": dequeue}
        print(json.dumps({**stages, "deserialize": deserialize}), flush=True)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main(int(sys.argv[1]))
