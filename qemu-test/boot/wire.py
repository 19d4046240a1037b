# SPDX-License-Identifier: MIT
"""The other end of a machine's cable (`isthmus boot --wire connect:PORT`): a
neighbour made of nothing but its packets. It answers ARP, gives an address by
DHCP as the test wants it, resolves every name to who was asked, and sends back
what comes by TCP to port 7. The cable is QEMU's: each frame with its length,
four bytes, over TCP.

[RFC 826; RFC 1035; RFC 2131; RFC 9293, in as far as a peer needs it who has patience
and is asked by nobody for more]
"""

import socket
import struct
import threading
import time

MAC = bytes.fromhex("525400697300")
ADDRESS = "10.9.0.1"
PREFIX_MASK = "255.255.255.0"
PORT = 7                        # of the echo
LEASE = 120                     # seconds
AGAIN = 1.0                     # until what was not acknowledged is repeated
MSS = 1400
AT_ONCE = 20 * MSS              # on the way
BROADCAST = b"\xff" * 6
ARP, IPV4 = 0x0806, 0x0800
UDP, TCP = 17, 6
FIN, SYN, RST, ACK = 1, 2, 4, 16
DISCOVER, OFFER, REQUEST, DHCP_ACK, NAK = 1, 2, 3, 5, 6
COOKIE = b"\x63\x82\x53\x63"


def packed(address):
    return socket.inet_aton(address)


def checksum(data):
    """[RFC 1071]"""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total ^ 0xffff


class Connection:
    """A TCP connection, from its SYN on: what comes in order goes back. Numbers
    are kept as they are counted, without their end at 2 ** 32."""

    def __init__(self, send, syn):
        self.send = send                # (seq, flags, data)
        self.next_in = syn + 1
        self.una = self.next_out = 1000
        self.window = 0
        self.out = b""                  # from una on
        self.ended = self.fin = False   # by the peer; sent by us
        self.moved = time.monotonic()
        self.emit(SYN | ACK)
        self.next_out += 1

    def emit(self, flags, data=b""):
        self.send(self.next_out, self.next_in, flags, data)

    def take(self, seq, ack, flags, window, data):
        """A segment of the peer's. False: the connection is gone."""
        self.window = window
        gone = (ack - self.una) & 0xffffffff
        if flags & RST:
            return False
        if 0 < gone <= self.next_out - self.una:
            if self.una == 1000:
                self.out = b"\0" + self.out     # the SYN
            self.out = self.out[gone:]
            self.una += gone
            self.moved = time.monotonic()
        if seq == self.next_in & 0xffffffff and not self.ended:
            self.out += data
            self.next_in += len(data)
            if flags & FIN:
                self.next_in += 1
                self.ended = True
        over = self.fin and self.una == self.next_out
        if data or flags & FIN:
            self.emit(ACK)
        self.push()
        return not over

    def push(self):
        """What the window has room for."""
        if self.una == 1000:
            return
        room = min(self.window, AT_ONCE)
        while not self.fin:
            at = self.next_out - self.una
            part = self.out[at:at + min(MSS, max(0, room - at))]
            if part:
                self.emit(ACK, part)
                self.next_out += len(part)
            elif self.ended and at == len(self.out):
                self.emit(ACK | FIN)
                self.next_out += 1
                self.fin = True
            else:
                return

    def look(self):
        """Repeats what has waited for too long."""
        if self.una == self.next_out or \
                time.monotonic() - self.moved < AGAIN:
            return
        self.moved = time.monotonic()
        self.next_out = self.una
        self.fin = False
        if self.una == 1000:
            self.emit(SYN | ACK)
            self.next_out += 1
        self.push()


class Wire:
    """Listens at .port for one machine. What the test may change at any time:
    .address, what DHCP gives; .refuse, whether it is refused; .server, of
    names, an address of its own besides ADDRESS, or None. What it may
    read: .asked, (time, message, to whom, its own address or None) of DHCP's;
    .echoed, bytes that came in order; .broken, connections that were reset, or
    that nobody knew; .sources, who has sent IPv4."""

    def __init__(self, address, lease=LEASE):
        self.address, self.lease, self.refuse = address, lease, False
        self.server = None
        self.asked, self.sources = [], []
        self.echoed = self.broken = 0
        self.connections = {}
        self.mac = None                 # of the machine
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.cable = None
        threading.Thread(target=self._run, daemon=True).start()

    def _read(self, count):
        got = b""
        while len(got) < count:
            try:
                piece = self.cable.recv(count - len(got))
            except TimeoutError:
                for connection in self.connections.values():
                    connection.look()
                continue
            if not piece:
                raise EOFError
            got += piece
        return got

    def _run(self):
        self.cable, _ = self.listener.accept()
        self.cable.settimeout(0.2)
        try:
            while True:
                size, = struct.unpack("!I", self._read(4))
                self._frame(self._read(size))
        except (EOFError, OSError):
            self.cable.close()

    def _send(self, to, kind, data):
        frame = (to + MAC + struct.pack("!H", kind) + data).ljust(60, b"\0")
        self.cable.sendall(struct.pack("!I", len(frame)) + frame)

    def _frame(self, frame):
        kind, = struct.unpack("!H", frame[12:14])
        self.mac = frame[6:12]
        own = [packed(a) for a in (ADDRESS, self.server) if a]
        if kind == ARP and frame[20:22] == b"\0\1" and frame[38:42] in own:
            self._send(frame[6:12], ARP, frame[14:20] + b"\0\2" + MAC
                       + frame[38:42] + frame[22:32])
        elif kind == IPV4:
            self._packet(frame[14:])

    def _packet(self, ip):
        ip = ip[:struct.unpack("!H", ip[2:4])[0]]
        source, to = socket.inet_ntoa(ip[12:16]), socket.inet_ntoa(ip[16:20])
        data = ip[(ip[0] & 15) * 4:]
        self.sources.append(source)
        if ip[9] == UDP and data[2:4] == b"\0\x43":
            self._dhcp(to, data[8:])
        elif ip[9] == UDP and data[2:4] == b"\0\x35" and to == self.server:
            self._name(source, data)
        elif ip[9] == TCP and to == ADDRESS:
            self._tcp(source, data)

    def _ip(self, to, mac, proto, data, own=ADDRESS):
        head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(data), 0, 0x4000, 64,
                           proto, 0) + packed(own) + packed(to)
        head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
        self._send(mac, IPV4, head + data)

    # DNS

    def _name(self, source, data):
        """An address of IPv4 is the server's own, and there is no other."""
        query = data[8:]
        end = query.index(b"\0", 12) + 5
        found = query[end - 4:end - 2] == b"\0\1"
        answer = query[:2] + struct.pack("!HHHHH", 0x8180, 1, found, 0, 0) \
            + query[12:end]
        if found:
            answer += struct.pack("!HHHIH", 0xc00c, 1, 1, 0, 4) \
                + packed(self.server)
        self._ip(source, self.mac, UDP, b"\0\x35" + data[:2] + struct.pack(
            "!HH", 8 + len(answer), 0) + answer, self.server)

    # DHCP

    def _dhcp(self, to, message):
        options, at = {}, 240
        while at < len(message) and message[at] != 255:
            if message[at] == 0:
                at += 1
                continue
            size = message[at + 1]
            options[message[at]] = message[at + 2:at + 2 + size]
            at += 2 + size
        kind = options[53][0]
        own = message[12:16] if any(message[12:16]) else options.get(50)
        own = own and socket.inet_ntoa(own)
        self.asked.append((time.monotonic(), kind, to, own))
        if kind == DISCOVER:
            self._answer(message, OFFER)
        elif kind == REQUEST:
            self._answer(message, DHCP_ACK if own == self.address
                         and not self.refuse else NAK)

    def _answer(self, message, kind):
        """A refusal goes to all, as who is refused has no address."""
        renewed = kind == DHCP_ACK and any(message[12:16])
        options = {53: bytes([kind]), 54: packed(ADDRESS)}
        if kind == NAK:
            self.refuse = False         # what it asks for next it gets
        else:
            options |= {51: struct.pack("!I", self.lease),
                        1: packed(PREFIX_MASK), 3: packed(ADDRESS)}
            if self.server:
                options[6] = packed(self.server)
        yours = bytes(4) if kind == NAK else packed(self.address)
        reply = b"\2" + message[1:12] + message[12:16] + yours + bytes(8) \
            + message[28:44] + bytes(192) + COOKIE + b"".join(
                bytes([k, len(v)]) + v for k, v in options.items()) + b"\xff"
        udp = struct.pack("!HHHH", 67, 68, 8 + len(reply), 0) + reply
        self._ip(self.address if renewed else "255.255.255.255",
                 self.mac if renewed else BROADCAST, UDP, udp)

    # TCP

    def _segment(self, to, ports, seq, ack, flags, data):
        options = struct.pack("!BBH", 2, 4, MSS) if flags & SYN else b""
        head = struct.pack("!HHIIBBHHH", *ports, seq & 0xffffffff,
                           ack & 0xffffffff, (5 + len(options) // 4) << 4,
                           flags, 0xffff, 0, 0) + options
        whole = packed(ADDRESS) + packed(to) + struct.pack(
            "!HH", TCP, len(head) + len(data)) + head + data
        head = head[:16] + struct.pack("!H", checksum(whole)) + head[18:]
        self._ip(to, self.mac, TCP, head + data)

    def _tcp(self, source, segment):
        theirs, ours, seq, ack, size, flags, window = struct.unpack(
            "!HHIIBBH", segment[:16])
        data = segment[(size >> 4) * 4:]
        who, ports = (source, theirs, ours), (ours, theirs)
        if flags & SYN and ours == PORT and who not in self.connections:
            self.connections[who] = Connection(
                lambda *what: self._segment(source, ports, *what), seq)
            return
        connection = self.connections.get(who)
        self.broken += bool(not connection or flags & RST)
        if not connection:
            if not flags & RST:
                self._segment(source, ports, ack, seq + len(data), RST, b"")
            return
        before = connection.next_in
        if not connection.take(seq, ack, flags, window, data):
            del self.connections[who]
        self.echoed += connection.next_in - before
