"""The page of a register's workflow: a diagram, and the same moves as a table."""

from collections.abc import Iterator

from portal import diagrams, drawing, markup, text, words
from portal.markup import Page
from portal.model import Flow, Move, Register
from portal.site import Site


def flow_path(register: Register) -> str:
    """Return the path of the workflow's page, without its ending."""
    return f"r/{register.name}/flow"


def flow_pages(site: Site) -> Iterator[Page]:
    """Yield a page for each listed register with a workflow."""
    for register in site.listed:
        if register.flow is not None and register.flow.moves:
            yield _flow_page(site, register, register.flow)


def flow_link(page: str, register: Register) -> str:
    """Return the link to a register's workflow, "" where it has none."""
    if register.flow is None or not register.flow.moves:
        return ""
    return markup.link(page, flow_path(register) + ".html", "办理流程图")


def _flow_page(site: Site, register: Register, flow: Flow) -> Page:
    path = f"{flow_path(register)}.md"
    title = f"{register.layout.nav}：办理流程"
    back = markup.link(path, site.list_path(register) + ".html", f"← {register.layout.nav}", "sg-back")
    intro = "流程写在登记册的声明里，图和表都由它生成；系统按同一份声明检查每一步，不合流程的写入会被退回。"
    lines = [[text.esc(cell) for cell in _line(site, flow, move)] for move in flow.moves]
    table = markup.table(["怎么办", "从", "到", "谁可以办", "要有"], lines, "sg-table sg-narrow")
    body = markup.sections(back, intro, drawing.beside(diagrams.workflow(flow, "flow", title), table))
    return Page(path, title, body, toc=False)


def _line(site: Site, flow: Flow, move: Move) -> tuple[str, ...]:
    sources = [words.NEW if source == "new" else flow.states.get(source, source) for source in move.sources]
    return (
        move.name,
        "、".join(sources) or "任何状态",
        flow.states.get(move.target, move.target),
        "、".join(site.role(role) for role in move.roles),
        "、".join(words.guard(code) for code in move.guards) or text.NOTHING,
    )
