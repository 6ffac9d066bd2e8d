"""Registers with files, and pictures to attach: what the tests of attachments share."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from PIL import Image

from syncgov.core.register import Register, parse_register
from syncgov.storage.attaching import Attached, attach
from syncgov.storage.own_chain import own_changesets
from syncgov.storage.replica import Replica
from tests.helpers import ManualClock, World
from tests.registers import TASK, TEXTS

# the canaries that a camera leaves: nobody may find them anywhere
GPS_CANARY = "SYNCGOV-GPS-CANARY"
CAMERA_CANARY = "SYNCGOV-CAMERA-CANARY"

PHOTO = """\
register: photo
version: 1
label: 任务附件
help: 子登记册，每行一个文件
key: uuid
parent: task_id
skeleton: none
immutable: true
write: [worker, desk]
read: {internal: [worker, desk], private: [desk]}
fields:
  task_id: {label: 任务, type: text, class: internal, ref: task, required: true}
  sha256: {label: 指纹, type: hash, class: internal, required: true}
  bytes: {label: 大小, type: integer, class: internal, min: 1, required: true}
  media_type: {label: 类型, type: text, class: internal, required: true}
  small: {label: 缩略图, type: hash, class: internal}
  kind: {label: 种类, type: code, class: internal, required: true, choices: {photo: 照片, paper: 文书}}
  phase: {label: 阶段, type: code, class: internal, choices: {before: 处置前, after: 处置后}}
attachment:
  sha256: sha256
  bytes: bytes
  media_type: media_type
  thumbnail: small
  kind: kind
  phase: phase
  accept: {photo: [image/jpeg], paper: [application/pdf]}
  max_bytes: 600000
  max_files: 4
"""

GUARDED = TASK.replace(
    "  steps: {reported", "  photos: {register: photo, kind: photo, before: before, after: after}\n  steps: {reported"
).replace("roles: [worker, desk], guards: [other_person]}", "roles: [worker, desk], guards: [photo_before_after]}")


def registers(photo: str = PHOTO) -> list[Register]:
    """Return the registers of `tests.registers`, with files, and a step that needs photos."""
    texts = {**TEXTS, "task": GUARDED, "photo": photo}
    return [parse_register(text, f"{name}.yml") for name, text in texts.items()]


def make_world(folder: Path) -> World:
    """Return a world with files."""
    return World.make(folder, registers(), ManualClock())


@contextmanager
def pen_world(folder: Path) -> Iterator[World]:
    """Give a centre whose tasks have files and are closed with photos alone, and a worker's device `pen`."""
    with make_world(folder) as found:
        found.device("pen")
        yield found


@cache
def picture(seed: int = 0, size: tuple[int, int] = (320, 240), *, exif: bool = False, form: str = "JPEG") -> bytes:
    """Return an image file; its pixels depend on *seed*. With *exif*: place, camera, orientation, comment."""
    image = Image.effect_mandelbrot(size, (-2.0 + seed / 50, -1.5, 1.0, 1.5), 20).convert("RGB")
    out = io.BytesIO()
    if not exif:
        image.save(out, form)
        return out.getvalue()
    tags = Image.Exif()
    tags[0x010F], tags[0x0112] = CAMERA_CANARY, 6  # maker; to be turned by a quarter
    tags[0x8769] = {0x9286: f"ASCII\0\0\0{GPS_CANARY}".encode()}
    tags[0x8825] = {1: "N", 2: (34.0, 34.0, 51.0), 3: "E", 4: (105.0, 42.0, 9.0), 27: GPS_CANARY.encode()}
    image.save(out, form, exif=tags.tobytes(), comment=GPS_CANARY.encode(), icc_profile=CAMERA_CANARY.encode() * 9)
    return out.getvalue()


def add(replica: Replica, task: str, seed: int = 0, phase: str | None = "before") -> Attached:
    """Attach a picture to a task."""
    return attach(replica, "task", task, picture(seed), phase=phase)


def cut_files(world: World, replica: Replica) -> tuple[str, str] | None:
    """Sync over a line that breaks when the files come; returns what the worker is told."""
    world.wire.reset()
    waiting = replica.has_unsigned() or bool(own_changesets(replica))
    world.wire.cut_at = 4 if waiting else 3  # nonce, push, pull
    done = world.sync(replica)
    world.wire.reset()
    return done.files.note
