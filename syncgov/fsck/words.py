"""What each finding says, and what to do about it: (Chinese, English)."""

from collections.abc import Mapping

REPAIR = ("可运行 syncgov fsck --repair 修复", "Run `syncgov fsck --repair`")
KEEP = {
    "centre": (
        "请停止服务，保留整个文件夹，与备份和 copy.log 核对后恢复",
        "Stop serving, keep the whole folder, compare it with backup and copy.log, then restore",
    ),
    "replica": (
        "请保留本文件和密钥文件，勿再填写，交给管理员",
        "Keep this file and its key file, write nothing more to it, and give both to the administrator",
    ),
}

WHAT: Mapping[str, tuple[str, str]] = {
    # the file
    "sqlite": ("SQLite 自检不通过", "SQLite's own check fails"),
    "protocol-table": ("协议用的表缺失或缺列", "a table of the protocol, or a column of it, is missing"),
    "view": ("视图 conflict 缺失", "the view `conflict` is missing"),
    "index": ("索引缺失，会变慢", "an index is missing; everything gets slower"),
    "meta": ("记录的数值与内容不符", "a setting does not agree with the content"),
    # the charter and keys
    "charter": ("章程不成立或前后不一", "the charter does not hold, or its copies differ"),
    "key-missing": ("密钥文件缺失或读不了", "a key file is missing or cannot be read"),
    "key-other": ("密钥不是这里该用的那一个", "the key is not the one that belongs here"),
    "key-ahead": (
        "副本比密钥文件旧（可能从备份恢复）",
        "the replica is older than its key file (restored from a backup?)",
    ),
    "key-fork": (
        "密钥文件记得的签名与副本里的不同：有两份副本在用",
        "the key file remembers another changeset than the replica holds: two copies have signed",
    ),
    # the log
    "leaf": ("日志条目读不了", "a log entry cannot be read"),
    "leaf-missing": ("日志条目缺失", "a log entry is missing"),
    "leaf-hash": ("日志条目不是当初签进检查点的那一条", "the log entry is not the one that was signed into the log"),
    "leaf-order": ("日志条目的时间与前后不符", "the times of the log entry contradict its neighbours"),
    "leaf-columns": ("日志条目旁的列与条目不符", "columns beside a log entry do not say what the entry says"),
    "signature": ("签名无效，或签名人未登记", "the signature is not valid, or its device is not enrolled"),
    "body": ("内容不是当初签名的内容", "the content is not the one that was signed"),
    "body-hidden": ("内容被遮盖，却没有删除记录", "content is hidden although no erasure names it"),
    "erased-left": ("日志写明已删除的内容还在", "something that the log erases is still here"),
    "erased-index": ("已删除内容的查找表不符", "the look-up table of erased writes is wrong"),
    "chain": ("终端的签名链断开", "the chain of a device is broken"),
    "register": ("登记册读不了", "a register cannot be read"),
    "checkpoint": ("检查点不成立，或与日志不符", "the checkpoint does not hold, or is not of this log"),
    "checkpoint-behind": ("最后几条日志还没有签入检查点", "the last log entries are not signed into a checkpoint yet"),
    "hash-tree": ("哈希树与日志条目不符", "the hash tree does not agree with the log entries"),
    "copy-cut": ("第二份副本的最后一条不完整", "the last record of the second copy is incomplete"),
    "copy-short": ("第二份副本缺少数据库已有的条目", "the second copy lacks entries that the database has"),
    "copy-ahead": ("数据库比第二份副本旧", "the database is older than its second copy"),
    "copy-record": ("第二份副本的这一条与数据库不同", "this record of the second copy differs from the database"),
    "copy-garbled": ("第二份副本从这里起读不了", "the second copy cannot be read from here on"),
    "waiting": ("待处理的变更集不成立", "a waiting changeset does not hold"),
    # what is derived
    "envelope-index": ("变更集的查找表不符", "the look-up table of changesets is wrong"),
    "chain-end": ("终端签名链的末端记错", "the end of a device's chain is noted wrongly"),
    "area": ("记录的区域历史不符", "the history of a record's areas is wrong"),
    "owner": ("记录的责任单位历史不符", "the history of a record's responsible units is wrong"),
    "version": ("证书或登记册的历史不符", "the history of a certificate or register is wrong"),
    "state": ("行的合并状态与日志不符", "the merged state of a row is not what the log says"),
    "state-left": ("日志条目还在，行的合并状态却没有", "there are log entries of a row that has no merged state"),
    "overlay": ("本机未裁定内容的记录不符", "what this device wrote without a verdict is noted wrongly"),
    "conflict": ("冲突列表不符", "the list of conflicts is wrong"),
    "table-missing": ("登记册的表缺失", "the table of a register is missing"),
    "table-form": ("登记册的表不是声明的样子", "the table of a register is not as declared"),
    "table-column": ("登记册的表有别的程序加的列", "another program added a column to the table of a register"),
    "trigger": ("触发器缺失或不起作用", "a trigger is missing or does not work"),
    "row": ("表里的值与已签名的不同，也没有修改记录", "a row is neither what was signed nor noted as changed"),
    "unshown": (
        "表容纳不了这一行，却没有记下，会被当成删除",
        "the table cannot hold this row and that is not noted: it would be taken for a deletion",
    ),
    "merging": ("合并的标记没有清除，修改不会被发现", "a merge mark was left; changes are not noticed"),
    # files
    "file-missing": ("附件文件不见了", "a file of a record is gone"),
    "file-damaged": ("附件文件的内容与它的指纹不符", "the content of a file does not have its SHA-256"),
    "file-size": ("附件文件的大小与登记的不符", "a file has another length than its row says"),
    "file-orphan": ("没有记录写明这个附件文件", "no row names this file"),
    # a replica's own
    "own": ("本机签过的变更集读不了或不成立", "an own changeset cannot be read or does not hold"),
    "own-missing": ("本机签过的变更集缺失", "an own changeset is missing"),
    "own-verdict": ("本机变更集的裁定与日志不符", "the verdict of an own changeset is not the log's"),
    "pulled": ("下载到一半的内容损坏", "what was half downloaded is damaged"),
}

_FILE = (
    "请从备份取回；没有备份的，由上传的人把同一张照片再添加一次（syncgov attach）",
    "Bring it back from a backup; without one, whoever sent it adds the same file again (`syncgov attach`)",
)
_COMMIT = (
    "请运行 syncgov commit：先签名，再把表恢复成声明的样子",
    "Run `syncgov commit`: it signs what was written, then gives the table its form",
)
_AGAIN = (
    "请先 sync 送出未送的记录，再用新登记码重新登记（join），保留本文件",
    "Run `syncgov sync` to send what is unsent, then join anew with a new code; keep this file",
)
REMEDIES: Mapping[str, tuple[str, str]] = {
    "checkpoint-behind": ("启动中心（syncgov serve）即会补签", "Start the centre (`syncgov serve`): it signs them"),
    "copy-ahead": (
        "数据库可能从备份恢复，请停止服务，保留两个文件，用第二份副本恢复",
        "The database was restored from a backup? Stop serving, keep both files, restore from the second copy",
    ),
    "copy-record": (
        "数据库已与检查点核对的，请另存 copy.log 后删除，启动中心会重写一份",
        "If nothing else is found, the database is right: move copy.log away and start the centre, it writes a new one",
    ),
    "copy-garbled": (
        "其余都没有问题时，请另存 copy.log 后删除，启动中心会重写一份",
        "If nothing else is found, the database is right: move copy.log away and start the centre, it writes a new one",
    ),
    "key-ahead": (
        "请先运行 syncgov sync 取回自己的记录；中心也没有的，用新登记码重新登记（join），此前勿填写",
        "Run `syncgov sync` to fetch the own records; what the centre lacks too needs a new `syncgov join`",
    ),
    "key-fork": (
        "请停用这一份，保留两个文件，用新登记码重新登记（join）",
        "Stop using this copy, keep both files, join again with a new code",
    ),
    "key-missing": (
        "请从备份取回密钥文件；没有的，用新登记码重新登记（join）",
        "Bring the key file back from a backup; without one, join again with a new code",
    ),
    "file-missing": _FILE,
    "file-damaged": _FILE,
    "file-size": ("请另附一份说明；记录不能修改", "Write a row that corrects it; this one cannot be changed"),
    "leaf-missing": _AGAIN,
    "state": _AGAIN,
    "state-left": _AGAIN,
    "table-form": _COMMIT,
    "table-missing": _COMMIT,
    "trigger": _COMMIT,
    "table-column": (
        "请先把该列的内容搬到别处；下一次 syncgov commit 会去掉这一列",
        "Move its content elsewhere: the next `syncgov commit` takes the column away",
    ),
}

# Findings after which what is derived cannot be trusted, so nothing of it is compared or rewritten.
SUSPECT = frozenset(
    "sqlite protocol-table charter leaf leaf-missing leaf-hash leaf-order chain signature body body-hidden register "
    "checkpoint own own-missing".split()
)
