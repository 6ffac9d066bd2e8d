"""Which signs of a page this machine has no font for: a browser prints boxes for them and says nothing.

Asked of fontconfig (`fc-list`), as the browser does on Linux; other systems come with Chinese fonts.
"""

import re
import shutil
import subprocess
from collections.abc import Sequence

from portal.errors import PortalError

_CHINESE = re.compile("[\u2e80-\ud7ff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]")
_TAGS = re.compile(r"<style>.*?</style>|<[^>]*>", re.DOTALL)
_MOST_NAMED = 20  # signs in one message
_INSTALL_ZH = (
    "Debian、统信 UOS、麒麟：sudo apt install fonts-noto-cjk；"
    "openEuler、Fedora：sudo dnf install google-noto-sans-cjk-fonts"
)
_INSTALL_EN = "Debian: sudo apt install fonts-noto-cjk; Fedora: sudo dnf install google-noto-sans-cjk-fonts"


def require_chinese_font() -> None:
    """Raise PortalError, which says what to install, if this machine is known to have no Chinese font at all."""
    asker = shutil.which("fc-list")
    if asker is not None and not _fonts(asker, ":lang=zh"):
        raise PortalError(
            f"本机没有中文字体（fc-list :lang=zh 是空的），印出来全是方框，没有生成 PDF；先安装：{_INSTALL_ZH}",
            "no Chinese font here (fc-list :lang=zh is empty): all would be boxes, so no PDF was made; install one. "
            + _INSTALL_EN,
        )


def missing_signs(html: str) -> list[str]:
    """Return the Chinese signs of a page for which no font is installed; none where that cannot be known."""
    asker = shutil.which("fc-list")
    signs = sorted(set(_CHINESE.findall(_TAGS.sub(" ", html))))
    return [] if asker is None or not signs else _missing(asker, signs)


def missing_words(page: str, signs: Sequence[str]) -> tuple[str, str]:
    """Return the sentences about signs without a font, in Chinese and English."""
    named = "、".join(f"{sign}（U+{ord(sign):04X}）" for sign in signs[:_MOST_NAMED])
    more = "…" if len(signs) > _MOST_NAMED else ""
    return (
        f"{page}：本机字体里没有 {named}{more}，印出来是方框；可安装 fonts-noto-cjk-extra 或 fonts-hanazono 后再印",
        f"{page}: no font here has {named}{more}; they are printed as boxes. Install fonts-noto-cjk-extra or "
        "fonts-hanazono and print again",
    )


def _missing(asker: str, signs: Sequence[str]) -> list[str]:
    """Ask for a font with all of *signs*; without one, for each half."""
    if _fonts(asker, ":charset=" + " ".join(f"{ord(sign):x}" for sign in signs)):
        return []
    if len(signs) == 1:
        return list(signs)
    half = len(signs) // 2
    return _missing(asker, signs[:half]) + _missing(asker, signs[half:])


def _fonts(asker: str, pattern: str) -> str:
    done = subprocess.run([asker, pattern, "family"], capture_output=True, text=True, errors="replace", check=False)
    return done.stdout.strip()
