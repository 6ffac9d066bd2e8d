"""Registers of an invented street: every merge rule, a workflow, a child, private fields."""

from syncgov.core.register import Register, RegisterSet, parse_register
from syncgov.storage.files import system_registers

TASK = """\
register: task
version: 1
label: 任务
help: 测试用
key: uuid
area: place
owner: owner
skeleton: {community: place, prefix: 3, month: started_on}
write: [worker, chief]
read:
  public: ['*']
  internal: [worker, chief, desk, viewer]
  private: [worker, desk]
fields:
  place:
    {label: 网格, type: text, class: internal, max_length: 12, required: true, merge: review,
     write: [worker, chief, desk], resolve: [desk]}
  started_on: {label: 日期, type: date, class: internal, required: true}
  seen_at: {label: 时间, type: datetime, class: internal}
  title: {label: 标题, type: text, class: public, max_length: 40, required: true, write: [worker, chief, desk]}
  kind:
    {label: 类别, type: code, class: public, merge: review, choices: {a: 甲, b: 乙, c: 丙},
     write: [worker, chief, desk], resolve: [desk]}
  urgency: {label: 紧急, type: integer, class: public, merge: max}
  days: {label: 天数, type: integer, class: public, merge: min}
  tags: {label: 标签, type: list, class: public, max_length: 5}
  done: {label: 完成, type: boolean, class: internal}
  secret: {label: 内情, type: text, class: private, write: [worker, desk], free_text: true}
  step:
    label: 进度
    class: public
    merge: state
    required: true
    group:
      state:
        {label: 状态, type: code, choices: {reported: 报, accepted: 受理, rejected: 不受理, closed: 办结, rework: 返工}}
      owner: {label: 责任单位, type: text, ref: notice}
      due: {label: 期限, type: date}
      reason: {label: 理由, type: code, choices: {dup: 重复, bad: 不合格}}
workflow:
  field: step
  state: state
  precedence: [rework, closed, accepted, rejected, reported]
  review: {states: [[accepted, rejected]], columns: [owner]}
  resolve: [desk]
  steps: {reported: 上报, accepted: 受理, rejected: 上报, closed: 办结, rework: 办结}
  open: [reported, accepted, rework]
  closed: [closed]
  transitions:
    - {name: 上报, from: [new], to: reported, roles: [worker, chief]}
    - {name: 受理, from: [reported], to: accepted, roles: [desk], guards: [due]}
    - {name: 不受理, from: [reported], to: rejected, roles: [desk], guards: [reason]}
    - {name: 改派, from: [accepted], to: accepted, roles: [desk]}
    - {name: 办结, from: [accepted, reported, rework], to: closed, roles: [worker, desk], guards: [other_person]}
    - {name: 返工, from: [closed, accepted], to: rework, roles: [desk, worker], guards: [reason]}
"""

CONTACT = """\
register: contact
version: 1
label: 联系人
help: 子登记册，全部私有
key: uuid
parent: task_id
skeleton: none
write: [worker, desk]
read: {internal: [worker, desk, viewer], private: [worker, desk]}
fields:
  task_id: {label: 任务, type: text, class: private, ref: task, required: true}
  name: {label: 姓名, type: text, class: private}
  phone: {label: 电话, type: text, class: private}
"""

PAYMENT = """\
register: payment
version: 1
label: 付款
help: 只增不改
key: uuid
skeleton: {}
immutable: true
write: [worker]
read: {public: ['*']}
fields:
  amount: {label: 金额, type: money, class: public, required: true}
"""

NOTICE = """\
register: notice
version: 1
label: 通知
help: 登记员发布，人人可见
key: natural
skeleton: {}
write: [registrar]
read: {public: ['*']}
fields:
  text: {label: 内容, type: text, class: public, required: true}
"""

TEXTS = {"task": TASK, "contact": CONTACT, "payment": PAYMENT, "notice": NOTICE}


# the task again, with steps that ask for a second person or for being in time
_CHANGES = (
    ("closed: 办结, rework: 返工}}", "closed: 办结, rework: 返工, void: 作废}}"),
    ("precedence: [rework,", "precedence: [void, rework,"),
    ("closed: 办结, rework: 办结}", "closed: 办结, rework: 办结, void: 办结}"),
    (
        "    - {name: 改派, from: [accepted], to: accepted, roles: [desk]}\n",
        "    - {name: 延期, from: [accepted], to: accepted, roles: [desk], guards: [due, before_expiry]}\n"
        "    - {name: 作废, from: any, to: void, roles: [worker, desk], guards: [reason, second_signature]}\n"
        "    - {name: 复核, from: [rework], to: closed, roles: [worker, desk],"
        " guards: [other_person, second_signature]}\n",
    ),
    ("from: [accepted, reported, rework], to: closed", "from: [accepted, reported], to: closed"),
)


def _strict_task() -> str:
    text = TASK
    for old, new in _CHANGES:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


STRICT_TEXTS = {**TEXTS, "task": _strict_task()}


def strict_registers() -> list[Register]:
    """Return the four registers; the task's workflow has 作废 and 复核 with a second signature, and 延期 in time."""
    return [parse_register(text, f"{name}.yml") for name, text in STRICT_TEXTS.items()]


def registers() -> list[Register]:
    """Return the four registers."""
    return [parse_register(text, f"{name}.yml") for name, text in TEXTS.items()]


def register_set() -> RegisterSet:
    """Return the four registers with those of the protocol."""
    return RegisterSet([*system_registers(), *registers()])
