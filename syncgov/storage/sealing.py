"""The age seal around a bundle, and bundle files on disk. The only module that knows the age library.

pyrage is the extra `bundle`: it has no wheels for Android or musl, and a device with a line needs no bundles.
Source: protocol page, section 14; age-encryption.org/v1.
"""

from pathlib import Path
from typing import Any

from syncgov.core.bundle import MAGIC, MAX_BUNDLE_BYTES
from syncgov.errors import FormatError, InputError, StorageError, TransportError
from syncgov.storage.files import write_atomic

_NO_KEY = "No matching keys"  # how the library says that a seal is whole but somebody else's


def new_identity() -> str:
    """Return a new random age identity."""
    return str(_age().x25519.Identity.generate())


def recipient_of(identity: str) -> str:
    """Return the recipient of an identity, else raise FormatError."""
    age = _age()
    try:
        return str(age.x25519.Identity.from_str(identity).to_public())
    except age.IdentityError as error:
        raise FormatError("age identity", str(error)) from error


def seal(plain: bytes, recipient: str) -> bytes:
    """Return *plain* as an age file that only the owner of *recipient* can open, else raise FormatError."""
    age = _age()
    try:
        return bytes(age.encrypt(plain, [age.x25519.Recipient.from_str(recipient)]))
    except age.RecipientError as error:
        raise FormatError("recipient", str(error)) from error


def unseal(sealed: bytes, identity: str) -> bytes:
    """Return what was sealed.

    Raises:
        FormatError: cut short, damaged, or not an age file.
        InputError: whole, but sealed to another key.
    """
    age = _age()
    try:
        return bytes(age.decrypt(sealed, [age.x25519.Identity.from_str(identity)]))
    except age.DecryptError as error:
        if _NO_KEY in str(error):
            raise InputError(
                "打不开：这个包不是封给这里的密钥的；请用中心最新的邀请文件 receive 一次，再重新打包",
                "it is sealed to another key; receive the centre's newest invitation, then make the bundle again",
            ) from error
        raise FormatError("bundle", f"cut short or damaged; copy it again ({error})") from error


def read_bundle_file(path: Path) -> bytes:
    """Return the bytes of a bundle file; no more than a bundle may have are read.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(MAX_BUNDLE_BYTES + 1)
    except OSError as error:
        raise InputError(f"无法读取 {path}：{error.strerror}", f"cannot read {path}: {error.strerror}") from error


def write_bundle_file(path: Path, data: bytes) -> None:
    """Write a bundle, durably; replaces an older bundle of that name, nothing else.

    Raises:
        StorageError: something else is there, or the medium is full.
    """
    check_target(path)
    try:
        write_atomic(path, data)
    except OSError as error:
        raise StorageError(f"无法写入 {path}：{error.strerror}", f"cannot write {path}: {error.strerror}") from error


def check_target(path: Path) -> None:
    """Return if a bundle may be written to *path*; call it before work that would be for nothing."""
    if path.exists() and not (path.is_file() and _begins_as_bundle(path)):
        raise StorageError(
            f"{path} 已经存在，而且不是打包文件；请换一个文件名",
            f"{path} exists and is not a bundle; choose another name",
        )


def _begins_as_bundle(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def _age() -> Any:
    try:
        import pyrage
    except ModuleNotFoundError as error:
        raise TransportError(  # the class whose exit code a missing extra has everywhere
            "打包文件需要 age 库：pip install 'syncgov[bundle]'",
            "bundles need the age library: pip install 'syncgov[bundle]'",
        ) from error
    return pyrage
