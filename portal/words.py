"""Chinese words for the codes of the protocol. Source: protocol page, sections 6 and 9."""

REFUSALS = {
    "area": "不在这部终端负责的区域内",
    "erased": "所涉内容已依法删除",
    "expired": "终端证书不在有效期内",
    "fork": "终端的记录链出现分叉",
    "guard": "没有满足办理条件（如缺少理由、期限或责任单位）",
    "immutable": "改动了不允许改动的记录",
    "over": "所依据的在先记录不成立",
    "register": "使用的登记册版本已经失效",
    "review": "改动了待裁定的内容，须由有权人员裁定",
    "revoked": "终端已停用",
    "role": "没有写这一项的权限",
    "skeleton": "公开部分与内容对不上",
    "person": "使用人不在这部终端的名单内",
    "transition": "不是办理流程允许的下一步",
    "value": "填写的值不符合登记册的规定",
}

ERASURES = {
    "error": "误录",
    "expired": "保存期满",
    "law": "法律规定删除",
    "request": "本人要求删除",
}

# What people call the roles of the shipped registers; a role of somebody's own register goes by its code.
ROLES = {
    "auditor": "监督员",
    "checker": "核查员",
    "grid_chief": "网格长",
    "grid_helper": "网格辅助员",
    "grid_worker": "网格员",
    "handler": "承办人",
    "operator": "综治平台操作员",
    "publisher": "公开审核员",
    "registrar": "登记管理员",
}

WITHHOLDINGS = {
    "law": "法律规定不公开",
    "privacy": "涉及个人隐私",
    "review": "文字待脱敏审核，通过后公开",
}


NEW = "新登记"  # where a workflow begins

GUARDS = {
    "before_expiry": "期限届满以前",
    "due": "办理期限",
    "other_person": "由另一人办",
    "owner": "责任单位",
    "photo_before_after": "办理前后的照片",
    "reason": "理由",
    "second_signature": "第二人签名",
}


def guard(code: str) -> str:
    """Return the words for what a step must have."""
    return GUARDS.get(code, code)


def verdict(code: str) -> str:
    """Return the words for a verdict as it stands in the log."""
    kind, _, reason = code.partition(":")
    if kind == "accepted":
        return "已采纳"
    return "未采纳：" + REFUSALS.get(reason, reason or kind)


def withholding(code: str) -> str:
    """Return the words for the reason of a withholding."""
    return WITHHOLDINGS.get(code, code)


def role(code: str) -> str:
    """Return what people call a role."""
    return ROLES.get(code, code)


def erasure(code: str) -> str:
    """Return the words for the reason of an erasure."""
    return ERASURES.get(code, code)
