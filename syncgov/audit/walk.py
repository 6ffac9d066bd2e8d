"""One pass over the log: times, chains, coverage, verdicts, and the fold. Source: protocol page 6, 9, 11 and 12."""

from dataclasses import dataclass

from syncgov.audit.folder import Log
from syncgov.audit.memory_ledger import MemoryLedger
from syncgov.audit.report import Progress, Report
from syncgov.audit.verdicts import check_verdict
from syncgov.core.canonical import b64u
from syncgov.core.commitment import META_TABLE, Body, format_path, parse_path
from syncgov.core.erasure import erasures, is_covered, may_be_erased, standing_erasures
from syncgov.core.fold import ERASURES, FoldWrite, Slot, Withheld
from syncgov.core.public_log import PublicLeaf, hidden_slots
from syncgov.core.statement import Leaf, Statement, envelope_hash
from syncgov.core.succession import charter_document
from syncgov.core.trust import judge
from syncgov.core.trust_case import Beside, new_registrar

_EVERY = 500  # leaves between two reports of progress


@dataclass(slots=True)
class _Chain:
    """The end of a device's chain as the leaves so far say."""

    seq: int
    hash: str
    seen: int
    stopped: bool = False


class Walk:
    """Goes through the leaves in order; afterwards `ledger` holds the fold, `leaves` the public leaves."""

    def __init__(self, log: Log, report: Report) -> None:
        self.log = log
        self.report = report
        self.ledger = MemoryLedger(log.charters.of_log[0].raw, self._root_text)
        self.leaves = [public_leaf(log, index) for index in range(len(log.leaves))]
        self.hidden: dict[Slot, Withheld] = {}
        self._chains: dict[str, _Chain] = {}
        self._envelopes: set[str] = set()
        self._roots: dict[int, str] = {}
        self._received = 0
        self._judging = True

    def run(self, progress: Progress) -> None:
        """Check every leaf.

        Findings: received, floor, duplicate, chain, seen, certificate, missing, private, refused-disclosed, withheld,
        surplus, verdict, register, erasure.
        """
        self._find_hidden()
        for index, leaf in enumerate(self.log.leaves):
            self._step(index, leaf, self.log.body(index))
            if index % _EVERY == 0:
                progress("verdicts", index, len(self.leaves))
        progress("verdicts", len(self.leaves), len(self.leaves))
        if self._judging:
            self._check_erasures()
        self.report.counts["chains"] = len(self._chains)
        for index, name, error in self.ledger.unusable:
            zh, en = f"第 {index} 条：登记册 {name} 不能用：{error.zh}", f"leaf {index}: register {name}: {error.en}"
            self.report.add("register", zh, en, index=index)

    def _find_hidden(self) -> None:
        """Fold the rows that withhold before the rest: they themselves are never withheld."""
        self.hidden = hidden_slots(self.leaves, lambda _index: self.ledger.registers(0))

    def _step(self, index: int, leaf: Leaf, body: Body) -> None:
        st = leaf.changeset.statement
        self._check_times(index, leaf)
        refusal = self._check_chain(index, leaf)
        covered = self._check_coverage(index, leaf, body)
        if not covered and st.dev in self.log.charters.publics:
            self._stop_judging(index)
        folds = self._judging and self._judge(index, leaf, body, refusal)
        self._extend_chain(leaf)
        self.ledger.append(leaf, body, self._public_part(index, leaf) if folds else ())
        self.report.counts["accepted" if leaf.accepted else "refused"] += 1

    def _stop_judging(self, index: int) -> None:
        """Certificates or registers may be among what is missing: from here on nothing is judged or folded."""
        if self._judging:
            self._judging = False
            zh = f"第 {index} 条起没有核对裁定：登记终端的公开内容缺失"
            self.report.skip(zh, f"verdicts from leaf {index} on were not judged: a registrar's writes are missing")

    def _public_part(self, index: int, leaf: Leaf) -> list[FoldWrite]:
        disclosed = dict(self.leaves[index].writes)
        st = leaf.changeset.statement
        found = []
        for position in range(st.pub):
            if position in disclosed:
                found.append(FoldWrite(*disclosed[position]))
            elif (named := self.hidden.get((st.dot, position))) is not None:
                found.append(FoldWrite(named.path, named.value, named.over))
        return found

    # -- times and chains -------------------------------------------------------------------------------------------

    def _check_times(self, index: int, leaf: Leaf) -> None:
        """`received` never decreases; `floor` is that of the newest leaf seen."""
        if leaf.received < self._received:
            zh = f"第 {index} 条的收到时间早于前一条"
            self.report.add("received", zh, f"leaf {index} was received before the one before it", index=index)
        self._received = max(self._received, leaf.received)
        floor = self.ledger.floor(self.ledger.seen_size(leaf.changeset.statement))
        if leaf.floor != min(floor, leaf.received):
            zh = f"第 {index} 条的 floor 应为 {floor}，现为 {leaf.floor}"
            self.report.add("floor", zh, f"leaf {index}: floor is {leaf.floor}, must be {floor}", index=index)

    def _check_chain(self, index: int, leaf: Leaf) -> str | None:
        """Step 6 of intake: return the refusal that the chain demands, None if it demands none."""
        st, own = leaf.changeset.statement, leaf.changeset.envelope.hash
        if own in self._envelopes:
            zh = f"第 {index} 条的变更集已在日志里"
            self.report.add("duplicate", zh, f"leaf {index} repeats a changeset", index=index)
        self._envelopes.add(own)
        chain = self._chains.get(st.dev)
        if chain is not None and chain.stopped:
            return "refused:fork" if st.seq <= chain.seq else "refused:revoked"
        following = 1 if chain is None else chain.seq + 1
        if st.seq > following:
            zh = f"第 {index} 条：终端 {st.dev} 的第 {following} 号变更集不在日志里"
            self.report.add("chain", zh, f"leaf {index}: seq {following} of device {st.dev} is missing", index=index)
            return None
        if (st.seq, st.prev) != (following, self._enrolment(index, st.dev) if chain is None else chain.hash):
            return "refused:fork"
        return self._seen_refusal(index, st, 0 if chain is None else chain.seen)

    def _enrolment(self, index: int, dev: str) -> str | None:
        """A registrar that a new charter names begins with that charter, in the changeset that brings it."""
        body = self.log.body(index)
        document = charter_document(body)
        if document is not None and new_registrar(self.ledger.charters, body, index, dev) is not None:
            return self.ledger.charters.enrolment(dev) or envelope_hash(document)
        return self.ledger.enrolment(dev)

    def _seen_refusal(self, index: int, st: Statement, folded_before: int) -> str | None:
        size = self.ledger.seen_size(st)
        if not folded_before <= size <= index:
            return "refused:over"
        return None if size != st.seen.size or self._root_text(size) == st.seen.root else "refused:over"

    def _root_text(self, size: int) -> str | None:
        if size > self.log.tree.size:
            return None
        if size not in self._roots:
            self._roots[size] = b64u(self.log.tree.root(size))
        return self._roots[size]

    def _extend_chain(self, leaf: Leaf) -> None:
        st = leaf.changeset.statement
        chain = self._chains.get(st.dev)
        if leaf.verdict == "refused:fork":
            if chain is None:  # the first changeset of a device is a fork too if it does not follow its certificate
                chain = self._chains[st.dev] = _Chain(0, self.ledger.enrolment(st.dev) or "", 0)
            chain.stopped = True
            return
        if chain is None:
            chain = self._chains[st.dev] = _Chain(0, "", 0)
        chain.seq, chain.hash = st.seq, leaf.changeset.envelope.hash
        chain.seen = max(chain.seen, self.ledger.seen_size(st))

    # -- what must, and what must not, be disclosed -------------------------------------------------------------------

    def _check_coverage(self, index: int, leaf: Leaf, body: Body) -> bool:
        """Rules 1 to 3 of section 9; return whether all that can be known of the public writes is."""
        st = leaf.changeset.statement
        writes = dict(body.disclosed())
        for position in writes:
            if position >= st.pub:
                self._found(
                    "private", index, writes[position].path, "不该公开的内容被公开", "is disclosed but not public"
                )
        if index in self.log.bodies and not writes:
            self._found("surplus", index, None, "有公开行却没有公开内容", "has a disclosed line without a write")
        if not leaf.accepted:
            if self._judging:
                self._check_refused(index, body)
            return True
        missing = [p for p in range(st.pub) if p not in writes and (st.dot, p) not in self.hidden]
        if missing and index not in self.log.damaged:
            zh = f"第 {index} 条有 {len(missing)} 处公开内容既未公开，也未说明不予公开"
            en = f"leaf {index}: {len(missing)} public writes are neither disclosed nor withheld"
            self.report.add("missing", zh, en, index=index)
        self.report.counts["writes"] += len(writes)
        if self._judging:
            self._check_withheld(index, st, body)
        return not missing

    def _check_refused(self, index: int, body: Body) -> None:
        """Of a refused leaf only skeleton fields and the workflow's state group."""
        registers = self.ledger.registers(self.ledger.seen_size(self.log.leaves[index].changeset.statement))
        for position, write in body.disclosed():
            table, _key, field = parse_path(write.path)
            register = registers.get(table)
            workflow = register.workflow if register is not None else None
            allowed = (field.startswith("_") and table != META_TABLE) or (
                workflow is not None and workflow.field == field
            )
            if not allowed and position < self.log.leaves[index].changeset.statement.pub:
                zh, en = "是被退回的，却公开了这一处", "was refused, but discloses this"
                self._found("refused-disclosed", index, write.path, zh, en)

    def _check_withheld(self, index: int, st: Statement, body: Body) -> None:
        """A withheld write is not disclosed, is of public class, and stands where its path sorts.

        A row that names another write than the one in its place withholds nothing.
        """
        last = ""
        for position in range(st.pub):
            write, named = body.writes[position], self.hidden.get((st.dot, position))
            if write is not None:
                if named is not None and (named.path, named.over) == (write.path, write.over):
                    self._found(
                        "withheld", index, write.path, "已不予公开，却仍公开着", "is withheld but still disclosed"
                    )
                if write.path <= last:
                    self._found("withheld", index, last, "不可能是所说的那一处", "cannot be the write that is withheld")
                last = write.path
            elif named is not None:
                if named.path <= last or not self._may_be_hidden(index, named, body):
                    self._found("withheld", index, named.path, "不可能是所说的那一处", "cannot be what is withheld")
                kind = "erased" if named.table == ERASURES else "withheld"
                self.report.counts[kind] += 1
                self.report.hidden.append((kind, named.reason, named.path))
                last = named.path

    def _may_be_hidden(self, index: int, named: Withheld, body: Body) -> bool:
        """Whether a public write of this path may be withheld, or erased.

        The path of a hidden write is the operator's word. He cannot hide a whole row behind another name: its
        presence must show in the same changeset; nor a state, or anything else, behind a name that the device
        that signed could not have written. Only free text, and codes that may be sensitive, are ever
        withheld; what is erased may be any field but those that say what became of the record.
        """
        st = self.log.leaves[index].changeset.statement
        table, key, name = parse_path(named.path)
        register = self.ledger.registers(self.ledger.seen_size(st)).get(table)
        field = register.find(name) if register is not None else None
        certificate = self.ledger.certificate(st.dev, index)
        if register is None or field is None or certificate is None or field.klass != "public":
            return False
        if not (may_be_erased(register, field) if named.table == ERASURES else register.may_withhold(name)):
            return False
        shows = body.find(format_path(table, key, "_alive")) is not None
        return shows and bool(field.write & certificate.roles)

    def _check_erasures(self) -> None:
        """An erasure covers every write of its path: none that came before it, or without having seen it, is left.

        Findings: erasure.
        """
        found = erasures(self.ledger.state)
        self.report.counts["erasures"] = len(found)
        stands = standing_erasures(found, lambda one: self.ledger.place(one.slot[0], one.leaf))
        for public in self.leaves if stands else ():
            place = (public.index, self.ledger.seen_size(public.leaf.changeset.statement))
            for _position, write in public.writes:
                if public.leaf.accepted and is_covered(stands, write.path, place):
                    zh, en = "写在删除之前，却没有删除", "was written before its erasure, but is not erased"
                    self._found("erasure", public.index, write.path, zh, en)

    def _found(self, code: str, index: int, path: str | None, zh: str, en: str) -> None:
        table, key = parse_path(path)[:2] if path is not None else (None, None)
        where = "" if path is None else f" {path}"
        self.report.add(
            code, f"第 {index} 条{where}{zh}", f"leaf {index}{where} {en}", index=index, table=table, key=key, path=path
        )

    # -- verdicts -----------------------------------------------------------------------------------------------------

    def _judge(self, index: int, leaf: Leaf, body: Body, refusal: str | None) -> bool:
        """Compare the verdict; return whether the leaf may be folded: not if it was accepted against the rules."""
        st = leaf.changeset.statement
        if refusal is not None:
            return check_verdict(index, leaf, body, refusal, frozenset(), self.ledger, self.report)
        named = new_registrar(self.ledger.charters, body, index, st.dev)
        if named is None and self.ledger.certificate(st.dev, index) is None:
            zh = f"第 {index} 条：终端 {st.dev} 当时没有证书"
            self.report.add("certificate", zh, f"leaf {index}: device {st.dev} had no certificate", index=index)
            return False
        second = leaf.changeset.second
        judged = judge(st, body, received=leaf.received, index=index, ledger=self.ledger, beside=Beside(second))
        return check_verdict(index, leaf, body, judged.verdict, judged.declared, self.ledger, self.report)


def public_leaf(log: Log, index: int) -> PublicLeaf:
    """Return the leaf with its disclosed public writes."""
    leaf, body = log.leaves[index], log.bodies.get(index)
    pub = leaf.changeset.statement.pub
    writes = () if body is None else tuple((p, w) for p, w in body.disclosed() if p < pub)
    return PublicLeaf(index, leaf, writes)
