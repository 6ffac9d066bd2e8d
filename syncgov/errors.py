"""Every exception of the package. Each carries its sentence in Chinese and in English, and says what to do next."""


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
