#!/usr/bin/env python3
"""Compares `ghost gc` with what other tools do to free room: time, CPU, peak memory, MiB before and after.

usage: gc.py kernel DIR [options]   100 snapshots of a kernel tree with edits between them, of which 90 are forgotten
       gc.py mark [options]         marking in a repository of 10 million objects, made by plumbing/examples/many.rs
       gc.py verify DIR [options]   `ghost verify --max-age` of a kernel tree where nothing is left to check

DIR is where inputs.py put linux-old. Between two snapshots a seed decides which files are edited, added and removed, the same
for every tool: so the work is the same, and the run repeats. Then 90 of the snapshots are forgotten (every tenth stays),
and the room is freed: `ghost gc`, `restic prune`, `rustic prune`, `borg compact`, each of which lets some of it be unused, as
ghost does up to 5 %; and then once more, with nothing that may stay unused. Afterwards the newest snapshot is restored and
compared with the source by content, and the repository is checked.

Each tool gets a filesystem of its own, as in bench.py, whose helpers are used. For ghost the time that the lock of the refs
is held while all of it is freed is taken with strace in a run of its own, if strace is installed: the longest is to be at
most 50 ms. Needs root.
`kernel` takes about half an hour with all four tools (400 snapshots), `mark` some minutes, `verify` one.
"""
import argparse, atexit, datetime, json, os, random, re, shutil, statistics, subprocess, sys

import bench
from bench import cleanup, mib, say, shell

TARGET_MIB = 150
MARK_TARGET_MIB = 200
LOCK_TARGET_MS = 50
VERIFY_TARGET_MS = 50
VERIFY_RUNS = 11


def arguments():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("mode", choices=["kernel", "mark", "verify"])
    ap.add_argument("dir", nargs="?", help="where inputs.py put linux-old")
    ap.add_argument("--ghost", default="ghost", help="the binary to measure")
    ap.add_argument("--many", default="target/release/examples/many", help="mark: cargo build --release --example many -p ghost-plumbing")
    ap.add_argument("--objects", type=int, default=10_000_000, help="mark: how many")
    ap.add_argument("--tools", default="ghost,restic,rustic,borg")
    ap.add_argument("--snapshots", type=int, default=100)
    ap.add_argument("--keep", type=int, default=10, help="how many stay: spread evenly, the newest among them")
    ap.add_argument("--edits", type=int, default=200, help="files that are edited between two snapshots")
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--runs", type=int, default=1)
    ap.add_argument("--name", help="of the result files")
    ap.add_argument("--out", default=os.path.join(bench.HERE, "runs"))
    ap.add_argument("--work", default="/tmp/ghost-bench-gc")
    ap.add_argument("--image")
    ap.add_argument("--fs", default="ext4", choices=bench.FILESYSTEMS)
    ap.add_argument("--timeout", type=int, default=3600)
    ap.add_argument("--note", default="")
    a = ap.parse_args()
    if a.mode != "mark" and not os.path.isdir(os.path.join(a.dir or "", "linux-old")):
        ap.error(a.mode + " needs the folder with linux-old: make it with `inputs.py kernel DIR`")
    if os.geteuid():
        ap.error("must be run as root: every tool gets a loop-mounted filesystem of its own")
    a.work = os.path.abspath(a.work)
    a.image = os.path.abspath(a.image or a.work + ".img")
    a.ghost = os.path.abspath(a.ghost) if os.sep in a.ghost else a.ghost
    a.name = a.name or f"gc-{a.mode}-{datetime.date.today()}"
    return a


def prunes(a):
    """How each tool forgets all but some and frees the room; `keep` are numbers of snapshots, from 1."""
    w = a.work
    step = a.snapshots // a.keep
    lost = [n for n in range(1, a.snapshots + 1) if n % step]
    ids = f"{w}/ids"    # one id a line, in the order of the snapshots, written by the tools that need them
    pick = f"sed -n '{';'.join(f'{n}p' for n in lost)}' {ids}"
    return {
        "ghost": dict(
            forget=f"ghost_ids=$({a.ghost} -C {w}/repo log --json | python3 -c \"import json,sys; r=[json.loads(l) for l in sys.stdin]; "
                   f"print('\\n'.join(x['id'] for x in reversed(r) if x.get('type')=='snapshot'))\") && echo \"$ghost_ids\" > {ids} && "
                   f"{a.ghost} -C {w}/repo forget $({pick})",
            free=f"{a.ghost} -C {w}/repo gc", rest=f"{a.ghost} -C {w}/repo gc --max-unused 0"),
        "restic": dict(
            forget=f"restic snapshots --json | python3 -c \"import json,sys; print('\\n'.join(x['id'] for x in json.load(sys.stdin)))\" > {ids} && restic forget -q $({pick})",
            free="restic prune -q", rest="restic prune -q --max-unused 0"),
        "rustic": dict(
            forget=f"rustic snapshots --json --no-progress | python3 -c \"import json,sys; d=json.load(sys.stdin); "
                   f"s=[x for g in d for x in (g['snapshots'] if isinstance(g, dict) else g[1])]; "
                   f"print('\\n'.join(x['id'] for x in sorted(s, key=lambda x: x['time'])))\" > {ids} && rustic forget --no-progress $({pick})",
            free="rustic prune --no-progress --instant-delete",
            rest="rustic prune --no-progress --instant-delete --max-unused 0B"),
        "borg": dict(
            forget=f"borg list --short > {ids} && borg delete ::$({pick})",
            free="borg compact --threshold 5", rest="borg compact --threshold 0"),
    }


class Gc(bench.Bench):
    """Borrows from bench.Bench how one command is measured and how a filesystem is made."""

    def __init__(self, a):
        self.a, self.w, self.env = a, a.work, bench.environment(a.work)
        self.src, self.repo, self.out = f"{a.work}/src", f"{a.work}/repo", f"{a.work}/out"
        known = bench.tools(a.ghost, a.work)
        asked = a.tools.split(",")
        self.skipped = [t for t in asked if not shutil.which(known[t].binary)]
        self.tools = {t: known[t] for t in asked if t not in self.skipped}
        for t in self.skipped:
            say(f"{t} is left out: it is not installed")
        self.bin = bench.compile_c()
        self.res = {t: [] for t in self.tools}
        self.head = dict(name=a.name, mode=f"gc {a.mode}", note=a.note, command=self.command().replace("bench.py", "gc.py"),
            date=datetime.datetime.now().astimezone().isoformat(timespec="seconds"), machine=bench.machine(a),
            versions={t: bench.version(x.version) for t, x in self.tools.items()}, skipped=self.skipped)

    def edit(self, dice, names, n):
        """What happens between two snapshots: the same for every tool, by the seed."""
        for name in dice.sample(names, self.a.edits):
            path = os.path.join(self.src, name)
            if not os.path.exists(path):
                continue
            with open(path, "r+b") as f:
                size = os.path.getsize(path)
                f.seek(dice.randrange(size + 1))
                rest = f.read()
                f.seek(-len(rest), os.SEEK_END)
                f.write(dice.randbytes(dice.randrange(1, 200)).hex().encode() + rest)
        for i in range(self.a.edits // 20):
            with open(os.path.join(self.src, f"new-{n}-{i}"), "wb") as f:
                f.write(dice.randbytes(dice.randrange(1, 40_000)))
        for name in dice.sample(names, self.a.edits // 50):
            if os.path.exists(os.path.join(self.src, name)):
                os.unlink(os.path.join(self.src, name))

    def once(self, name):
        a, tool, m = self.a, self.tools[name], {}
        self.fresh()
        shell(f"rsync -rlpt --delete '{a.dir}/linux-old/' {self.src}/")
        self.settle()
        names = sorted(os.path.relpath(os.path.join(d, f), self.src) for d, _, fs in os.walk(self.src) for f in fs if not os.path.islink(os.path.join(d, f)))
        dice = random.Random(a.seed)
        m["init"] = self.run(tool.init)
        for n in range(1, a.snapshots + 1):
            if n > 1:
                self.edit(dice, names, n)
            took = self.run(tool.snap)
            if not took["ok"]:
                m["snapshots"] = took
                return m
        m["mib_before"] = mib(self.repo)
        how = prunes(a)[name]
        m["forget"] = self.run(how["forget"])
        if name == "ghost":
            m["dry_run"] = self.run(how["free"] + " --dry-run")
            m["lock_ms"] = self.lock_held(how["rest"])
        m["free"] = self.run(how["free"])
        m["mib_after"] = mib(self.repo)
        m["again"] = self.run(how["free"])
        m["rest"] = self.run(how["rest"])
        m["mib_rest"] = mib(self.repo)
        m["restore"] = self.run(tool.restore)
        m["restore"]["differs"] = self.differs()
        m["check"] = self.run(tool.check)
        return m

    def lock_held(self, command):
        """The longest time in ms that a gc of a copy of the repository held `refs/lock`; none without strace."""
        if not shutil.which("strace"):
            return None
        copy, trace = f"{self.w}/copy", f"{self.w}/trace"
        shell(f"rm -rf {copy}; cp -a {self.repo} {copy}")
        subprocess.run(["strace", "-f", "-ttt", "-e", "trace=openat,flock,close", "-o", trace, *command.replace(self.repo, copy).split()],
                       env=self.env, stdout=subprocess.DEVNULL, check=False)
        held, opened, longest = {}, {}, 0.0
        for line in open(trace, errors="replace"):
            x = re.match(r"(\d+) +([\d.]+) (.*)", line)
            if not x:
                continue
            when, call = float(x[2]), x[3]
            if o := re.match(r'openat\(.*"([^"]*)".* = (\d+)', call):
                opened[o[2]] = o[1]
            elif f := re.match(r"flock\((\d+), LOCK_EX\) += 0", call):
                if opened.get(f[1], "").endswith("refs/lock"):
                    held[f[1]] = when
            elif c := re.match(r"close\((\d+)", call):
                opened.pop(c[1], None)
                if c[1] in held:
                    longest = max(longest, when - held.pop(c[1]))
        shell(f"rm -rf {copy} {trace}")
        return round(longest * 1000, 2)

    def all(self):
        for r in range(self.a.runs):
            for t in list(self.tools):
                say(f"run {r + 1} of {self.a.runs}: {t}")
                self.res[t].append(self.once(t))
                self.store()
        cleanup(self.a)

    def store(self):
        self.text = table(self.head, self.res)
        bench.write_results(self.a, self.head, self.res, self.text)


def table(head, res):
    mc, o = head["machine"], []
    o.append(f"{head['name']}: {head['command']}")
    o.append(f"{head['date']}; {mc['cpu']}, {mc['cores']} cores, {mc['memory_gib']} GiB; {mc['kernel']}; {mc['fs']}")
    o.append("; ".join(f"{t} {v}" for t, v in head["versions"].items()))
    if head["skipped"]:
        o.append(f"not installed, so left out: {', '.join(head['skipped'])}")
    if head["note"]:
        o.append(f"note: {head['note']}")
    o += ["", f"{'':10}{'forget s':>10}{'free s':>10}{'CPU s':>10}{'peak MiB':>10}{'again s':>10}{'before':>10}{'after':>10}   MiB{'all s':>10}{'CPU s':>10}{'peak MiB':>10}{'left':>10}   MiB"]
    med = lambda t, step, key: statistics.median([m[step][key] for m in res[t]]) if res[t] and all(step in m and m[step]["ok"] and not m[step].get("differs") for m in res[t]) else None
    size = lambda t, key: statistics.median([m[key] for m in res[t]]) if res[t] and all(key in m for m in res[t]) else None
    num = lambda x: f"{'-':>10}" if x is None else f"{x:10.2f}"
    for t in res:
        o.append(f"{t:10}" + "".join(num(x) for x in (med(t, "forget", "wall"), med(t, "free", "wall"), med(t, "free", "cpu"), med(t, "free", "rss"),
                 med(t, "again", "wall"), size(t, "mib_before"), size(t, "mib_after"))) + "      " +
                 "".join(num(x) for x in (med(t, "rest", "wall"), med(t, "rest", "cpu"), med(t, "rest", "rss"), size(t, "mib_rest"))))
    o.append("")
    for step in ["free", "rest"]:
        mine = med("ghost", step, "wall") if "ghost" in res else None
        peers = [(med(t, step, "wall"), t) for t in res if t != "ghost"]
        best = min((x for x in peers if x[0] is not None), default=None)
        if mine is not None and best and step == "free":
            o.append(f"ghost gc: {mine / best[0]:.2f} of {best[1]} (target: ahead of all): {'met' if mine < best[0] else 'MISSED'}")
        elif mine is not None and best:
            o.append(f"ghost gc of all that is unused: {mine / best[0]:.2f} of {best[1]}")
    rss = med("ghost", "free", "rss") if "ghost" in res else None
    if rss is not None:
        o.append(f"peak memory {rss:.0f} MiB (target: at most {TARGET_MIB}): {'met' if rss <= TARGET_MIB else 'MISSED'}")
    locks = [m["lock_ms"] for m in res.get("ghost", []) if m.get("lock_ms") is not None]
    if locks:
        o.append(f"lock of the refs held {max(locks):.2f} ms at most, under strace (target: {LOCK_TARGET_MS}): {'met' if max(locks) <= LOCK_TARGET_MS else 'MISSED'}")
    failed = [f"{t} {s}: " + (m[s].get("stderr", "").strip().splitlines() or ["the restored tree differs" if m[s].get("differs") else "failed"])[-1]
              for t, r in res.items() for m in r for s in m if isinstance(m[s], dict) and (not m[s]["ok"] or m[s].get("differs"))]
    if failed:
        o += ["", "failed:"] + [f"  {f}" for f in dict.fromkeys(failed)]
    return "\n".join(o) + "\n"


def keep(b, measured, lines):
    """Keeps what was measured, and prints it."""
    os.makedirs(b.a.out, exist_ok=True)
    base, mc = os.path.join(b.a.out, b.a.name), b.head["machine"]
    with open(base + ".json", "w") as f:
        json.dump(dict(b.head, measured=measured), f, indent=1)
        f.write("\n")
    text = "\n".join([f"{b.head['name']}: {b.head['command']}",
                      f"{b.head['date']}; {mc['cpu']}, {mc['cores']} cores, {mc['memory_gib']} GiB; {mc['kernel']}; {mc['fs']}", ""] + lines)
    with open(base + ".txt", "w") as f:
        f.write(text + "\n")
    print(text)


def verify(a):
    """Checks a repository of the kernel tree of which all was checked just now."""
    a.tools = "ghost"
    b = Gc(a)
    atexit.register(cleanup, a)
    b.fresh()
    shell(f"rsync -rlpt --delete '{a.dir}/linux-old/' {b.src}/")
    b.settle()
    tool, check = b.tools["ghost"], f"{a.ghost} -C {a.work}/repo verify --max-age 30d"
    measured = dict(init=b.run(tool.init), snapshot=b.run(tool.snap), all=b.run(check))
    measured["rest"] = [b.run(check) for _ in range(VERIFY_RUNS)]
    whole = all(m["ok"] for m in [measured["all"]] + measured["rest"])
    ms = statistics.median(m["wall"] for m in measured["rest"]) * 1000
    met = "met" if whole and ms < VERIFY_TARGET_MS else "MISSED"
    keep(b, measured, [f"all of it: {measured['all']['wall']:.2f} s",
                       f"nothing left to check: {ms:.0f} ms, the median of {VERIFY_RUNS} (target: under {VERIFY_TARGET_MS}): {met}"])


def mark(a):
    """Marks in a repository of so many objects, nothing of which is dead."""
    a.tools = "ghost"
    b = Gc(a)
    atexit.register(cleanup, a)
    b.fresh()
    repo = f"{a.work}/repo"
    measured = dict(init=b.run(f"{a.ghost} init {repo}"), made=b.run(f"{os.path.abspath(a.many)} {repo}/.ghost {a.objects}"))
    m = measured["mark"] = b.run(f"{a.ghost} -C {repo} gc --dry-run")
    met = "met" if m["rss"] <= MARK_TARGET_MIB and all(step["ok"] for step in measured.values()) else "MISSED"
    keep(b, measured, [f"{a.objects} objects: {m['wall']:.2f} s, {m['cpu']:.2f} s of CPU, {m['rss']:.0f} MiB (target: at most {MARK_TARGET_MIB}): {met}"])


def main():
    a = arguments()
    bench.IMAGE_GIB[a.mode] = 40
    if a.mode != "kernel":
        return dict(mark=mark, verify=verify)[a.mode](a)
    b = Gc(a)
    atexit.register(cleanup, a)
    b.all()
    print(b.text, end="")


if __name__ == "__main__":
    main()
