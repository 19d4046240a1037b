# SPDX-License-Identifier: MIT
"""AF_VSOCK between the partitions."""

from runner import case


@case("sockets", "32 sockets echo 64 MiB; half-close, refusal, reset")
def sockets(t):
    overlay = t.overlay({"bin/sockets": t.guest_program("sockets")})
    result = t.exec("sockets", "--overlay", overlay, timeout=400)
    t.check("sockets: all passed" in result.out, result.out[-2000:])
