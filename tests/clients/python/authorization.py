"""A server that nsqd asks what a secret is good for."""

import contextlib
import http.server
import json
import threading
import urllib.parse


@contextlib.contextmanager
def authorization_server(secret, topic):
    """Permits the topic to whoever knows the secret, and nothing to others; yields its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self._answer(urllib.parse.urlsplit(self.path).query)

        def do_POST(self):
            self._answer(self.rfile.read(int(self.headers["Content-Length"])).decode())

        def _answer(self, query):
            permits = {"topic": topic, "channels": [".*"], "permissions": ["subscribe", "publish"]}
            knows = urllib.parse.parse_qs(query).get("secret") == [secret]
            answer = {"ttl": 3600, "identity": "tester", "authorizations": [permits] if knows else []}
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
