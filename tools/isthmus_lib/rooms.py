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
    "host-bridge": (("rt",), ("loop",), ("dev",), ("blk",), ("fs",),
                    ("vsock",), ("files",), ("guest",), ("agent",), ("ui",),
                    ("",)),
    "hypervisor": (("include/abi",), ("include",),
                   ("core", "x86", "vmx", "svm", "trace")),
    "guest": (("driver", "init", "payload", "diff", "bench"), ("",)),
    "drivers": (("",),),
    "boot": (("",),),
}

# What of the other parts a part may include.
OTHERS = {
    "host-bridge": ("hypervisor/include/abi/", "drivers/"),
    "hypervisor": (),
    "guest": ("hypervisor/include/abi/",),
    "drivers": (),
    "boot": ("hypervisor/include/abi/",),
}

# Where functions of one file call those of others in one direction only.
LAYERED = ("guest/driver/", "guest/init/")

SEARCHED = ("hypervisor/include/", "")      # -I, as the build.mk files have it
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


def definitions(texts):
    """The file of each function that others may call; those whose names are
    defined more than once (main) are left out."""
    found = {}
    for name, text in texts.items():
        if name.endswith(".c"):
            for function in DEFINED.findall(text):
                found.setdefault(function, set()).add(name)
    return {function: files.pop() for function, files in found.items()
            if len(files) == 1}


def calls(name, text, defined):
    """(function, its file) of the others' functions that a file names."""
    plain = LITERAL.sub(" ", text)
    own = set(LOCAL.findall(plain))
    for word in sorted(set(USED.findall(plain)) - own):
        if defined.get(word, name) != name:
            yield word, defined[word]


def complaints(texts):
    """All that is wrong with the order of the tree."""
    texts = {name: text for name, text in texts.items()
             if place(name)[0] and name.endswith((".c", ".h", ".S"))}
    graph, layers = {}, {}
    defined = definitions(texts)
    for name, text in texts.items():
        if place(name)[2] is None:
            yield f"{name}: a room that tools/isthmus_lib/rooms.py lacks"
        for other in included(name, text, texts):
            if module(other) != module(name):
                graph.setdefault(module(name), set()).add(module(other))
            if not may_know(name, other):
                yield f"{name}: includes {other}, which is not below it"
        if not name.endswith(".c"):
            continue
        for function, other in calls(name, text, defined):
            if not may_know(name, other) and place(name)[0] == "host-bridge":
                yield (f"{name}: calls {function}() of {other}, "
                       "which is not below it")
            if name.startswith(LAYERED) and \
                    os.path.dirname(name) == os.path.dirname(other):
                layers.setdefault(module(name), set()).add(module(other))
    for what, found in (("include", graph), ("call", layers)):
        for way in circles(found):
            yield f"circle of {what}s: " + " -> ".join(way)
