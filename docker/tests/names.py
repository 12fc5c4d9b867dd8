"""A name server of a few lines, as a container network has one: it knows some names and says of others that they are none."""

import socket
import struct
import threading

# In the range of this machine itself, and not one that a resolver of the system listens on.
ADDRESS = "127.41.52.63"
PORT = 53
TYPE_A = 1


class NameServer:
    """Answers until it is closed; `known` maps names to addresses."""

    def __init__(self, known):
        self._known = known
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((ADDRESS, PORT))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self):
        # An empty query is the sign to stop.
        self._socket.sendto(b"", (ADDRESS, PORT))
        self._thread.join()
        self._socket.close()

    def _serve(self):
        while True:
            query, asker = self._socket.recvfrom(512)
            if not query:
                return
            self._socket.sendto(answer(query, self._known), asker)


def answer(query, known):
    labels, at = [], 12
    while length := query[at]:
        labels.append(query[at + 1 : at + 1 + length].decode())
        at += 1 + length
    (wanted,) = struct.unpack_from(">H", query, at + 1)
    address = known.get(labels[0])
    question = query[12 : at + 5]
    # Response, recursion available; code 3 is "no such name".
    flags = 0x8180 if address else 0x8183
    records = b""
    if address and wanted == TYPE_A:
        # The name is the one that stands at byte 12; class IN, valid for 5 seconds, 4 bytes.
        records = struct.pack(">HHHIH", 0xC00C, TYPE_A, 1, 5, 4) + socket.inet_aton(address)
    return query[:2] + struct.pack(">HHHHH", flags, 1, 1 if records else 0, 0, 0) + question + records
