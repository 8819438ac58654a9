"""Servers on loopback that give the answers of a test."""

import json
import re
import socketserver
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def start(test, server):
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()

    def stop():
        server.shutdown()
        server.server_close()
        thread.join()

    test.addCleanup(stop)
    return server


def http(test, answer):
    """Start an HTTP server: answer(method, path, headers, body) returns status
    and body.  Returns its base URL."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, text = answer(self.command, self.path, self.headers, json.loads(body))
            if status is None:
                return  # hang up
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", "/elsewhere")
            self.end_headers()
            self.wfile.write(text.encode())

        do_POST = do_PUT = do_GET = _answer

        def log_message(self, *args):
            pass

    server = start(test, ThreadingHTTPServer(("127.0.0.1", 0), Handler))
    return f"http://127.0.0.1:{server.server_port}"


class _LMTPHandler(socketserver.StreamRequestHandler):
    def handle(self):
        self.say("220 archive LMTP")
        for raw in self.rfile:
            line = raw.decode().rstrip("\r\n")
            verb = line.split(" ")[0].upper()
            # Versions of smtplib differ in case.
            self.server.transcript.append(re.sub("^[A-Z ]+", lambda match: match.group().upper(), line, flags=re.I))
            if verb == "LHLO":
                self.say("250-archive\r\n250-8BITMIME\r\n250 SIZE 1000000")
            elif verb == "RCPT":
                self.say(self.server.answers.pop(0))
            elif verb == "DATA":
                self.data()
            elif verb == "QUIT":
                self.say("221 bye")
                return
            else:
                self.say("250 ok")

    def data(self):
        answer = self.server.answers.pop(0)
        if answer.startswith("354 "):
            self.say("354 go on")
            lines = iter(self.rfile.readline, b".\r\n")
            self.server.messages.append(b"".join(lines))
            self.say(answer[4:])
        else:
            self.say(answer)

    def say(self, text):
        with suppress(ConnectionError):  # the client may have hung up
            self.wfile.write(text.encode() + b"\r\n")


class LMTP(socketserver.ThreadingTCPServer):
    """Gives its answers in turn: one to each RCPT and one to each DATA, which is
    a refusal, or "354 " and the reply to the message."""

    daemon_threads = True

    def __init__(self, *answers):
        super().__init__(("127.0.0.1", 0), _LMTPHandler)
        self.answers, self.transcript, self.messages = list(answers), [], []

    @property
    def address(self):
        return f"127.0.0.1:{self.server_address[1]}"


class UnixLMTP(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

    def __init__(self, path, *answers):
        super().__init__(path, _LMTPHandler)
        self.answers, self.transcript, self.messages = list(answers), [], []
