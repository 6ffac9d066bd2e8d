"""The entry for a data catalogue (DCAT, JSON-LD) and the licence that goes with the files."""

from collections.abc import Iterator, Mapping
from typing import Any

# DCAT-AP asks for IRIs of the EU's lists here; plain media types are what everybody reads.
_CSV, _JSON, _SQLITE = "text/csv", "application/json", "application/vnd.sqlite3"
_CONTEXT = {
    "dcat": "http://www.w3.org/ns/dcat#",
    "dct": "http://purl.org/dc/terms/",
    "foaf": "http://xmlns.com/foaf/0.1/",
    "spdx": "http://spdx.org/rdf/terms#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}


def catalogue(package: Mapping[str, Any], meta: Mapping[str, str]) -> dict[str, Any]:
    """Return one dataset with a distribution for each file, as DCAT 2; addresses are relative to the file itself.

    Args:
        package: datapackage.json. meta: table `meta`.
    """
    licence = {"@id": package["licenses"][0]["path"]}
    publisher = {"@type": "foaf:Agent", "foaf:name": meta["name"]}
    return {
        "@context": _CONTEXT,
        "@id": "",
        "@type": "dcat:Dataset",
        "dct:title": {"@value": package["title"], "@language": "zh"},
        "dct:description": {"@value": package["description"], "@language": "zh"},
        "dct:identifier": meta["origin"],
        "dct:publisher": publisher,
        "dct:license": licence,
        "dct:language": {"@id": "http://id.loc.gov/vocabulary/iso639-1/zh"},
        "dct:modified": {"@value": meta["as_of"], "@type": "xsd:dateTime"},
        "dcat:keyword": [{"@value": each["title"], "@language": "zh"} for each in package["resources"]],
        "dcat:landingPage": {"@id": "../portal/data.html"},
        "dcat:distribution": [{**each, "dct:license": licence} for each in _distributions(package)],
    }


def _distributions(package: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    yield _distribution("公开库（SQLite）", "../public.db", _SQLITE)
    yield _distribution("数据包描述", "datapackage.json", _JSON)
    for each in package["resources"]:
        checksum = {"@type": "spdx:Checksum", "spdx:algorithm": {"@id": "spdx:checksumAlgorithm_sha256"}}
        checksum |= {"spdx:checksumValue": each["hash"].removeprefix("sha256:")}
        told = _distribution(f"{each['title']}（CSV）", each["path"], _CSV)
        yield told | {"dcat:byteSize": each["bytes"], "spdx:checksum": checksum}
        yield _distribution(f"{each['title']}（CSV，供表格软件）", f"excel/{each['path']}", _CSV)
        yield _distribution(f"{each['title']}（JSON）", each["path"].removesuffix(".csv") + ".json", _JSON)


def _distribution(title: str, path: str, media_type: str) -> dict[str, Any]:
    return {
        "@type": "dcat:Distribution",
        "dct:title": {"@value": title, "@language": "zh"},
        "dcat:accessURL": {"@id": path},
        "dcat:downloadURL": {"@id": path},
        "dcat:mediaType": media_type,
    }


def licence_text(metadata: Mapping[str, Any], meta: Mapping[str, str]) -> str:
    """Return what one may do with the data, in Chinese and in English."""
    name, url = metadata["license"], metadata["license_url"]
    simulated = "本数据是演示数据，由程序模拟生成。\nThese are simulated demonstration data.\n\n" * (
        meta["simulated"] == "1"
    )
    return (
        f"{metadata['title']}\n\n{simulated}"
        f"许可：{name}\n{url}\n\n"
        f"可以自由复制、传播、改编，包括商业使用；须注明来源“{meta['name']}”和数据的截至时间，并说明是否作了改动。\n"
        "\n"
        f"Licence: {name}. You may copy, share and adapt the data, also commercially, if you name the source\n"
        f"({meta['name']}) and the time as of which they are, and say what you changed.\n"
    )
