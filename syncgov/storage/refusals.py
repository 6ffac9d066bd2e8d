"""Why a changeset was refused, in plain words, and what the worker can do. Source: protocol page, sections 6 and 11."""

from collections.abc import Mapping
from dataclasses import dataclass

from syncgov.storage.wording import Language


@dataclass(frozen=True, slots=True)
class Refusal:
    """The words of one reason code: (Chinese, English)."""

    why: tuple[str, str]
    remedy: tuple[str, str]

    def words(self, language: Language) -> tuple[str, str]:
        """Return why, and what to do."""
        index = 0 if language == "zh" else 1
        return self.why[index], self.remedy[index]


REFUSALS: Mapping[str, Refusal] = {
    "area": Refusal(
        (
            "这条记录不在本终端的负责区域内，也不归本终端的责任单位",
            "the record lies outside this device's areas and is not one of its units'",
        ),
        ("请核对所属区域，或转给负责该区域的人员登记", "check the area, or pass it to whoever is in charge there"),
    ),
    "erased": Refusal(
        ("这项内容已依法删除", "this content has been erased"),
        ("无需再报；如有疑问请联系管理员", "nothing to do; ask the administrator if in doubt"),
    ),
    "expired": Refusal(
        ("送达时本终端的证书不在有效期内", "the device's certificate was not valid when this arrived"),
        ("请联系管理员续期后重新填报", "ask the administrator to renew it, then write again"),
    ),
    "fork": Refusal(
        ("本终端的编号重复：文件可能被复制过，或是从备份恢复的", "this device was cloned or restored from a backup"),
        (
            "请向管理员要新登记码，运行 syncgov rejoin：内容不会丢失",
            "ask for a new code and run `syncgov rejoin`; nothing is lost",
        ),
    ),
    "guard": Refusal(
        ("没有满足这一步的要求", "something that this step demands is missing"),
        (
            "请补全（照片用 syncgov attach 添加）后重新填报；核查须由未经办的人进行",
            "complete it (photos: syncgov attach) and write again; a check needs another person",
        ),
    ),
    "immutable": Refusal(
        ("这类记录登记后不能修改或删除", "records of this kind cannot be changed once made"),
        ("请另登记一条更正", "write a new record that corrects it"),
    ),
    "over": Refusal(
        ("修改所依据的版本与中心的日志不符", "the version that this change was based on is not in the log"),
        ("请先同步，再在最新内容上重新修改", "sync first, then change the newest version"),
    ),
    "person": Refusal(
        ("填报人不能使用本终端", "the person may not use this device"),
        (
            "请由本终端的使用人员填报，或请管理员把填报人加入",
            "let a person of this device write, or have the person added",
        ),
    ),
    "register": Refusal(
        ("登记册已更新，这条是按旧版填的", "the registers have changed since this was written"),
        ("请同步后按新版重新填报", "sync, then write again under the new ones"),
    ),
    "review": Refusal(
        ("这一栏有冲突，只能由有裁定权的岗位决定", "this field is in conflict; only a deciding role may settle it"),
        ("请等待裁定，或联系有裁定权的人员", "wait for the decision, or ask whoever may decide"),
    ),
    "revoked": Refusal(
        ("本终端已停用", "this device has been revoked"),
        (
            "请联系管理员：凭新登记码运行 syncgov rejoin，或由主管补签",
            "ask for a new code for `syncgov rejoin`, or let a supervisor adopt the work",
        ),
    ),
    "role": Refusal(
        ("本终端的岗位不能写这一栏", "the role of this device may not write this field"),
        ("请转给有权填写的岗位", "pass it to a role that may"),
    ),
    "second": Refusal(
        (
            "第二签名不算数：密钥已停用或过期，签名人不能使用本终端，或与填报人是同一人",
            "the second signature does not count: its key has ended, or its owner may not sign here, or is who wrote",
        ),
        (
            "请由另一人用在用的密钥签名，再重新提交（--second）",
            "let another person with a key in use sign it, then resubmit (--second)",
        ),
    ),
    "skeleton": Refusal(
        ("公开部分与内部内容不一致", "the public part does not agree with the fields it is taken from"),
        ("请升级程序，同步后重新填报", "upgrade the program, sync and write again"),
    ),
    "transition": Refusal(
        ("现在的办理状态不能这样流转，可能别人已先办理", "this step is not possible from the present state"),
        ("请同步，查看最新进度后再办", "sync, look at the newest state, then go on"),
    ),
    "value": Refusal(
        ("内容不符合登记册的要求", "the content does not fit the register"),
        ("请对照登记册改正后重新填报", "correct it as the register demands and write again"),
    ),
}
REJECTED = Refusal(
    ("中心无法验证这条变更，没有收下", "the centre could not verify this change and did not take it"),
    ("请保留文件并联系管理员", "keep the file and tell the administrator"),
)
UNKNOWN = Refusal(
    ("中心退回了这条变更", "the centre refused this change"),
    ("请升级程序后查看原因，或联系管理员", "upgrade the program to see why, or ask the administrator"),
)


def refusal(verdict: str) -> Refusal:
    """Return the words for `refused:<code>`; for a code of a newer program, words that say so."""
    return REFUSALS.get(verdict.removeprefix("refused:"), UNKNOWN)
