"""Folders in the place of installed packages."""

import importlib.metadata


class _FolderPackage:
    def __init__(self, root):
        self.files = [importlib.metadata.PackagePath(p.relative_to(root)) for p in root.rglob("*") if p.is_file()]
        self._root = root

    def locate_file(self, path):
        return self._root / path


def install(monkeypatch, root):
    """Let every package consist of the files in a folder."""
    monkeypatch.setattr(importlib.metadata, "distribution", lambda name: _FolderPackage(root))
