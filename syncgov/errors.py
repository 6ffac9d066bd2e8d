"""Every exception of the package. Each carries its sentence in Chinese and in English, and says what to do next."""

from collections.abc import Sequence


class SyncgovError(Exception):
    """Base of all errors that the package raises on purpose.

    Args:
        zh: what happened and what to do, in Chinese.
        en: the same in English.
    """

    code = "error"

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(en)
        self.zh = zh
        self.en = en


class FormatError(SyncgovError):
    """Bytes that do not parse, or are not in the one canonical form."""

    code = "format"

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what}格式不对：{why}", f"malformed {what}: {why}")


class LimitError(FormatError):
    """Input larger than a named limit."""

    code = "limit"


class CommitmentError(FormatError):
    """A body that does not belong to its signed statement."""

    code = "commitment"


class SignatureError(SyncgovError):
    """A signature that does not verify, or a key that may never verify anything."""

    code = "signature"

    def __init__(self, key_id: str) -> None:
        super().__init__(f"密钥 {key_id} 的签名无效", f"invalid signature by key {key_id}")
        self.key_id = key_id


class NotAllowedError(SyncgovError):
    """The person or device may not do this."""

    code = "not-allowed"


class UnknownDeviceError(NotAllowedError):
    """A device that never enrolled here."""

    code = "unknown-device"

    def __init__(self, dev: str) -> None:
        super().__init__(
            f"终端 {dev[:8]} 没有登记，请先用登记码 join", f"device {dev} is not enrolled; join with an enrolment code"
        )


class UnknownKeyError(NotAllowedError):
    """A second signature by a key that no registrar registered."""

    code = "unknown-key"

    def __init__(self, key_id: str) -> None:
        super().__init__(
            f"人员密钥 {key_id[:8]} 没有登记；请先用登记码 syncgov staff add 并同步一次，再签名",
            f"staff key {key_id} is not registered; `syncgov staff add` it with a code and sync before signing with it",
        )


class PinError(NotAllowedError):
    """A PIN that does not open the key, or one asked for too soon after wrong ones.

    Args:
        tries: wrong PINs in a row. wait_s: seconds until the next one is looked at, 0 for at once.
    """

    code = "pin"

    def __init__(self, tries: int, wait_s: int) -> None:
        after = (f"；请 {wait_s} 秒后再试", f"; try again in {wait_s} s") if wait_s else ("；请再试", "; try again")
        super().__init__(
            f"PIN 不对（已连续输错 {tries} 次）{after[0]}。表里的内容都在；忘了 PIN 请向管理员要新登记码",
            f"wrong PIN ({tries} in a row){after[1]}. Nothing is lost; if it is forgotten, ask for a new code",
        )
        self.tries = tries
        self.wait_s = wait_s


class NonceError(NotAllowedError):
    """A request signed over a nonce that is no longer good; ask for a new one."""

    code = "nonce"

    def __init__(self) -> None:
        super().__init__("请求已过期，请重试", "stale nonce; sign the request again over the fresh one")


class LogError(SyncgovError):
    """The log does not hold what it must hold."""

    code = "log"


class RollbackError(LogError):
    """A checkpoint smaller than one seen before."""

    code = "rollback"

    def __init__(self, old: int, new: int) -> None:
        super().__init__(
            f"日志变短了（原 {old} 条，现 {new} 条），请联系管理员", f"log shrank from {old} to {new} entries"
        )


class ForkError(LogError):
    """Two histories under one name."""

    code = "fork"


class ClosedError(LogError):
    """The roots have closed this log; a new charter opens the next one."""

    code = "closed"

    def __init__(self, old: str, new: str) -> None:
        super().__init__(
            f"日志“{old}”已由根密钥结束，现在是“{new}”；请再同步一次，本机内容没有丢失",
            f"the log {old!r} was closed by the roots; it goes on as {new!r}; sync again, nothing here is lost",
        )


class ProofError(LogError):
    """A Merkle proof that does not lead to the root."""

    code = "proof"

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}的证明不成立", f"{what} proof does not lead to the root")


class RegisterError(SyncgovError):
    """A register file that cannot be used; names file, line and remedy."""

    code = "register"

    def __init__(self, file: str, line: int, what: str, remedy: str) -> None:
        super().__init__(f"{file} 第 {line} 行：{what}。{remedy}", f"{file}:{line}: {what}. {remedy}")
        self.file = file
        self.line = line


class InputError(SyncgovError):
    """A row of somebody's file or table that cannot be taken; names where."""

    code = "input"


class VersionError(InputError):
    """Something written by another version of this program.

    Args:
        zh, en: what it is. found: its version as it says, "" if it says none. known: the version read here.
        again: how this program makes it anew, in Chinese and English.
    """

    code = "version"

    def __init__(self, zh: str, en: str, found: str, known: int, again: tuple[str, str]) -> None:
        newer = found.isascii() and found.isdigit() and int(found[:9]) > known
        upgrade = ("请先升级：pip install --upgrade syncgov", "upgrade first: pip install --upgrade syncgov")
        remedy = upgrade if newer else again
        told = (
            (f"协议第 {found[:20]} 版的", f"protocol version {found[:20]}")
            if found
            else ("没有写明版本的", "no version")
        )
        super().__init__(
            f"{zh}是{told[0]}，本程序只认第 {known} 版；{remedy[0]}",
            f"{en} is of {told[1]}, this program reads version {known}; {remedy[1]}",
        )


class MissingFileError(InputError):
    """A row names a file that its device has not brought to the centre yet."""

    code = "missing-file"

    def __init__(self, sha256: str) -> None:
        super().__init__(
            f"文件 {sha256[:8]} 还没有传到中心，请以后再取",
            f"file {sha256[:8]} has not reached the centre yet; try later",
        )


class StorageError(SyncgovError):
    """The file under us is busy, damaged or not ours."""

    code = "storage"


class BusyError(SyncgovError):
    """The centre has as many requests at a time as it takes; come again."""

    code = "busy"

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(
            f"中心正忙，请 {retry_after_s} 秒后再试", f"the centre is busy; try again in {retry_after_s} seconds"
        )
        self.retry_after_s = retry_after_s


class LostEntriesError(StorageError):
    """Entries below a signed checkpoint are gone: the log cannot go on under its name."""

    code = "lost-entries"

    def __init__(self, zh: str, en: str, missing: Sequence[object] = ()) -> None:
        super().__init__(zh, en)
        self.missing = missing


class TransportError(SyncgovError):
    """The centre cannot be reached, or did not answer as one."""

    code = "unreachable"

    def __init__(self, zh: str, en: str, retry_after_s: int | None = None) -> None:
        super().__init__(zh, en)
        self.retry_after_s = retry_after_s


class RemoteError(SyncgovError):
    """The centre answered with a problem document (RFC 9457)."""

    code = "remote"

    def __init__(self, code: str, detail: str, status: int) -> None:
        super().__init__(f"中心答复：{detail}（{code}）", f"the centre answered: {detail} ({code})")
        self.problem = code
        self.status = status


class AuditError(SyncgovError):
    """Something in a published folder or a proof is not as it must be."""

    code = "audit"
