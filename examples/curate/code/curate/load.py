"""Finds the documents and reads them."""

import re
import sysconfig
from pathlib import Path

import cosmos_xenna.pipelines.v1 as px

from curate.document import Document


def documents(limit: int = 0) -> list[str]:
    """Paths of all copyright and licence files: Debian's packages, its common licences, installed Python packages.

    Args:
        limit: Take at most so many; 0 takes all.
    """
    site = Path(sysconfig.get_paths()["purelib"])
    found: list[Path] = [
        *sorted(Path("/usr/share/common-licenses").glob("*")),
        *sorted(Path("/usr/share/doc").glob("*/copyright")),
        *sorted(site.glob("*.dist-info/**/LICEN[CS]E*")),
        *sorted(site.glob("*.dist-info/**/COPYING*")),
        *sorted(site.glob("*.dist-info/**/NOTICE*")),
    ]
    seen: set[Path] = set()
    paths = []
    for path in found:
        real = path.resolve()  # Debian links some packages' documentation to another's
        if real.is_file() and real not in seen:
            seen.add(real)
            paths.append(str(path))
    print(f"found {len(paths)} documents")
    return paths[:limit] if limit else paths


class Load(px.Stage):
    """Reads a file as text and normalises its white space."""

    @property
    def stage_batch_size(self) -> int:
        return 8

    @property
    def required_resources(self) -> px.Resources:
        return px.Resources(cpus=0.2)

    def process_data(self, in_data: list[str]) -> list[Document]:
        out = [_read(Path(path)) for path in in_data]
        kib = sum(len(d["text"]) for d in out) / 1024
        print(f"read {len(out)} documents, {kib:.0f} KiB: {out[0]['id']} … {out[-1]['id']}")
        return out


def _read(path: Path) -> Document:
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")  # older copyright files
    text = re.sub(r"[ \t]+", " ", text.replace("\r\n", "\n"))
    text = re.sub(r"\n{3,}", "\n\n", text).strip()
    return {"id": _name(path), "path": str(path), "text": text}


def _name(path: Path) -> str:
    if path.name == "copyright":
        return f"debian/{path.parent.name}"
    for parent in path.parents:
        if parent.name.endswith(".dist-info"):
            return f"python/{parent.name.removesuffix('.dist-info')}/{path.name}"
    return f"common/{path.name}"
