"""Fetches and unpacks Debian packages: fetch.py LIST FOLDER. A line of the list is a SHA-256 and a path in Debian's archive.

No package manager is asked, so nobody needs to be root. The archive is the one of DEBIAN_MIRROR, or else the one that apt
uses on this machine. Nothing is unpacked before its checksum was compared.
"""

import glob
import hashlib
import io
import os
import re
import sys
import tarfile
import urllib.request

# The half of libstd-rust-dev-wasm32 that no module is built with.
LEFT_OUT = "/rustlib/wasm32-unknown-unknown/"


def archive():
    """The first archive of Debian itself in apt's sources, of either form."""
    if os.environ.get("DEBIAN_MIRROR"):
        return os.environ["DEBIAN_MIRROR"].rstrip("/")
    for name in sorted(glob.glob("/etc/apt/sources.list*") + glob.glob("/etc/apt/sources.list.d/*")):
        if os.path.isfile(name):
            with open(name, encoding="utf-8") as source:
                found = re.search(r"^(?:URIs:|deb .*?)\s*(https?://\S+/debian)/?(?:\s|$)", source.read(), re.MULTILINE)
            if found:
                return found[1]
    raise SystemExit("apt's sources name no archive of Debian; set DEBIAN_MIRROR to the address of one")


def fetch(address, want):
    try:
        with urllib.request.urlopen(address, timeout=60) as answer:
            content = answer.read()
    except OSError as error:
        raise SystemExit(f"{address}: {error}") from error
    got = hashlib.sha256(content).hexdigest()
    if got != want:
        raise SystemExit(f"{address} has the SHA-256 {got}, but {want} was expected; was the file changed?")
    return content


def data_of_package(content):
    """A Debian package is an ar archive: after 8 bytes, each file has a head of 60 bytes and an even size."""
    at = 8
    while at < len(content):
        name, size = content[at : at + 16].decode().strip().rstrip("/"), int(content[at + 48 : at + 58])
        if name.startswith("data.tar"):
            return content[at + 60 : at + 60 + size]
        at += 60 + size + size % 2
    raise SystemExit("a Debian package without data")


def unpack(content, folder):
    with tarfile.open(fileobj=io.BytesIO(content)) as package:
        for member in package:
            if LEFT_OUT not in member.name and "/share/" not in member.name:
                package.extract(member, folder)


def main(listed, folder):
    base = archive()
    with open(listed, encoding="utf-8") as lines:
        for line in lines:
            if line.strip() and not line.startswith("#"):
                want, path = line.split()
                unpack(data_of_package(fetch(f"{base}/{path}", want)), folder)


if __name__ == "__main__":
    main(*sys.argv[1:])
