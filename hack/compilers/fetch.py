"""Fetches and unpacks what a list names: fetch.py LIST FOLDER. A line of the list is a SHA-256 and an address.

Debian packages and Rust crates are unpacked side by side, whatever the machine's own package manager is. Nothing is
unpacked before its checksum was compared.
"""

import hashlib
import io
import sys
import tarfile
import urllib.request

# The half of libstd-rust-dev-wasm32 that no module is built with.
LEFT_OUT = "/rustlib/wasm32-unknown-unknown/"


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
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for member in archive:
            if LEFT_OUT not in member.name and "/share/" not in member.name:
                archive.extract(member, folder)


def main(listed, folder):
    with open(listed, encoding="utf-8") as lines:
        for line in lines:
            if line.strip() and not line.startswith("#"):
                want, address = line.split()
                content = fetch(address, want)
                unpack(data_of_package(content) if address.endswith(".deb") else content, folder)


if __name__ == "__main__":
    main(*sys.argv[1:])
