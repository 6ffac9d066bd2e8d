"""What must not stand in a text for the public: identity numbers, telephones, plates, homes, names, illness, minors.

A hit is a question to a person, not a verdict: the text is withheld until somebody approves it. How good the detectors
are is measured on `tests/publish/labelled.csv` and told on the page `review.md`.
"""

import re
import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from syncgov.publish.lexicon import (
    CASE,
    CHILD,
    ILLNESS,
    INFORMATION,
    OFFICE,
    PATIENT,
    PROVINCES,
    SURNAMES,
    TITLES,
    WORDS,
)

MIN_KNOWN_LENGTH = 2  # characters: shorter names stand in every text by chance
MIN_KNOWN_DIGITS = 7  # a telephone without its area code
_BEFORE, _AFTER = 14, 8  # characters around a match that say what it is

LABELS: Mapping[str, tuple[str, str]] = {
    "id18": ("身份证号", "identity number"),
    "id15": ("旧身份证号", "old identity number"),
    "bank_card": ("银行卡号", "bank card"),
    "mobile": ("手机号", "mobile phone"),
    "landline": ("固定电话", "telephone"),
    "account": ("网络账号", "chat account"),
    "plate": ("车牌号", "number plate"),
    "email": ("电子邮箱", "e-mail address"),
    "address": ("门牌室号", "home address"),
    "minor": ("未成年人", "minor"),
    "illness": ("病情", "illness"),
    "person": ("人名", "name of a person"),
    "roster": ("人员名单", "list of names"),
    "known": ("本记录的联系人信息", "of the record's own contact"),
}


@dataclass(frozen=True, slots=True)
class Match:
    """A part of a text that a detector stopped at; `text` is that part with full width made plain."""

    detector: str
    start: int
    end: int
    text: str


Span = tuple[int, int]

_CODE_CUE = re.compile(
    r"(?:编号|单号|文号|案号|票号|工号|凭证号?|流水号|序号|合同|代码|批次|条码|税号|项目号|设备号|表号|标段)[^,。;]{0,4}$"
)
_ID18 = re.compile(r"(?<![\dA-Za-z])\d(?:[\s-]?\d){16}[\s-]?[\dXx](?![\dXx])")
_DATE = re.compile(r"(?:18|19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])")
_ID_MASKED = re.compile(r"(?<!\d)\d{3,14}[*×]{4,12}\d{2,4}[\dXx](?![\dXx])")
_ID15 = re.compile(r"(?<![\dA-Za-z])[1-9]\d{7}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}(?!\d)")
_CARD = re.compile(r"(?<!\d)\d{4}[\s-]?\d{4}[\s-]?\d{4}[\s-]?\d{4}(?:[\s-]?\d{1,3})?(?!\d)")
_ACCOUNT_CUE = re.compile(r"(?:银行卡|卡号|账号|帐号|账户|存折|一卡通)[^\d,。;]{0,8}(\d(?:[\s-]?\d){9,24})(?!\d)")
_MOBILE = re.compile(
    r"(?<![\d.])(?:\+?86[\s-]?)?1(?:[3-9]\d(?:[\s.-]?\d{4}[\s.-]?\d{4}|[\s-]?\d{3}[\s-]?\d{5}|[*×]{4}\d{4})"
    r"|\s[3-9](?:\s\d){9})(?![\d%])"
)
_LANDLINE = re.compile(
    r"(?<![\d.])(?<!\d[\s-])(?:\+?86[\s-]?)?\(?0\d{2,3}\)?[\s-]{0,2}\d{3,4}[\s-]?\d{4}(?:[\s转-]{1,2}\d{1,5})?(?!\d)"
)
_LOCAL = re.compile(
    r"(?:电话|座机|手机|致电|拨打|热线|联系方式|来电|号码)[^\d,。;]{0,6}(\d{3,4}[\s-]?\d{4})(?![\s-]?[\d元件人户次度吨年.])"
)
_SERVICE = re.compile(r"(?:400|800)\d{7}|9[56]\d{3,6}|1\d{2,4}")
_DASHES = frozenset("‐‑‒–—―−")
_CHINESE_DIGITS = re.compile(r"[〇零一二三四五六七八九幺]{7,}")
_TO_DIGITS = str.maketrans("〇零一二三四五六七八九幺", "001234567891")
_ID_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_OFFICE = re.compile(OFFICE)
_PATIENT = re.compile(PATIENT)
_INFORMATION = re.compile(INFORMATION)
_HOME = re.compile("单元|号楼|栋|幢|家住|住址|住在|家中")
_SURNAME = rf"(?!{WORDS})[{SURNAMES}]"
_NAME = rf"{_SURNAME}[一-鿿]{{1,2}}"

_AFTER_A_NAME = (
    "今年|的|在|被|因|系|就读|走失|失踪|落水|受伤|溺|未|已|独自"
    "|由|和|与|从|向|疑似|多次|放学|上学|不慎|遭|意外|有|无|父母|家"
)
_SPEAKS = "每|按|搬|因|反映|称|来电|要求|身份证|手机|电话|患|住|投诉|举报|申请|表示|家|每月|同意|不|对|到|提出|拒"


def _digits(text: str) -> str:
    return re.sub(r"\D", "", text)


def _is_code(text: str, start: int) -> bool:
    """Whether the words before say that a number counts things, not people."""
    return _CODE_CUE.search(text[max(0, start - _BEFORE) : start]) is not None


def _id18(text: str) -> Iterator[Span]:
    for match in _ID18.finditer(text):
        number = re.sub(r"[\s-]", "", match.group()).upper()
        if not _DATE.fullmatch(number[6:14]):
            continue
        total = sum(weight * int(digit) for weight, digit in zip(_ID_WEIGHTS, number, strict=False))
        # a mistyped number still names somebody; one that is called a code and fails its check does not
        if "10X98765432"[total % 11] == number[17] or not _is_code(text, match.start()):
            yield match.span()
    for match in _ID_MASKED.finditer(text):
        if not _MOBILE.fullmatch(match.group()):
            yield match.span()


def _id15(text: str) -> Iterator[Span]:
    for match in _ID15.finditer(text):
        if not _is_code(text, match.start()):
            yield match.span()


def _bank_card(text: str) -> Iterator[Span]:
    persons = list(_id18(text))
    for match in _CARD.finditer(text):
        inside = any(start <= match.start() < end for start, end in persons)
        if not inside and _luhn(_digits(match.group())) and not _is_code(text, match.start()):
            yield match.span()
    for match in _ACCOUNT_CUE.finditer(text):
        yield match.span(1)


def _luhn(digits: str) -> bool:
    doubled = (int(d) * (1 + i % 2) for i, d in enumerate(reversed(digits)))
    return sum(n - 9 if n > 9 else n for n in doubled) % 10 == 0


def _landline(text: str) -> Iterator[Span]:
    for match in _LANDLINE.finditer(text):
        if not _is_code(text, match.start()):
            yield match.span()
    for match in _LOCAL.finditer(text):
        if not _SERVICE.fullmatch(_digits(match.group(1))):
            yield match.span(1)


def _address(text: str) -> Iterator[Span]:
    for match in _ADDRESS.finditer(text):
        around = text[max(0, match.start() - _BEFORE) : match.end() + _AFTER]
        if not _OFFICE.search(around) or _HOME.search(around):
            yield match.span()


def _illness(text: str) -> Iterator[Span]:
    """Yield illnesses, those left out that only lectures and campaigns are about."""
    for match in _ILLNESS.finditer(text):
        start = max(text.rfind(sign, 0, match.start()) for sign in "。;!?\n") + 1
        ends = [at for sign in "。;!?\n" if (at := text.find(sign, match.end())) >= 0]
        sentence = text[start : min(ends, default=len(text))]
        if _PATIENT.search(sentence) or not _INFORMATION.search(sentence):
            yield match.span()


def _pattern(*parts: str) -> Callable[[str], Iterator[Span]]:
    compiled = re.compile("|".join(parts), re.IGNORECASE)
    return lambda text: (match.span() for match in compiled.finditer(text))


_ILLNESS = re.compile(ILLNESS, re.IGNORECASE)
_ADDRESS = re.compile(
    "|".join(
        (
            r"单元\s?-?\d{3,4}(?:室|号|房|户)?(?![\d年元米平个人次件盏万%.])",
            r"(?:号楼|栋|幢|座|楼|\d#)\s?-?\d{3,4}(?:室|房)?(?![\d年元米平个人次件盏户万%.月余多])",
            r"(?:单元|号楼|栋|幢|楼)[〇零一二三四五六七八九]{3,4}(?:室|号|房)?(?![〇零一二三四五六七八九十百])",
            r"(?<!\d)\d{3,4}室|[〇零一二三四五六七八九]{3,4}室",
            r"(?<![\d-])\d{1,3}-\d{1,2}-\d{3,4}(?![\d-])",
            r"(?<!\d)\d{3,4}(?:业主|房东|租客|户主|房主)",
            r"(?:家住|住在|住址|现住|租住|居住于|户籍地|家庭地址|住宅)[^,。;]{0,24}?\d{1,4}(?:号(?!楼|路|线|院)|室|-\d)",
        )
    )
)

DETECTORS: Mapping[str, Callable[[str], Iterator[Span]]] = {
    "id18": _id18,
    "id15": _id15,
    "bank_card": _bank_card,
    "mobile": lambda text: (match.span() for match in _MOBILE.finditer(text)),
    "landline": _landline,
    "account": _pattern(
        r"(?:微信号?|wx|vx|薇信|QQ号?|支付宝|抖音号?|快手号?)(?!群|公众号|小程序)[^\w,。;]{0,3}(?:是|为|账号)?[^\w,。;]{0,3}[A-Z0-9_-]{5,20}"
    ),
    "plate": _pattern(rf"[{PROVINCES}][A-Z][·•.\s-]?[A-HJ-NP-Z0-9]{{4,5}}[A-HJ-NP-Z0-9挂学警港澳](?![A-Z0-9])"),
    "email": _pattern(r"(?<![A-Z0-9._%+-])[A-Z0-9._%+-]{1,64}@[A-Z0-9-]{1,63}(?:\.[A-Z0-9-]+)*\.[A-Z]{2,}"),
    "address": _address,
    "minor": _pattern(
        rf"(?:{CHILD})(?:名叫|叫做|叫|姓名[::]?|是)\s?{_SURNAME}[\w*×]",
        rf"(?:{CHILD})[\s::(]{{0,2}}[{SURNAMES}][某*×X]",
        rf"(?:{CHILD})[\s::(]{{0,2}}{_NAME}(?=[,。;、()\s]|{_AFTER_A_NAME}|\d|$)",
        rf"{_SURNAME}[一-鿿某*×]{{0,2}}(?:同学|小朋友)",
        rf"{_SURNAME}[一-鿿某*×]{{1,2}}[\s,(]{{0,2}}(?:[男女][童孩]?[\s,]{{0,2}})?(?<!\d)(?:[1-9]|1[0-7])周?岁",
        rf"(?<!\d)(?:[1-9]|1[0-7])周?岁的?(?:{CHILD})?{_SURNAME}[一-鿿某*×]",
        r"[一二三四五六七八九]年级\s?\(?[一二三四五六七八九十\d]{1,2}\)?班",
    ),
    "illness": _illness,
    "person": _pattern(
        rf"(?:{CASE})[\s::(]{{0,2}}{_SURNAME}(?![一-鿿]?(?:{TITLES}))[一-鿿]{{1,2}}(?=[,。;、()\s]|{_AFTER_A_NAME}|{_SPEAKS}|\d|$)"
    ),
    "roster": _pattern(rf"(?<![一-鿿]){_NAME}(?:[、,\s]{{1,2}}{_NAME}(?![一-鿿])){{2,}}"),
}
_OFFICIAL = frozenset({"mobile", "landline", "account", "email", "id15", "bank_card"})


def find_matches(text: str, known: Collection[str] = (), official: Collection[str] = ()) -> tuple[Match, ...]:
    """Return what the detectors stop at in *text*, in the order of the text.

    Args:
        known: private strings of the same record, such as the name of the person who reported it.
        official: telephones, e-mail addresses and codes that registers declare; they are no hits.
    """
    plain, places = _plain(text)
    exempt = _exempt(frozenset(official))
    found = [
        (name, start, end)
        for name, detect in DETECTORS.items()
        for start, end in detect(plain)
        if not (name in _OFFICIAL and _is_official(plain[start:end], exempt))
    ]
    found += [("known", start, end) for start, end in _known(plain, known)]
    matches = {Match(name, places[start], places[end - 1] + 1, plain[start:end]) for name, start, end in found}
    return tuple(sorted(matches, key=lambda match: (match.start, match.end, match.detector)))


@lru_cache(maxsize=4)  # a publication asks with the same ones for every text, and a county declares thousands
def _exempt(official: frozenset[str]) -> frozenset[str]:
    return frozenset(official_form(each) for each in official)


def find_sensitive(text: str, known: Collection[str] = (), official: Collection[str] = ()) -> tuple[str, ...]:
    """Return the names of the detectors that *text* sets off; see `find_matches`."""
    hit = {match.detector for match in find_matches(text, known, official)}
    return tuple(name for name in LABELS if name in hit)


def official_form(text: str) -> str:
    """Return *text* as two spellings of one official number or address are compared."""
    plain = normal(text).lower()
    return plain if "@" in plain else _digits(plain)


def _is_official(part: str, exempt: Collection[str]) -> bool:
    form = official_form(part)
    if form in exempt:
        return True
    bare = form.removeprefix("86")
    # a number is also given without its area code
    return len(bare) >= MIN_KNOWN_DIGITS and any(each.endswith(bare) and each[:1] in "01" for each in exempt if each)


def _known(plain: str, known: Collection[str]) -> Iterator[Span]:
    for each in known:
        name = normal(each)
        digits = _digits(name)
        if len(digits) >= MIN_KNOWN_DIGITS and re.fullmatch(r"[\d\s()+-]+", name):
            pattern = r"[\s()-]{0,2}".join(digits)
        elif len(name) >= MIN_KNOWN_LENGTH:
            spaced = "" if name.isascii() else r"\s?"
            pattern = spaced.join(re.escape(sign) for sign in (name if name.isascii() else re.sub(r"\s", "", name)))
        else:
            continue
        yield from (match.span() for match in re.finditer(pattern, plain))


def normal(text: str) -> str:
    """Return *text* with full width made plain, one kind of dash, Chinese digits as digits, no invisible signs."""
    return _plain(text)[0].strip()


def _plain(text: str) -> tuple[str, list[int]]:
    """Return *text* in normal form, and for each of its characters where in *text* it stood."""
    signs: list[str] = []
    places: list[int] = []
    for place, sign in enumerate(text):
        for part in unicodedata.normalize("NFKC", sign):
            if unicodedata.category(part) != "Cf":
                signs.append("-" if part in _DASHES else part)
                places.append(place)
    return _CHINESE_DIGITS.sub(lambda run: run.group().translate(_TO_DIGITS), "".join(signs)), places
