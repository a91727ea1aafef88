r"""The digest of a plain artifact: of the file, or of the list of a folder's files. Pure.

A folder's digest is that of what GNU coreutils print, so that nobody needs this program to check it:
    (cd FOLDER && find . -type f -printf '%P\0' | LC_ALL=C sort -z | xargs -0 sha256sum) | sha256sum
"""

from __future__ import annotations

from collections.abc import Mapping

from verticalmodel.seal.manifest import digest

__all__ = ["folder_digest"]


def folder_digest(files: Mapping[str, str]) -> str:
    """`sha256:<hex>` of a folder, from the hexadecimal SHA-256 of each file by its path within."""
    ordered = sorted(files.items(), key=lambda item: item[0].encode())
    return digest("".join(f"{value}  {path}\n" for path, value in ordered).encode())
