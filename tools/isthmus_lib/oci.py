# SPDX-License-Identifier: MIT
"""Reads a folder with an OCI image layout: what its index names, each blob by
its digest, which is checked before anything of it is believed; the layers into
a tree (roottree.py), one over the other.

[OCI Image Format Specification: "Image Layout", "Image Index", "Image
Manifest", "Image Configuration", "Image Layer Filesystem Changeset"]
"""

import json
import os
import re
import stat

from isthmus_lib import unpack
from isthmus_lib.common import Failure

DIGEST = re.compile(r"(sha256):([0-9a-f]{64})|(sha512):([0-9a-f]{128})")
JSON_MAX = 4 << 20
DEPTH_MAX = 4                   # indexes in an index
LAYERS_MAX = 500                # Docker has 127
OURS = {"os": "linux", "architecture": "amd64"}
INDEXES = ("application/vnd.oci.image.index.v1+json",
           "application/vnd.docker.distribution.manifest.list.v2+json")


def is_layout(path):
    return os.path.isdir(path)


class Image:
    """One image of the layout in `folder`. `reference`: the name that one of
    several has in the index, as a tag."""

    def __init__(self, folder, reference=None):
        self.folder = folder
        self._check_version()
        entries = self._list(self._json(self._path("index.json")), "manifests",
                             "index.json")
        if reference is not None:
            entries = [e for e in entries if self._name_of(e) == reference]
        manifest = self._choose(entries, reference, 0)
        self.config = self._blob_json(self._member(manifest, "config", dict))
        self.layers = self._list(manifest, "layers", "the manifest")
        self.diffs = self._member(self._member(self.config, "rootfs", dict),
                                  "diff_ids", list)
        if len(self.layers) > LAYERS_MAX or len(self.layers) != \
                len(self.diffs):
            self._bad(f"{len(self.layers)} layers, and the digests of "
                      f"{len(self.diffs)}")

    def _bad(self, what):
        raise Failure(f"{self.folder}: {what}", 2)

    def _path(self, name):
        return os.path.join(self.folder, name)

    def _check_version(self):
        if not os.path.exists(self._path("oci-layout")):
            self._bad("it is no OCI image layout: there is no file oci-layout")
        version = self._member(self._json(self._path("oci-layout")),
                               "imageLayoutVersion", str)
        if not version.startswith("1."):
            self._bad(f"an OCI image layout of version {version[:20]!r}, and "
                      "not 1")

    def _json(self, path):
        try:
            if os.path.getsize(path) > JSON_MAX:
                self._bad(f"{os.path.basename(path)} has more than "
                          f"{JSON_MAX} bytes")
            with open(path, "rb") as f:
                found = json.load(f)
        except (ValueError, RecursionError) as error:
            self._bad(f"{os.path.basename(path)} is no JSON: {error}")
        except OSError as error:
            self._bad(f"{os.path.basename(path)}: {error.strerror}")
        if not isinstance(found, dict):
            self._bad(f"{os.path.basename(path)} is no JSON object")
        return found

    def _member(self, value, key, kind):
        found = value.get(key)
        if not isinstance(found, kind):
            self._bad(f"'{key}' is missing, or no {kind.__name__}")
        return found

    def _list(self, value, key, where):
        found = self._member(value, key, list)
        if not found or not all(isinstance(e, dict) for e in found):
            self._bad(f"'{key}' of {where} is empty, or has what is no object")
        return found

    def _named(self, entry):
        """(kind of a digest, its digits, where the blob is)"""
        digest = self._member(entry, "digest", str)
        found = DIGEST.fullmatch(digest)
        if not found:
            self._bad(f"{digest[:90]!r} is no digest by sha256 or sha512")
        kind, digits = found[1] or found[3], found[2] or found[4]
        return kind, digits, self._path(f"blobs/{kind}/{digits}")

    def blob(self, entry):
        """The path of a blob that is what its descriptor says."""
        kind, digits, path = self._named(entry)
        name = f"blob {kind}:{digits[:12]}.."
        try:
            info = os.lstat(path)
            if not stat.S_ISREG(info.st_mode):
                self._bad(f"{name} is no regular file")
            size = self._member(entry, "size", int)
            if info.st_size != size:
                self._bad(f"{name} has {info.st_size} bytes, and not {size}")
            if unpack.digest_of(path, kind) != digits:
                self._bad(f"{name} has another digest: it is damaged, or "
                          "another file")
        except OSError as error:
            self._bad(f"{name}: {error.strerror}")
        return path

    def _blob_json(self, entry):
        return self._json(self.blob(entry))

    @staticmethod
    def _name_of(entry):
        notes = entry.get("annotations")
        return notes.get("org.opencontainers.image.ref.name") \
            if isinstance(notes, dict) else None

    def _choose(self, entries, reference, depth):
        """The manifest of the one image that is for us."""
        fit = [e for e in entries if not isinstance(e.get("platform"), dict)
               or all(e["platform"].get(k, v) == v for k, v in OURS.items())]
        if not fit:
            self._bad("it has no image for Linux on amd64"
                      + (f" of the name {reference}" if reference else ""))
        if len(fit) > 1:
            self._bad("it has several images, "
                      + ", ".join(str(self._name_of(e)) for e in fit[:9])
                      + "; --tag says which")
        found = self._blob_json(fit[0])
        if fit[0].get("mediaType") in INDEXES or "manifests" in found:
            if depth == DEPTH_MAX:
                self._bad(f"more than {DEPTH_MAX} indexes in each other")
            return self._choose(self._list(found, "manifests", "an index"),
                                None, depth + 1)
        return found

    def settings(self):
        """What its configuration says of how it is run."""
        config = self.config.get("config")
        config = config if isinstance(config, dict) else {}
        found = {}
        for key, name in (("Entrypoint", "entrypoint"), ("Cmd", "command"),
                          ("Env", "environment")):
            value = config.get(key) or []
            if not isinstance(value, list) or \
                    not all(isinstance(v, str) for v in value):
                self._bad(f"'{key}' of its configuration is no list of words")
            found[name] = value
        for key, name in (("User", "user"), ("WorkingDir", "directory")):
            value = config.get(key) or ""
            if not isinstance(value, str):
                self._bad(f"'{key}' of its configuration is no word")
            found[name] = value
        return found

    def fill(self, tree, scratch, most, step=lambda n, of: None):
        """Lays all layers into the tree."""
        for i, (entry, diff) in enumerate(zip(self.layers, self.diffs)):
            step(i, len(self.layers))
            kind, digits, _ = self._named({"digest": diff})
            name = f"{self.folder}: layer {i + 1}"
            plain = unpack.plain(self.blob(entry), scratch, most, name)
            if unpack.digest_of(plain, kind) != digits:
                self._bad(f"layer {i + 1} unpacked has another digest than "
                          "the configuration says")
            tree.add(plain, layer=True, name=name)
