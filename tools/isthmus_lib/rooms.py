# SPDX-License-Identifier: MIT
"""Which file may know which: the order of the rooms, and the gate that holds
the code to it. A module is what belongs together by its name: x.c, x.h and
x.S of one folder. Everything here works on a dictionary from file names to
texts, so that the self-test can make a tree up."""

import os
import re

# The rooms of a part, lower ones first. A room may include and call itself
# and what stands before it; rooms that stand together do not know each other.
# "" is what lies in the part's own folder.
ROOMS = {
    "host-bridge": (("rt",), ("loop",), ("dev",), ("blk",),
                    ("fs/jbd2",), ("fs",), ("vsock",),
                    ("files", "nbd", "net"), ("sockets",),
                    ("guest",),
                    ("agent",), ("ui",),
                    ("",)),
    "hypervisor": (("include/abi",), ("include",),
                   ("core", "x86", "vmx", "svm"), ("check",), ("iommu",),
                   ("box",)),
    "guest": (("driver", "init", "payload", "bench", "kernel32"), ("diff", "canary"), ("",)),
    "drivers": (("",),),
    "proto": (("",),),
    "boot": (("",),),
    "doctor": (("",),),
    "text": (("",),),
}

# What of the other parts a part may include.
OTHERS = {
    "host-bridge": ("hypervisor/include/abi/", "drivers/", "proto/", "text/"),
    "hypervisor": ("text/",),
    "guest": ("hypervisor/include/abi/", "drivers/", "proto/"),
    "drivers": ("hypervisor/include/abi/", "host-bridge/loop/",
                "host-bridge/dev/dma.h", "host-bridge/blk/block.h"),
    "proto": ("hypervisor/include/abi/",),
    "boot": ("hypervisor/include/abi/", "drivers/portio.h",
             "drivers/tco.h", "drivers/uart_places.h", "drivers/uart_regs.h",
             "proto/", "text/"),
    # a program of its own, which takes the loader's decoders and console,
    # and what the hypervisor knows of VT-x and AMD-V
    "doctor": ("boot/", "hypervisor/", "text/"),
    "text": (),
}

# Programs by the folders of their files. In the first list a function may call
# into its own room and those below; in the second, calls among files go one
# way.
ROOMED = ("host-bridge",)
LAYERED = ("guest/driver", "guest/init")

# Headers for the files beside them.
INSIDE = ("_int.h", "_internal.h", "_impl.h")

SEARCHED = ("hypervisor/include/", "")      # -I, as the build.mk files have it
PURPOSE = re.compile(r"^ \* Room ([\w/]+): ", re.M)
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+[<"]([^>"]+)[>"]', re.M)
DEFINED = re.compile(r"^(?!static\b)[A-Za-z_][^;={}#()]*?\b(\w+)"
                     r"\([^;{}]*\)\n\{\n", re.M)
LOCAL = re.compile(r"^static\b[^;={}#()]*?\b(\w+)\(", re.M)
USED = re.compile(r"(?<![\w.>])[A-Za-z_]\w*")
LITERAL = re.compile(r'"(?:\\.|[^"\\\n])*"|' r"'(?:\\.|[^'\\\n])*'|"
                     r"/\*.*?\*/|//[^\n]*", re.S)


def module(name):
    return os.path.splitext(name)[0]


def included(name, text, names):
    """The files of the project that a file includes."""
    for wanted in INCLUDE.findall(text):
        for folder in (os.path.dirname(name) + "/",) + SEARCHED:
            found = os.path.normpath(folder + wanted)
            if found in names:
                yield found
                break


def place(name):
    """Part, room and the room's level of a file; (None, None, 0) when it is
    of no part, level None when the part has no such room."""
    part, _, rest = name.partition("/")
    if part not in ROOMS:
        return None, None, 0
    levels = [(room, level) for level, rooms in enumerate(ROOMS[part])
              for room in rooms]
    for room, level in sorted(levels, reverse=True):   # the longest first
        if rest.startswith(room + "/") or (room == "" and "/" not in rest):
            return part, room, level
    return part, None, None


def may_know(name, other):
    """Whether a file may include or call another."""
    part, room, level = place(name)
    part_2, room_2, level_2 = place(other)
    if part is None or level is None or (part == part_2 and level_2 is None):
        return True             # no part of ours; or complained of elsewhere
    if part != part_2:
        return other.startswith(OTHERS[part])
    return room == room_2 or level_2 < level


def circles(graph):
    """One shortest way round for each set of nodes that reach each other."""
    done = set()
    for start in sorted(graph):
        ways, queue = {start: None}, [start]
        while queue and start not in done:
            at = queue.pop(0)
            for to in sorted(graph.get(at, ())):
                if to == start:
                    way = [start]
                    while at is not None:
                        way.insert(0, at)
                        at = ways[at]
                    done.update(way)
                    yield way
                    queue = []
                    break
                if to not in ways:
                    ways[to] = at
                    queue.append(to)


def calls(folder, texts):
    """(file, function, file that defines it) among the C files of a folder:
    of the functions with a name of their own, each one that another file
    names."""
    program = {name: LITERAL.sub(" ", text) for name, text in texts.items()
               if name.startswith(folder + "/") and name.endswith(".c")}
    defined = {}
    for name, text in program.items():
        for function in DEFINED.findall(text):
            defined[function] = name
    for name, text in program.items():
        own = set(LOCAL.findall(text))
        for word in sorted(set(USED.findall(text)) - own):
            if defined.get(word, name) != name:
                yield name, word, defined[word]


def complaints(texts):
    """All that is wrong with the order of the tree."""
    texts = {name: text for name, text in texts.items()
             if place(name)[0] and name.endswith((".c", ".h", ".S"))}
    graph = {}
    for name, text in texts.items():
        if place(name)[2] is None:
            yield f"{name}: a room that tools/isthmus_lib/rooms.py lacks"
        for other in included(name, text, texts):
            if module(other) != module(name):
                graph.setdefault(module(name), set()).add(module(other))
            if not may_know(name, other):
                yield f"{name}: includes {other}, which is not below it"
            if other.endswith(INSIDE) and \
                    os.path.dirname(name) != os.path.dirname(other):
                yield f"{name}: includes {other}, which is for its folder"
    for way in circles(graph):
        yield "circle of includes: " + " -> ".join(way)
    told = {f"{place(name)[0]}/{word}" for name, text in texts.items()
            if name.endswith(".h") for word in PURPOSE.findall(text)}
    for folder in ROOMED:
        for room in (room for rooms in ROOMS[folder] for room in rooms):
            room = f"{folder}/{room}"
            if room not in told and any(name.startswith(room + "/")
                                        for name in texts):
                yield f"{room}/: no header says what this room is for"
        for name, function, other in calls(folder, texts):
            if not may_know(name, other):
                yield (f"{name}: calls {function}() of {other}, "
                       "which is not below it")
    for folder in LAYERED:
        graph = {}
        for name, _, other in calls(folder, texts):
            graph.setdefault(module(name), set()).add(module(other))
        for way in circles(graph):
            yield "circle of calls: " + " -> ".join(way)
