"""The page that a web server shows for an address that does not exist. It may be shown at any depth of the site."""

from portal import pages, text
from portal.site import Site

# The folder of the portal has this name in every published folder, wherever that lies on the host.
_FIND_HOME = (
    'document.getElementById("home").href = location.pathname.replace(/\\/portal\\/.*$/, "/portal/") + "index.html";'
    'if (location.pathname.indexOf("/portal/") < 0) document.getElementById("home").href = "/";'
)
_STYLE = (
    'body{font:1.06em/1.75 "PingFang SC","Microsoft YaHei","Noto Sans CJK SC","WenQuanYi Micro Hei",sans-serif;'
    "color:#222;background:#fff;max-width:34em;margin:0 auto;padding:1em}"
    "a{color:#14508c}h1{font-size:1.6em}.sg-notice{background:#8a1f11;color:#fff;padding:.4em .8em}"
    "@media (prefers-color-scheme:dark){body{color:#eee;background:#161c26}a{color:#8fc1f5}}"
)


def not_found(site: Site) -> str:
    """Return the whole page; nothing is loaded, because no address of another file is sure there."""
    name, as_of = text.esc(pages.name(site)), text.esc(site.as_of)
    notice = f'<p class="sg-notice" role="note">{pages.SIMULATED}</p>\n' if site.meta.get("simulated") == "1" else ""
    home = f"{site.address.rstrip('/')}/index.html" if site.address else "index.html"
    script = "" if site.address else f"<script>{_FIND_HOME}</script>\n"
    return (
        '<!doctype html>\n<html lang="zh-CN">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<meta name="robots" content="noindex">\n'
        f"<title>没有这一页 - {name}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<main>\n{notice}<h1>没有这一页</h1>\n<p>地址可能写错了，或者这一页已经搬走、删除。公开的记录删除以后，"
        "“不予公开的内容”一页会写明删了什么、为什么。</p>\n"
        f'<p>请从<a id="home" href="{text.attribute(home)}">首页</a>重新进入，'
        "或者在首页的查找框里写编号、地点或几个字。</p>\n"
        f"<p>{name}，{as_of}。</p>\n</main>\n{script}</body>\n</html>\n"
    )
