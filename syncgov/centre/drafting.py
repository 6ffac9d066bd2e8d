"""What a charter says before keys exist: a draft in a YAML file. Source: protocol page, section 8."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import msgspec
import yaml

from syncgov.core.charter import Charter, key_text
from syncgov.core.keys import SigningKey
from syncgov.core.note import format_vkey
from syncgov.errors import InputError


@dataclass(frozen=True, slots=True)
class Draft:
    """What a charter says before keys exist; see `core.charter.Charter`. `roots`: how many root keys to make."""

    name: str
    origin: str
    area: str
    roots: int = 1
    threshold: int = 1
    grace_days: int = 14
    backup_days: int = 30
    simulated: bool = False


def draft_charter(
    draft: Draft, roots: Sequence[SigningKey], log_key: SigningKey, registrar: SigningKey, now: int
) -> Charter:
    return Charter(
        area=draft.area,
        backup_days=draft.backup_days,
        grace_days=draft.grace_days,
        issued=now,
        log=format_vkey(draft.origin, log_key.public),
        name=draft.name,
        origin=draft.origin,
        quorum="none",
        registrars=[key_text(registrar.public)],
        roots=[key_text(root.public) for root in roots],
        simulated=draft.simulated,
        threshold=draft.threshold,
        v=1,
        witnesses=[],
    )


def parse_draft(text: str, filename: str) -> Draft:
    """Return the charter draft in a YAML file.

    Raises:
        InputError: not such a file; names the member.
    """
    known = {each.name for each in fields(Draft)}
    try:
        found = yaml.safe_load(text)
        unknown = sorted(set(map(str, found)) - known) if isinstance(found, dict) else []
        if unknown:
            raise InputError(
                f"{filename} 里有不认识的项：{'、'.join(unknown)}；可用：{'、'.join(sorted(known))}",
                f"{filename}: unknown members {', '.join(unknown)}; known: {', '.join(sorted(known))}",
            )
        return msgspec.convert(found, Draft, strict=True)
    except (yaml.YAMLError, msgspec.ValidationError) as error:
        raise InputError(f"{filename} 不是章程草稿：{error}", f"{filename} is not a charter draft: {error}") from error
