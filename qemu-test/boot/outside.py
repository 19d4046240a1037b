# SPDX-License-Identifier: MIT
"""This computer as what is outside of an emulated machine: servers on its
loopback, of both families, which the emulator's network leads to."""

import http.server
import os
import socket
import socketserver
import subprocess
import threading

HOSTS = (("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6))


def _started(server):
    threading.Thread(target=server.serve_forever, daemon=True).start()


class _Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while piece := self.request.recv(65536):
            self.request.sendall(piece)


class _EchoUdp(socketserver.BaseRequestHandler):
    def handle(self):
        data, s = self.request
        s.sendto(data, self.client_address)


class _Web(http.server.BaseHTTPRequestHandler):
    """GET of what is in `files`, {path: bytes}; a git repository below /git/,
    by git's own CGI program. [git-http-backend(1)]"""

    files = {}
    repositories = None

    def log_message(self, format, *args):   # pylint: disable=redefined-builtin
        pass

    def do_GET(self):
        if self.path.startswith("/git/"):
            self._git(b"")
            return
        data = self.files.get(self.path)
        self.send_response(404 if data is None else 200)
        self.send_header("Content-Length", str(len(data or b"")))
        self.end_headers()
        self.wfile.write(data or b"")

    def do_POST(self):
        self._git(self.rfile.read(int(self.headers["Content-Length"])))

    def _git(self, body):
        path, _, query = self.path.removeprefix("/git").partition("?")
        done = subprocess.run(["git", "http-backend"], env={
            **os.environ, "GIT_PROJECT_ROOT": self.repositories,
            "GIT_HTTP_EXPORT_ALL": "1", "REQUEST_METHOD": self.command,
            "PATH_INFO": path, "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "HTTP_GIT_PROTOCOL": self.headers.get("Git-Protocol", "")},
            input=body, stdout=subprocess.PIPE, check=True).stdout
        head, _, rest = done.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1)
                      for line in head.decode().split("\r\n"))
        self.send_response(int(fields.pop("Status", "200").split()[0]))
        for name, value in fields.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(rest)


class Outside:
    """The servers: `web` is a port of TCP, `echo` one of TCP and of UDP."""

    def __init__(self, files, repositories):
        handler = type("Handler", (_Web,),
                       {"files": files, "repositories": repositories})
        self.web = self.echo = 0
        for host, family in HOSTS:
            self.web = self._serve(http.server.ThreadingHTTPServer, family,
                                   (host, self.web), handler)
            self.echo = self._serve(socketserver.ThreadingTCPServer, family,
                                    (host, self.echo), _Echo)
            self._serve(socketserver.UDPServer, family, (host, self.echo),
                        _EchoUdp)

    @staticmethod
    def _serve(base, family, address, handler):
        """Returns the port."""
        server = type("Server", (base,), {
            "address_family": family, "request_queue_size": 128,
            "daemon_threads": True, "max_packet_size": 65536})(
                address, handler)
        _started(server)
        return server.server_address[1]
