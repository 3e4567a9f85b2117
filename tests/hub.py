"""A small model hub on loopback that can refuse, break off in the middle of a file, and send it damaged."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

LARGE = (".safetensors", ".bin", ".pth")
"""Suffixes of files that are served as Git LFS serves them, from another host."""


@dataclass
class Repository:
    """Files by name; `readers` are the accounts that may read it, None for everybody; one that is not gated hides."""

    files: dict[str, bytes]
    readers: set[str] | None = None
    gated: bool = False

    @property
    def commit(self) -> str:
        return hashlib.sha1(b"".join(name.encode() + data for name, data in sorted(self.files.items()))).hexdigest()

    def digest(self, name: str) -> str:
        data = self.files[name]
        if name.endswith(LARGE):
            return hashlib.sha256(data).hexdigest()
        return hashlib.sha1(b"blob %d\0%b" % (len(data), data)).hexdigest()


@dataclass
class Hub:
    """What there is, how it misbehaves, and what was asked of it."""

    url: str = ""
    storage: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    accounts: dict[str, str] = field(default_factory=dict)
    """Names by token."""
    breaks: dict[str, list[int]] = field(default_factory=dict)
    """After how many bytes the next answers with a file break off."""
    damaged: dict[str, int] = field(default_factory=dict)
    """How many of the next answers with a file have a wrong byte."""
    unavailable: int = 0
    """How many of the next requests are answered with status 503."""
    portal: bool = False
    """Whether every answer is a page that asks to log in to a network."""
    ranges: bool = True
    """Whether a part of a file can be asked for."""
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    """Method, path and range of every request."""
    leaked: bool = False
    """Whether the storage was ever shown a token."""

    def add(self, name: str, folder: Path, **files: bytes) -> Repository:
        """Serve the files of `folder`, and `files` beside them, as the repository `name`."""
        found = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
        self.repositories[name] = Repository(found | files)
        return self.repositories[name]

    def served(self, name: str) -> list[str | None]:
        """The ranges in which the content of files called `name` was asked for."""
        return [span for method, path, span in self.requests if method == "GET" and path.endswith(name)]


@contextmanager
def serving() -> Iterator[Hub]:
    """A hub while the context lasts."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    port = server.server_address[1]
    hub.url, hub.storage = f"http://127.0.0.1:{port}", f"http://localhost:{port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path).strip("/")
        self.hub.requests.append((self.command, path, self.headers.get("Range")))
        if self.hub.unavailable:
            self.hub.unavailable -= 1
            return self._refuse(503, "Unavailable")
        if self.hub.portal:
            return self._send(b"<html>Welcome to the campus network", "text/html")
        if path.startswith("storage/"):
            self.hub.leaked |= "Authorization" in self.headers
            _, owner, repository, name = path.split("/", 3)
            return self._content(self.hub.repositories[f"{owner}/{repository}"], name)
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        account = self.hub.accounts.get(token)
        if token and account is None:
            return self._refuse(401, "", "Invalid credentials in Authorization header")
        if path == "api/whoami-v2":
            return self._json({"name": account, "type": "user"})
        if path.startswith("api/models/"):
            return self._models(path.removeprefix("api/models/"), account)
        return self._resolve(path, account)

    def _repository(self, name: str, account: str | None, content: bool) -> Repository | None:
        """The repository if the account may see it, its content if `content`; else None, once refused."""
        repository = self.hub.repositories.get(name)
        allowed = repository is not None and (repository.readers is None or account in repository.readers)
        if repository is None or not (allowed or repository.gated):
            self._refuse(404 if account else 401, "RepoNotFound")
        elif content and not allowed:
            self._refuse(403 if account else 401, "GatedRepo")
        else:
            return repository
        return None

    def _models(self, path: str, account: str | None) -> None:
        owner, name, *rest = path.split("/")
        asked = rest[0] if rest else ""
        repository = self._repository(f"{owner}/{name}", account, content=asked == "auth-check")
        if repository is None:
            return
        if asked == "auth-check":
            return self._json({})
        files = []
        for file, data in repository.files.items():
            digest, size = repository.digest(file), len(data)
            entry = {"type": "file", "path": file, "rfilename": file, "size": size, "oid": digest, "blobId": digest}
            if file.endswith(LARGE):
                pointer = {"sha256": digest, "size": size, "pointerSize": 130}
                entry["lfs"] = pointer | {"oid": digest}
            files.append(entry)
        if asked == "tree":
            return self._json(files)
        self._json({"id": f"{owner}/{name}", "sha": repository.commit, "siblings": files})

    def _resolve(self, path: str, account: str | None) -> None:
        owner, name, resolve, _, file, *_ = [*path.split("/", 4), *[""] * 4]
        if resolve != "resolve":
            return self._refuse(404, "EntryNotFound")
        repository = self._repository(f"{owner}/{name}", account, content=True)
        if repository is None:
            return
        if file not in repository.files:
            return self._refuse(404, "EntryNotFound", commit=repository.commit)
        if not file.endswith(LARGE):
            return self._content(repository, file)
        self.send_response(302)
        self.send_header("Location", f"{self.hub.storage}/storage/{owner}/{name}/{file}")
        self.send_header("X-Linked-Etag", f'"{repository.digest(file)}"')
        self.send_header("X-Linked-Size", str(len(repository.files[file])))
        self.send_header("X-Repo-Commit", repository.commit)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _content(self, repository: Repository, name: str) -> None:
        data = repository.files[name]
        total, start = len(data), 0
        if self.command == "GET" and self.hub.damaged.get(name, 0):
            self.hub.damaged[name] -= 1
            data = data[:-1] + bytes([data[-1] ^ 1])
        if self.hub.ranges and (span := self.headers.get("Range")):
            start = int(span.removeprefix("bytes=").rstrip("-"))
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        self.send_header("Content-Length", str(total - start))
        self.send_header("ETag", f'"{repository.digest(name)}"')
        self.send_header("X-Repo-Commit", repository.commit)
        self.end_headers()
        if self.command == "GET":
            part = data[start:]
            if breaks := self.hub.breaks.get(name):
                part = part[: breaks.pop(0)]
                self.close_connection = True
            self.wfile.write(part)

    def _json(self, value: object) -> None:
        self._send(json.dumps(value).encode(), "application/json")

    def _send(self, content: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _refuse(self, status: int, code: str, message: str = "", commit: str = "") -> None:
        self.send_response(status)
        for header, value in (("X-Error-Code", code), ("X-Error-Message", message), ("X-Repo-Commit", commit)):
            if value:
                self.send_header(header, value)
        self.send_header("Content-Length", "0")
        self.end_headers()
