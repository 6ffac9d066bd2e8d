"""The workflow part of a register file. Source: protocol page, sections 11 and 12."""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from syncgov.core.register_model import Field
from syncgov.core.register_yaml import Item, Table, nearest
from syncgov.core.workflow import GUARDS, NEW, PHOTO_GUARD, Photos, Transition, Workflow

ANY = "any"  # as a source: every state but the target
_TRANSITION_KEYS = "name from to roles guards".split()


def transition_roles(table: Table) -> frozenset[str]:
    """Return every role that some transition names; the roles that may write the workflow's field."""
    roles: set[str] = set()
    for item in table["transitions"].items():
        transition = item.table(_TRANSITION_KEYS, ["name", "from", "to", "roles"])
        roles |= {role.text() for role in transition["roles"].items()}
    return frozenset(roles)


def parse_workflow(table: Table, field: Field, parse_roles: Callable[[Item], frozenset[str]]) -> Workflow:
    """Return the workflow over *field*.

    Raises:
        RegisterError: unknown or unreachable states, incomplete precedence, ambiguous transitions, unknown guards.
    """
    table["field"].unless(
        field.group, ("流程字段须为组", "the workflow's field must be a group"), ("写成 group: {…}。", "Use `group`.")
    )
    columns = {column.name: column for column in field.columns}
    state = table["state"].one_of(columns, ("列", "column"))
    states = [choice.code for choice in columns[state].choices]
    table["state"].unless(
        bool(states) and NEW not in states and ANY not in states,
        ("状态列须为 code，且无 new、any", "the state column must be a code without new and any"),
        ("给它 choices。", "Give it `choices`."),
    )
    review = table["review"].table(("states", "columns"))
    workflow = Workflow(
        field=field.name,
        state_column=state,
        transitions=tuple(_transitions(table, states, columns, parse_roles)),
        precedence=_precedence(table["precedence"], states),
        review_states=frozenset(_pair(item, states) for item in review.items("states")),
        review_columns=tuple(item.one_of(columns, ("列", "column")) for item in review.items("columns")),
        resolve=parse_roles(table["resolve"]),
        steps=_steps(table["steps"], states),
        open_states=frozenset(_state(item, states) for item in table["open"].items()),
        closed_states=frozenset(_state(item, states) for item in table["closed"].items()),
        photos=_photos(table["photos"]) if "photos" in table else None,
    )
    _check(table, workflow, states)
    return workflow


def _state(item: Item, states: Iterable[str]) -> str:
    return item.one_of(list(states), ("状态", "state"))


def _steps(item: Item, states: list[str]) -> Mapping[str, str]:
    return MappingProxyType({_state(key, states): label.text(40) for key, label in item.pairs()})


def _precedence(item: Item, states: list[str]) -> tuple[str, ...]:
    order = [_state(each, states) for each in item.items()]
    missing = [state for state in states if state not in order]
    item.unless(
        not missing and len(order) == len(states),
        (
            f"先后次序须把每个状态列一次（缺：{'、'.join(missing)}）",
            f"precedence must list each state once ({missing})",
        ),
        ("补上缺少的，删去重复的。", "Add the missing ones, delete repetitions."),
    )
    return tuple(order)


def _pair(item: Item, states: list[str]) -> frozenset[str]:
    pair = frozenset(_state(each, states) for each in item.items())
    item.unless(
        len(pair) == 2,
        ("应是两个不同的状态", "two different states are expected"),
        ("写成 [甲, 乙]。", "Write [a, b]."),
    )
    return pair


def _transitions(
    table: Table, states: list[str], columns: Iterable[str], parse_roles: Callable[[Item], frozenset[str]]
) -> list[Transition]:
    found: list[Transition] = []
    for item in table["transitions"].items():
        members = item.table(_TRANSITION_KEYS, ["name", "from", "to", "roles"])
        target = _state(members["to"], states)
        step = Transition(
            name=members["name"].text(40),
            sources=_sources(members["from"], states, target),
            target=target,
            roles=parse_roles(members["roles"]),
            guards=tuple(_guard(guard, columns) for guard in members.items("guards")),
        )
        for other in found:
            members["from"].unless(
                target != other.target or not step.sources & other.sources or not step.roles & other.roles,
                (f"与“{other.name}”重复", f"the same step as {other.name!r}"),
                ("同一角色从一状态到另一状态只能有一条。", "A role has one transition from one state to another."),
            )
        found.append(step)
    return found


def _sources(item: Item, states: list[str], target: str) -> frozenset[str]:
    if item.is_text(ANY):
        return frozenset(states) - {target}
    sources = frozenset(_state(each, [NEW, *states]) for each in item.items())
    item.unless(bool(sources), ("没有起始状态", "no state to start from"), ("写成 [状态]。", "Write [state]."))
    return sources


def _guard(item: Item, columns: Iterable[str]) -> str:
    guard = item.one_of(GUARDS, ("条件", "guard"))
    needed = GUARDS[guard]
    item.unless(
        not needed or needed in columns,
        (f"条件“{guard}”需要组内有列“{needed}”", f"guard {guard!r} needs a column {needed!r} in the group"),
        nearest(needed, list(columns)),
    )
    return guard


def _photos(item: Item) -> Photos:
    """Whether register and codes exist is seen when all registers are there: `register.check_set`."""
    table = item.table(("register", "before", "after", "kind"), ("register", "before", "after"))
    return Photos(table["register"].text(63), table["before"].text(64), table["after"].text(64), table.text("kind"))


def _check(table: Table, workflow: Workflow, states: list[str]) -> None:
    steps = table["transitions"]
    steps.unless(
        any(NEW in step.sources for step in workflow.transitions),
        ("没有从 new 开始的流转", "no transition starts from new"),
        ("写明新行的第一个状态：from: [new]。", "Say which state a new row has: `from: [new]`."),
    )
    guarded = any(PHOTO_GUARD in step.guards for step in workflow.transitions)
    steps.unless(
        not guarded or workflow.photos is not None,
        (f"条件“{PHOTO_GUARD}”需要 workflow 的 photos", f"guard {PHOTO_GUARD!r} needs `photos` in the workflow"),
        (
            "写明附件登记册和阶段：photos: {register: …, before: …, after: …}。",
            "Name register and phases: `photos: {register: …, before: …, after: …}`.",
        ),
    )
    reached = {step.target for step in workflow.transitions if step.sources - {step.target}}
    lost = [state for state in states if state not in reached]
    steps.unless(
        not lost,
        (f"没有流转通向状态“{''.join(lost[:1])}”", f"no transition leads to state {''.join(lost[:1])!r}"),
        ("加上一条，或删去这个状态。", "Add one, or delete the state."),
    )
    both = sorted(workflow.open_states & workflow.closed_states)
    table["closed"].unless(
        not both,
        (f"状态“{''.join(both[:1])}”既在办又办结", f"state {''.join(both[:1])!r} is both open and closed"),
        ("从其中一处删去。", "Delete it from one of the two."),
    )
