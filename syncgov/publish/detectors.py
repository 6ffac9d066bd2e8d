"""What must not stand in a text for the public: identity numbers, telephones, plates, homes, names, illness, minors.

A hit is a question to a person, not a verdict: the text is withheld until somebody approves it.
"""

import re
import unicodedata
from collections.abc import Callable, Collection, Mapping

MIN_KNOWN_LENGTH = 2  # characters: shorter names and phones stand in every text by chance
_SURNAMES = (
    "王李张刘陈杨黄赵周吴徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈姚卢姜崔"
    "钟谭陆汪范金石廖贾夏韦付方白邹孟熊秦邱江尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵万钱严覃武戴莫孔向汤"
)
_PROVINCES = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"
_MONTH_DAY = r"(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"

_ID18 = re.compile(r"(?<!\d)\d{6}\s?\d{8}\s?\d{3}[\dXx](?![\dXx])")
_ID18_SHAPE = re.compile(rf"[1-9]\d{{5}}(?:18|19|20)\d\d{_MONTH_DAY}\d{{3}}[\dX]")
_ID15 = re.compile(rf"(?<!\d)[1-9]\d{{7}}{_MONTH_DAY}\d{{3}}(?!\d)")
_CARD = re.compile(r"(?<!\d)\d{4}[\s-]?\d{4}[\s-]?\d{4}[\s-]?\d{4}(?:[\s-]?\d{1,3})?(?!\d)")
_ID_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


def _id_number(text: str) -> bool:
    for match in _ID18.finditer(text):
        digits = re.sub(r"\s", "", match.group()).upper()
        total = sum(weight * int(digit) for weight, digit in zip(_ID_WEIGHTS, digits, strict=False))
        if "10X98765432"[total % 11] == digits[17] or _ID18_SHAPE.fullmatch(digits):
            return True
    return _ID15.search(text) is not None


def _bank_card(text: str) -> bool:
    return any(_luhn(re.sub(r"\D", "", match.group())) for match in _CARD.finditer(text))


def _luhn(digits: str) -> bool:
    doubled = (int(d) * (1 + i % 2) for i, d in enumerate(reversed(digits)))
    return sum(n - 9 if n > 9 else n for n in doubled) % 10 == 0


def _pattern(*parts: str) -> Callable[[str], bool]:
    compiled = re.compile("|".join(parts), re.IGNORECASE)
    return lambda text: compiled.search(text) is not None


DETECTORS: Mapping[str, Callable[[str], bool]] = {
    "id_number": _id_number,
    "bank_card": _bank_card,
    "phone": _pattern(
        r"(?<!\d)(?:\+?86[\s-]?)?1[3-9]\d[\s-]?\d{4}[\s-]?\d{4}(?!\d)",
        r"(?<!\d)0\d{2,3}[\s)-]{0,2}\d{3,4}[\s-]?\d{4}(?!\d)",
        r"(?:电话|座机|手机|微信|QQ)\D{0,4}\d{6,12}(?!\d)",
    ),
    "plate": _pattern(rf"[{_PROVINCES}][A-Z][·•.\s]?[A-HJ-NP-Z0-9]{{4,5}}[A-HJ-NP-Z0-9挂学警港澳](?![A-Z0-9])"),
    "email": _pattern(r"[A-Z0-9._%+-]+@[A-Z0-9-]+(?:\.[A-Z0-9-]+)*\.[A-Z]{2,}"),
    "address": _pattern(
        r"(?:单元|号楼|栋|幢|座|楼)\s?-?\d{3,4}(?:室|号|房|户)?(?!\d)",
        r"(?<!\d)\d{3,4}室",
        r"(?<![\d-])\d{1,3}-\d{1,2}-\d{3,4}(?![\d-])",
    ),
    "minor": _pattern(
        rf"(?:学生|儿童|孩子|小孩|男孩|女孩|未成年人)(?:名叫|叫做|叫|姓名[:：]?)\s?[{_SURNAMES}]",
        rf"(?:学生|儿童|孩子|小孩|男孩|女孩|未成年人)[{_SURNAMES}][某XxＸ×*]",
        rf"[{_SURNAMES}]\w{{0,2}}(?:同学|小朋友)",
    ),
    "illness": _pattern(
        "艾滋|HIV|乙肝|丙肝|肺结核|梅毒|精神分裂|精神病|抑郁症|双相情感|癫痫|癌症|[胃肝肺肠乳]癌|肿瘤|白血病|尿毒症|透析",
        "残疾证|智力残疾|精神残疾|吸毒|戒毒|孕检|流产|不孕",
    ),
}


def find_sensitive(text: str, known: Collection[str] = ()) -> tuple[str, ...]:
    """Return the names of the detectors that *text* sets off.

    Args:
        known: private strings of the same record, such as the name of the person who reported it.
    """
    plain = _normal(text)
    found = [name for name, detect in DETECTORS.items() if detect(plain)]
    names = (_normal(each) for each in known)
    if any(len(name) >= MIN_KNOWN_LENGTH and name in plain for name in names):
        found.append("known")
    return tuple(found)


def _normal(text: str) -> str:
    """Return *text* with full-width digits and letters made plain, dashes made one, invisible characters dropped."""
    plain = unicodedata.normalize("NFKC", text)
    plain = re.sub(r"[‐‑‒–—―−]", "-", plain)
    return "".join(sign for sign in plain if unicodedata.category(sign) != "Cf").strip()
