#!/usr/bin/env python3
"""What changes cost: ghost with and without deltas, and other snapshot tools, over a row of versions of the same things.

usage: delta.py kernel   DIR [options]   a source tree and a later patch release of it
       delta.py releases DIR [options]   the same in ten steps: of every file's hunks, each step applies a share
       delta.py image    DIR [options]   a file of 4.5 GB before and after 60 edits of 700 kB in all
       delta.py dumps        [options]   a database dumped day by day, sorted by key, 1 % of its rows changed each day

DIR is where inputs.py put its input. Each tool takes a snapshot of every version in turn, in one repository; then it restores the
newest and the oldest, which are compared with what they were taken of, and checks every byte. `ghost whole` is ghost with
delta.enabled=false: what deltas cost when they are read is told against it; `ghost delta.depth=4` and the like, in --tools, is ghost
with that setting. Options are those of bench.py, as far as they
are listed here; filesystems, warm caches and measuring are its own.

Writes NAME.json (every measurement) and NAME.txt (medians, sums, what became of each target) to the runs folder.
"""
import argparse, datetime, hashlib, os, shutil, sqlite3, statistics, subprocess, sys

import bench
from bench import mib, say, shell

STEPS = 10
ROWS, ROW_BYTES, DAYS = 400_000, 200, 10
PEERS = dict(kernel="rustic,restic,borg,bupstash,git", releases="rustic,restic,borg,bupstash,git", image="rustic,restic,borg,bupstash", dumps="rustic,restic,borg,bupstash,git")
PEAK_MIB = 120
# MiB added in all: a limit, or a share of the best peer's. Times: a share of the best peer's, or of ghost's without deltas.
TARGET = dict(
    kernel=dict(added_mib=6, update=0.3, reading=1.25),
    releases=dict(added=0.1, update=0.3, reading=1.25),
    image=dict(added_mib=3, reading=1.25),
    dumps=dict(added=0.2, reading=1.25),
)


def arguments():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("mode", choices=TARGET)
    ap.add_argument("dir", nargs="?", help="where inputs.py put its input")
    ap.add_argument("--ghost", default="ghost", help="the binary to measure")
    ap.add_argument("--tools", help="a,b,c: only these (default: ghost, ghost whole, and the peers that are installed)")
    ap.add_argument("--runs", type=int, default=1)
    ap.add_argument("--steps", type=int, default=STEPS, help="releases: how many")
    ap.add_argument("--rows", type=int, default=ROWS, help="dumps: rows of the table")
    ap.add_argument("--days", type=int, default=DAYS, help="dumps: how many after the first")
    ap.add_argument("--name", help="of the result files (default: delta, the mode and the date)")
    ap.add_argument("--out", default=os.path.join(bench.HERE, "runs"), help="folder of the result files")
    ap.add_argument("--work", default="/tmp/ghost-delta", help="mount point of the filesystem under test")
    ap.add_argument("--inputs", default="/var/tmp/ghost-delta-inputs", help="where versions are made")
    ap.add_argument("--image", help="sparse file behind it (default: WORK.img)")
    ap.add_argument("--fs", default="ext4", choices=bench.FILESYSTEMS)
    ap.add_argument("--timeout", type=int, default=1800, help="seconds after which a step is given up")
    ap.add_argument("--note", default="", help="a remark kept in the results")
    a = ap.parse_args()
    if bool(a.dir) != (a.mode != "dumps"):
        ap.error("dumps makes its own input, the others want a folder")
    if os.geteuid():
        ap.error("must be run as root: every tool gets a loop-mounted filesystem of its own")
    a.work, a.inputs = os.path.abspath(a.work), os.path.abspath(a.inputs)
    a.image = os.path.abspath(a.image or a.work + ".img")
    a.ghost = os.path.abspath(a.ghost) if os.sep in a.ghost else a.ghost
    a.dir = a.dir and os.path.abspath(a.dir)
    a.name = a.name or f"delta-{a.mode}-{datetime.date.today()}"
    a.tools = a.tools or "ghost,ghost whole," + PEERS[a.mode]
    return a


# -- versions ----------------------------------------------------------------------------------------------------


def share(*what):
    """A number in [0, 1) that depends on nothing but what is given."""
    return int.from_bytes(hashlib.sha256(repr(what).encode()).digest()[:6]) / (1 << 48)


def hunks(old, new):
    """The edits that make NEW of OLD: [(line of OLD before which, lines to drop, lines to put in)]; None if not of text."""
    out = subprocess.run(["diff", "-n", "--text", old, new], capture_output=True)
    if out.returncode > 1:
        return None
    lines, at, found = out.stdout.splitlines(keepends=True), 0, []
    while at < len(lines):
        what, first, count = chr(lines[at][0]), *map(int, lines[at][1:].split())
        at += 1
        if what == "d":
            found.append([first - 1, count, []])
            continue
        added, at = lines[at:at + count], at + count
        # What is put in where something was dropped belongs to it.
        if found and found[-1][0] + found[-1][1] == first and found[-1][1] and not found[-1][2]:
            found[-1][2] = added
        else:
            found.append([first, 0, added])
    return found


def partly(old, new, path, step, steps):
    """The bytes of a changed file at a step: each hunk comes at a step of its own."""
    edits = hunks(old, new)
    with open(old, "rb") as f:
        lines = f.read().splitlines(keepends=True)
    if edits is None or not edits:
        with open(new if share(path) * steps < step else old, "rb") as f:
            return f.read()
    out, at = [], 0
    for number, (line, drop, put) in enumerate(edits):
        if share(path, number) * steps < step:
            out += lines[at:line] + put
            at = line + drop
    return b"".join(out + lines[at:])


def releases(a):
    """DIR/linux-old in `steps` steps to DIR/linux-new, each in a folder of its own that shares with the one before."""
    old, new = f"{a.dir}/linux-old", f"{a.dir}/linux-new"
    names = lambda root: {os.path.relpath(os.path.join(d, f), root) for d, _, fs in os.walk(root) for f in fs}
    olds, news = names(old), names(new)
    listed = subprocess.run(["rsync", "-rlcn", "--out-format=%n", f"{new}/", f"{old}/"], check=True, capture_output=True, text=True)
    changed = [n for n in listed.stdout.splitlines() if n in news and os.path.isfile(f"{new}/{n}") and not os.path.islink(f"{new}/{n}")]
    versions = [old]
    for step in range(1, a.steps):
        to = f"{a.inputs}/release-{step:02}"
        versions.append(to)
        if os.path.exists(to + "/.complete"):
            continue
        shutil.rmtree(to, True)
        os.makedirs(a.inputs, exist_ok=True)
        shell(f"cp -al '{versions[-2]}' '{to}' && rm -f '{to}/.complete'")
        for name in changed:
            if name in olds:
                now = partly(f"{old}/{name}", f"{new}/{name}", name, step, a.steps)
            elif share(name) * a.steps < step:
                now = open(f"{new}/{name}", "rb").read()
            else:
                continue
            path = f"{to}/{name}"
            if not os.path.exists(path) or open(path, "rb").read() != now:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                if os.path.lexists(path):
                    os.unlink(path)
                with open(path, "wb") as f:
                    f.write(now)
        for name in olds - news:
            if share(name) * a.steps < step and os.path.lexists(f"{to}/{name}"):
                os.unlink(f"{to}/{name}")
        open(to + "/.complete", "w").close()
    return versions + [new]


def dumps(a):
    """`.dump` of a table, day by day: rows change, go and come, spread over all keys."""
    def row(key, day):
        seed = hashlib.sha256(f"{key} {day}".encode()).hexdigest()
        words = " ".join(f"{int(seed[i:i + 3], 16) % 997:x}" for i in range(0, 60, 3))
        return (key, f"name {key % 9973}", (words * 4)[:ROW_BYTES - 60], f"2026-01-{day + 1:02}")
    os.makedirs(a.inputs, exist_ok=True)
    versions = [f"{a.inputs}/dump-{a.rows}-{day:02}" for day in range(a.days + 1)]
    if os.path.exists(versions[-1] + "/dump.sql"):
        return versions
    db = sqlite3.connect(":memory:")
    db.execute("create table t(key integer primary key, name text, words text, day text)")
    db.executemany("insert into t values(?, ?, ?, ?)", (row(3 * n, 0) for n in range(a.rows)))
    for day, folder in enumerate(versions):
        if day:
            picked = [n for n in range(a.rows) if share(n, day) < 0.01]
            db.executemany("replace into t values(?, ?, ?, ?)", (row(3 * n, day) for n in picked[::2]))
            db.executemany("delete from t where key = ?", ((3 * n,) for n in picked[1::4]))
            db.executemany("replace into t values(?, ?, ?, ?)", (row(3 * n + 1, day) for n in picked[3::4]))
        os.makedirs(folder, exist_ok=True)
        with open(f"{folder}/part", "w") as f:
            f.writelines(line + "\n" for line in db.iterdump())
        os.rename(f"{folder}/part", f"{folder}/dump.sql")
    return versions


def versions(a):
    if a.mode == "dumps":
        return dumps(a)
    if a.mode == "releases":
        return releases(a)
    name = "linux" if a.mode == "kernel" else "large"
    return [f"{a.dir}/{name}-{which}" for which in ("old", "new")]


# -- one run of one tool -----------------------------------------------------------------------------------------


class Delta(bench.Bench):
    """The filesystem, the measuring and the tools of bench.py, with other steps."""

    def __init__(self, a):
        self.a, self.w, self.env = a, a.work, bench.environment(a.work)
        self.src, self.repo, self.out = f"{a.work}/src", f"{a.work}/repo", f"{a.work}/out"
        known = bench.tools(a.ghost, a.work)
        asked = [t for t in a.tools.split(",") if t]
        for t in asked:
            if t.startswith("ghost "):
                setting = "delta.enabled=false" if t == "ghost whole" else t.removeprefix("ghost ")
                known[t] = bench.tools(f"{a.ghost} -c {setting}", a.work)["ghost"]
                known[t].binary = a.ghost
        for t in asked:
            if t not in known:
                sys.exit(f"delta.py: no tool {t!r}; there are {', '.join(known)}")
        self.skipped = [t for t in asked if not shutil.which(known[t].binary)]
        self.tools = {t: known[t] for t in asked if t not in self.skipped}
        self.bin, self.res = bench.compile_c(), {t: [] for t in self.tools}
        self.versions = versions(a)
        self.head = dict(name=a.name, mode=a.mode, note=a.note, command=self.command().replace("bench.py", "delta.py", 1),
            date=datetime.datetime.now().astimezone().isoformat(timespec="seconds"), machine=bench.machine(a),
            versions={t: bench.version(x.version) for t, x in self.tools.items()}, skipped=self.skipped, steps=len(self.versions) - 1)

    def put(self, version):
        # Only files whose content differs are touched, and get the time of now.
        shell(f"rsync -rlpc --inplace --no-whole-file --exclude=.complete --delete '{version}/' {self.src}/")
        self.settle()

    def once(self, tool, name):
        m = {}
        self.fresh()
        m["init"] = self.run(tool.init)
        self.put(self.versions[0])
        m["first"] = self.run(tool.snap)
        m["sizes"] = [mib(self.repo)]
        m["updates"] = []
        for version in self.versions[1:]:
            self.put(version)
            m["updates"].append(self.run(tool.snap))
            m["sizes"].append(mib(self.repo))
        m["newest"] = self.run(tool.restore)
        m["newest"]["differs"] = self.differs()
        if tool.check:
            m["check"] = self.run(tool.check)
        if name.startswith("ghost"):
            shutil.rmtree(self.out, True)
            m["oldest"] = self.run(tool.restore.replace("@ ", f"@~{len(self.versions) - 1} "))
            self.put(self.versions[0])
            m["oldest"]["differs"] = self.differs()
        return m

    def all(self):
        order = list(self.tools)
        for r in range(self.a.runs):
            for t in order[r % len(order):] + order[:r % len(order)]:
                say(f"run {r + 1} of {self.a.runs}: {t}")
                self.res[t].append(self.once(self.tools[t], t))
                self.store()
        bench.cleanup(self.a)

    def store(self):
        self.text = table(self.head, self.res)
        bench.write_results(self.a, self.head, self.res, self.text)


# -- results -----------------------------------------------------------------------------------------------------


def table(head, res):
    """Medians over the runs; sums over the updates of one run."""
    mc, have = head["machine"], {t: r for t, r in res.items() if r}
    med = lambda t, f: statistics.median(f(m) for m in have[t])
    columns = {
        "MiB 1st": lambda m: m["sizes"][0],
        "MiB added": lambda m: m["sizes"][-1] - m["sizes"][0],
        "update s": lambda m: statistics.median(u["wall"] for u in m["updates"]),
        "upd. cpu": lambda m: statistics.median(u["cpu"] for u in m["updates"]),
        "upd. MiB": lambda m: max(u["rss"] for u in m["updates"]),
        "newest s": lambda m: m["newest"]["wall"],
        "newest cpu": lambda m: m["newest"]["cpu"],
        "oldest s": lambda m: m["oldest"]["wall"],
        "check s": lambda m: m["check"]["wall"],
        "check cpu": lambda m: m["check"]["cpu"],
        "peak MiB": lambda m: max(x["rss"] for x in [m["first"], m["newest"]] + m["updates"]),
    }

    def cell(t, f):
        try:
            return f"{med(t, f):11.2f}"
        except KeyError:
            return f"{'-':>11}"

    o = [f"{head['name']}: {head['command']}", f"{head['date']}; {mc['cpu']}, {mc['cores']} cores, {mc['memory_gib']} GiB; {mc['kernel']}; {mc['fs']}",
         "; ".join(f"{t} {v}" for t, v in head["versions"].items())]
    if head["skipped"]:
        o.append(f"not installed, so left out: {', '.join(head['skipped'])}")
    if head["note"]:
        o.append(f"note: {head['note']}")
    wide = max(12, *(len(t) + 1 for t in have))
    o += [f"{head['steps']} updates after the first; medians of {max(len(r) for r in have.values())} runs", "", " " * wide + "".join(f"{c:>11}" for c in columns)]
    o += [f"{t:{wide}}" + "".join(cell(t, f) for f in columns.values()) for t in have]
    wrong = [f"{t}: what was restored differs" for t, r in have.items() for m in r for s in ("newest", "oldest") if m.get(s, {}).get("differs")]
    wrong += [f"{t}: {x}" for t, r in have.items() for m in r for x in ("first", "newest", "check") if not m.get(x, {"ok": True})["ok"]]
    o += targets(head["mode"], have, columns, med) + wrong
    return "\n".join(x.rstrip() for x in o) + "\n"


def targets(mode, have, columns, med):
    if "ghost" not in have:
        return []
    peers, o = [t for t in have if not t.startswith("ghost")], [""]
    target, added = TARGET[mode], columns["MiB added"]
    say_one = lambda what, found, goal: o.append(f"{what}: {found:.2f}, at most {goal}: {'met' if found <= goal else 'MISSED'}")
    if "added_mib" in target:
        say_one("MiB added", med("ghost", added), target["added_mib"])
    if "added" in target and peers:
        say_one("MiB added, of the best peer's", med("ghost", added) / min(med(t, added) for t in peers), target["added"])
    if "update" in target and peers:
        say_one("time of an update, of the best peer's", med("ghost", columns["update s"]) / min(med(t, columns["update s"]) for t in peers), target["update"])
    say_one("peak MiB", med("ghost", columns["peak MiB"]), PEAK_MIB)
    if "ghost whole" in have:
        for what in ("newest s", "newest cpu", "oldest s", "check s", "check cpu"):
            say_one(f"{what}, of that without deltas", med("ghost", columns[what]) / med("ghost whole", columns[what]), target["reading"])
    return o


def main():
    a = arguments()
    bench.IMAGE_GIB.update(kernel=24, releases=24, image=40, dumps=16)
    d = Delta(a)
    try:
        d.all()
    finally:
        bench.cleanup(a)
    print(d.text, end="")


if __name__ == "__main__":
    main()
