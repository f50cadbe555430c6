#!/usr/bin/env python3
"""Compares ghost with other snapshot tools: time, CPU, peak memory, repository size.

usage: bench.py kernel  DIR [options]   a source tree of 78,600 files, and a later patch release of it
       bench.py large   DIR [options]   one file of 4.6 GB, and the same after 60 edits
       bench.py million [options]       a million small files with nothing changed, against a bare stat walk
       bench.py huge    [options]       one file of 20 GiB: peak memory

DIR is where inputs.py put the input. Steps, as far as a mode has them:
  first    snapshot into an empty repository (warm page cache)
  again    snapshot with nothing changed (several times; the median counts)
  update   the input is turned into its later version (only changed files are touched), snapshot
  restore  the last snapshot into an empty directory; compared with the source afterwards
  check    read and verify every stored byte

Each tool and run gets a filesystem of its own, made anew: ext4 takes ten times as long to create files soon after a
mass delete, which would be charged to whoever comes next. Runs of the tools are interleaved, and each run begins with
another tool. Needs root, for the loop mount. Tools that are not installed are left out and named. With --fs tmpfs nothing
waits for a disk, and syncing is free: that compares the programs where the disk of a machine would decide.

Writes NAME.json (every single measurement, the command, the machine, versions) and NAME.txt (medians, and what became
of each target) to the runs folder, after each tool, so that a broken run keeps what it had.
"""
import argparse, atexit, datetime, fcntl, json, os, platform, re, shutil, signal, statistics, subprocess, sys, tempfile, time

import inputs

HERE = os.path.dirname(os.path.abspath(__file__))
STEPS = dict(kernel=["first", "again", "update", "restore", "check"], large=["first", "again", "update", "restore", "check"],
             million=["first", "again"], huge=["first", "again", "restore", "check"])
TOOLS = dict(kernel="", large="ghost,rustic,restic,borg,bupstash,casync,tar|zstd", million="ghost,restic,rustic,bupstash", huge="ghost")
# Of the best peer's wall time; repository MiB after first and update ("best" is that of the smallest peer); peak MiB.
TARGET = dict(
    kernel=dict(first=0.55, again=0.8, update=0.25, restore=0.5, check=0.35, size1=198, size2=238, rss=120),
    large=dict(first=0.85, update=0.6, restore=0.7, check=0.5, size1="best", size2="best", rss=120),
    million=dict(walk=1.3, rss=150),
    huge=dict(rss=120),
)
FILESYSTEMS = ["ext4", "xfs", "btrfs", "tmpfs"]
IMAGE_GIB = dict(kernel=24, large=40, million=24, huge=80)


def arguments():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("mode", choices=STEPS)
    ap.add_argument("dir", nargs="?", help="where inputs.py put linux-old and linux-new, or large-old and large-new")
    ap.add_argument("--ghost", default="ghost", help="the binary to measure")
    ap.add_argument("--tools", help="a,b,c: only these (default: those installed that a mode suits)")
    ap.add_argument("--steps", help="a,b,c: only these")
    ap.add_argument("--runs", type=int, default=3)
    ap.add_argument("--again", type=int, default=5, help="how often the step `again` is repeated in a run")
    ap.add_argument("--name", help="of the result files (default: the mode and the date)")
    ap.add_argument("--out", default=os.path.join(HERE, "runs"), help="folder of the result files")
    ap.add_argument("--work", default="/tmp/ghost-bench", help="mount point of the filesystem under test")
    ap.add_argument("--image", help="sparse file behind it (default: WORK.img)")
    ap.add_argument("--fs", default="ext4", choices=FILESYSTEMS, help="tmpfs: no disk decides, and no sync costs anything")
    ap.add_argument("--timeout", type=int, default=1800, help="seconds after which a step is given up")
    ap.add_argument("--sparse", action="store_true", help="huge: mostly holes")
    ap.add_argument("--gib", type=int, default=20, help="huge: size")
    ap.add_argument("--note", default="", help="a remark kept in the results, such as what else the machine was doing")
    a = ap.parse_args()
    if a.mode in ("kernel", "large"):
        if not a.dir:
            ap.error(f"mode {a.mode} needs the folder of its input")
        for w in ("old", "new"):
            if not os.path.isdir(os.path.join(a.dir, f"{prefix(a.mode)}-{w}")):
                ap.error(f"{a.dir} holds no {prefix(a.mode)}-{w}: make it with `inputs.py {a.mode} {a.dir}`")
    if os.geteuid():
        ap.error("must be run as root: every tool gets a loop-mounted filesystem of its own")
    a.work = os.path.abspath(a.work)
    a.image = os.path.abspath(a.image or a.work + ".img")
    a.ghost = os.path.abspath(a.ghost) if os.sep in a.ghost else a.ghost
    a.name = a.name or f"{a.mode}-{datetime.date.today()}"
    a.steps = a.steps.split(",") if a.steps else STEPS[a.mode]
    return a


def prefix(mode):
    return {"kernel": "linux"}.get(mode, mode)


class Tool:
    """How one tool does each step, as shell commands. A step that it cannot do is None."""

    def __init__(self, binary, version, init, snap, restore, check, floor=False):
        self.binary, self.version, self.floor = binary, version, floor
        self.init, self.snap, self.restore, self.check = init, snap, restore, check


def tools(ghost, w):
    src, repo, out = f"{w}/src", f"{w}/repo", f"{w}/out"
    git = f"git --git-dir={repo} --work-tree"
    return {
        "ghost": Tool(ghost, f"{ghost} --version",
            init=f"{ghost} init {repo}",
            snap=f"{ghost} -C {repo} snapshot {src}",
            restore=f"{ghost} -C {repo} reconstruct @ {out}",
            check=f"{ghost} -C {repo} verify --data"),
        "rustic": Tool("rustic", "rustic --version",
            init="rustic init --no-progress",
            snap=f"rustic backup --no-progress {src}",
            restore=f"rustic restore --no-progress latest:{src} {out}",
            check="rustic check --read-data --no-progress"),
        "restic": Tool("restic", "restic version",
            init="restic init -q",
            snap=f"restic backup -q {src}",
            restore=f"restic restore -q latest --target {out}",
            check="restic check -q --read-data"),
        "borg": Tool("borg", "borg --version",
            init="borg init -e none",
            snap=f"borg create -C zstd,3 ::{{now:%s.%f}} {src}",
            restore=f"mkdir -p {out} && cd {out} && borg extract ::$(borg list --last 1 --short)",
            check="borg check --verify-data"),
        "bupstash": Tool("bupstash", "bupstash --version",
            init=f"bupstash new-key -o {w}/bupstash.key && bupstash init",
            snap=f"bupstash put --no-progress -q name=t {src}",
            restore=f"mkdir -p {out} && bupstash restore -q --into {out} "
                    "id=$(bupstash list --format=jsonl1 name=t | tail -1 | sed -E 's/.*\"id\":\"([0-9a-f]+)\".*/\\1/')",
            check=None),
        "bup": Tool("bup", "bup --version",
            init="bup init",
            snap=f"bup index {src} && bup save -q -n t {src}",
            restore=f"bup restore -q -C {out} /t/latest{src}/.",
            check="bup fsck"),
        "git": Tool("git", "git --version",
            init=f"git init -q --bare {repo} && git -C {repo} config core.bare false && git -C {repo} config gc.auto 0",
            snap=f"cd {src} && {git}={src} add -A -f . && {git}={src} commit -qm x --allow-empty",
            restore=f"mkdir -p {out} && cd {out} && {git}={out} checkout -q -f HEAD -- .",
            check=f"git --git-dir={repo} fsck --full --no-progress"),
        "casync": Tool("casync", "casync --version | head -1",
            init=f"mkdir -p {repo}",
            snap=f"casync make --store={repo}/s.castr {repo}/i.caidx {src}",
            restore=f"casync extract --store={repo}/s.castr {repo}/i.caidx {out}",
            check=f"casync digest --store={repo}/s.castr {repo}/i.caidx"),
        "tar|zstd": Tool("zstd", "zstd --version",
            init=f"mkdir -p {repo}",
            snap=f"tar -C {src} -cf - . | zstd -q -3 -T2 -f -o {repo}/t.zst",
            restore=f"mkdir -p {out} && zstd -qdc {repo}/t.zst | tar -C {out} -xf -",
            check=f"zstd -qt {repo}/t.zst", floor=True),
    }


def environment(w):
    repo, cache = f"{w}/repo", f"{w}/cache"
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "GHOST_", "RESTIC_", "RUSTIC_", "BORG_", "BUP"))}
    return dict(keep, HOME=f"{w}/home", TMPDIR=f"{w}/tmp", XDG_CACHE_HOME=cache, LC_ALL="C.UTF-8",
        RESTIC_PASSWORD="x", RESTIC_REPOSITORY=repo, RESTIC_CACHE_DIR=cache, RUSTIC_PASSWORD="x", RUSTIC_REPOSITORY=repo,
        RUSTIC_CACHE_DIR=cache, BORG_REPO=repo, BORG_BASE_DIR=cache, BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK="yes",
        BORG_RELOCATED_REPO_ACCESS_IS_OK="yes", BUP_DIR=repo, BUPSTASH_REPOSITORY=repo, BUPSTASH_KEY=f"{w}/bupstash.key",
        GIT_AUTHOR_NAME="b", GIT_AUTHOR_EMAIL="b@b", GIT_COMMITTER_NAME="b", GIT_COMMITTER_EMAIL="b@b")


class Bench:
    def __init__(self, a):
        self.a, self.w, self.env = a, a.work, environment(a.work)
        self.src, self.repo, self.out = f"{a.work}/src", f"{a.work}/repo", f"{a.work}/out"
        known = tools(a.ghost, a.work)
        asked = [t for t in (a.tools or TOOLS[a.mode] or ",".join(known)).split(",") if t]
        for t in asked:
            if t not in known:
                sys.exit(f"bench.py: no tool {t!r}; there are {', '.join(known)}")
        self.skipped = [t for t in asked if not shutil.which(known[t].binary)]
        self.tools = {t: known[t] for t in asked if t not in self.skipped}
        for t in self.skipped:
            say(f"{t} is left out: no `{os.path.basename(known[t].binary)}` to run")
        self.bin = compile_c()
        self.res = {t: [] for t in self.tools}
        self.head = dict(name=a.name, mode=a.mode, note=a.note, command=self.command(), date=datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
            machine=machine(a), versions={t: version(x.version) for t, x in self.tools.items()}, skipped=self.skipped, inputs=self.inputs())

    def command(self):
        """What was typed, with the folders of this machine left out."""
        return " ".join(re.sub(r"(^|=)[^=]*/", r"\1", x) for x in ["bench.py"] + sys.argv[1:])

    def inputs(self):
        p = os.path.join(self.a.dir, "inputs.json") if self.a.dir else ""
        return json.load(open(p)).get(self.a.mode) if os.path.exists(p) else None

    # -- one step ------------------------------------------------------------------------------------------------

    def run(self, cmd):
        """Runs and measures one command. CPU is that of all its processes; memory that of the largest of them."""
        os.sync()
        load = os.getloadavg()[0]
        with tempfile.TemporaryFile() as err, tempfile.TemporaryFile() as took:
            # descriptor 3 of `measure` is for its findings
            p = subprocess.Popen(["bash", "-c", f'exec "$0" "$@" 3>&{took.fileno()}', f"{self.bin}/measure", "bash", "-o", "pipefail", "-c", cmd], env=self.env,
                                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=err, cwd=self.w, process_group=0, pass_fds=[took.fileno()])
            try:
                p.wait(self.a.timeout)
            except BaseException as e:
                os.killpg(p.pid, signal.SIGKILL)
                p.wait()
                if not isinstance(e, subprocess.TimeoutExpired):
                    raise
            t0 = time.monotonic()
            os.sync()
            settle = time.monotonic() - t0
            took.seek(0)
            wall, user, system, rss, status = [float(x) for x in took.read().split() or [self.a.timeout, 0, 0, 0, 124]]
            err.seek(0)
            text = err.read().decode(errors="replace") or ("given up after the time limit" if status == 124 else "")
        m = dict(wall=wall, user=user, sys=system, cpu=round(user + system, 4), rss=round(rss / 1024, 1), sync_after=round(settle, 4), load_before=round(load, 2), ok=status == 0)
        say(f"    {m['wall']:8.2f} s {m['cpu']:8.2f} cpu {m['rss']:7.0f} MiB   {self.plain(cmd)[:90]}")
        if not m["ok"]:
            m["status"], m["stderr"] = int(status), self.plain(text[-2000:])
            say(f"!! status {int(status)}: {self.plain(cmd)}\n{text[-2000:]}")
        return m

    def plain(self, text):
        text = text.replace(self.bin + "/", "").replace(self.w, "$W").replace(self.a.ghost, "ghost")
        return text.replace(os.path.abspath(self.a.dir), "$DIR") if self.a.dir else text

    # -- one run of one tool -------------------------------------------------------------------------------------

    def fresh(self):
        a = self.a
        cleanup(a)
        if a.mode in ("large", "huge", "image"):
            # Else whoever comes now pays for pushing out of the page cache what others left there.
            with open("/proc/sys/vm/drop_caches", "w") as f:
                f.write("3\n")
        os.makedirs(a.work, exist_ok=True)
        if a.fs == "tmpfs":
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=75%", "ghost-bench", a.work], check=True)
        else:
            with open(a.image, "wb") as f:
                f.truncate(IMAGE_GIB[a.mode] << 30)
            more = ["-q"] + (["-N", "5000000"] if a.mode == "million" and a.fs == "ext4" else [])
            subprocess.run([f"mkfs.{a.fs}", *more, a.image], check=True)
            subprocess.run(["mount", "-o", "loop", a.image, a.work], check=True)
        for d in ("src", "home", "tmp", "cache"):
            os.makedirs(f"{self.w}/{d}")

    def fill(self):
        a = self.a
        if a.mode == "million":
            inputs.million(self.src)
        elif a.mode == "huge":
            inputs.huge(self.src, a.gib, a.sparse)
        elif a.mode == "large":
            shutil.copy2(f"{a.dir}/large-old/disk.img", self.src)
        else:
            shell(f"rsync -rlpt --delete '{a.dir}/linux-old/' {self.src}/")
        self.settle()

    def change(self):
        if self.a.mode == "large":
            shutil.copyfile(f"{self.a.dir}/large-new/disk.img", f"{self.src}/disk.img")
        else:   # no -t: only files whose content differs are touched, and get the time of now
            shell(f"rsync -rlpc --delete '{self.a.dir}/linux-new/' {self.src}/")
        self.settle()

    def settle(self):
        """Warms the page cache, and waits so that all times are safely in the past."""
        shell(f"find {self.src} -type f -print0 | xargs -0 -r cat > /dev/null; sync")
        time.sleep(2)

    def once(self, tool):
        steps, m = self.a.steps, {}
        self.fresh()
        self.fill()
        m["init"] = self.run(tool.init)
        if "first" in steps:
            m["first"] = self.run(tool.snap)
            m["size1"] = mib(self.repo)
        if "again" in steps:
            m["walk1"] = self.run(f"{self.bin}/statwalk {self.src} 1")
            m["walk2"] = self.run(f"{self.bin}/statwalk {self.src} 2")
            if not tool.floor:
                every = [self.run(tool.snap) for _ in range(self.a.again)]
                m["again"] = {k: statistics.median(e[k] for e in every) for k in ("wall", "user", "sys", "cpu")}
                m["again"].update(rss=max(e["rss"] for e in every), ok=all(e["ok"] for e in every), every=every)
        if "update" in steps:
            self.change()
            m["update"] = self.run(tool.snap)
            m["size2"] = mib(self.repo)
        if "restore" in steps and tool.restore:
            m["restore"] = self.run(tool.restore)
            m["restore"]["differs"] = self.differs()
        if "check" in steps and tool.check:
            m["check"] = self.run(tool.check)
        return m

    def differs(self):
        """How many names differ between the source and what was restored, by content."""
        root = self.out + self.src if os.path.isdir(self.out + self.src) else self.out
        if not os.path.isdir(root):
            return -1
        r = subprocess.run(["rsync", "-rlcn", "--delete", "--out-format=%o %n", self.src + "/", root + "/"], capture_output=True, text=True)
        names = [x for x in r.stdout.splitlines() if x]
        if names or r.returncode:
            say(f"!! what was restored differs from the source in {len(names)} names, such as {names[:3]} {r.stderr[-300:]}")
        return len(names) if not r.returncode else -1

    def all(self):
        order = list(self.tools)
        for r in range(self.a.runs):
            for t in order[r % len(order):] + order[:r % len(order)]:
                say(f"run {r + 1} of {self.a.runs}: {t}")
                self.res[t].append(self.once(self.tools[t]))
                self.store()
        cleanup(self.a)

    # -- results -------------------------------------------------------------------------------------------------

    def store(self):
        self.text = table(self.head, self.res, {t for t, x in self.tools.items() if x.floor})
        write_results(self.a, self.head, self.res, self.text)


def table(head, res, floors):
    """Medians of every column, and for each what ghost reached of its target."""
    mode, have = head["mode"], {t: r for t, r in res.items() if r}
    target = TARGET[mode]
    steps = [s for s in ["first", "again", "update", "restore", "check"] if any(s in m for r in have.values() for m in r)]

    def med(t, step, key=None):
        """The median over runs; None if the tool has no such step or failed in it."""
        v = [m.get(step) for m in have[t]]
        if not v or any(x is None for x in v):
            return None
        if key is None:
            return statistics.median(v)
        return None if not all(x["ok"] and not x.get("differs") for x in v) else statistics.median(x[key] for x in v)

    def best(step, key=None):
        v = [(med(t, step, key), t) for t in have if t != "ghost" and t not in floors]
        return min((x for x in v if x[0] is not None), default=(None, None))

    def num(x, width=9):
        return f"{'-':>{width}}" if x is None else f"{x:{width}.2f}" if x < 100 else f"{x:{width}.0f}"

    mc, o = head["machine"], []
    o.append(f"{head['name']}: {head['command']}")
    o.append(f"{head['date']}; {mc['cpu']}, {mc['cores']} cores, {mc['memory_gib']} GiB; {mc['kernel']}; {mc['fs']}")
    o.append("; ".join(f"{t} {v}" for t, v in head["versions"].items()))
    if head["skipped"]:
        o.append(f"not installed, so left out: {', '.join(head['skipped'])}")
    if head["note"]:
        o.append(f"note: {head['note']}")
    o.append(f"medians of {max(len(r) for r in have.values())} runs; '-': the tool has no such step, or failed in it")
    for title, key in (("wall seconds", "wall"), ("CPU seconds", "cpu"), ("peak memory of the largest process, MiB", "rss")):
        sizes = key == "wall"
        o += ["", f"{title}", f"{'':10}" + "".join(f"{s:>9}" for s in steps) + (f"{'MiB 1st':>11}{'MiB upd':>9}" if sizes else "")]
        for t in sorted(have, key=lambda t: (t in floors, t != "ghost")):
            o.append(f"{t:10}" + "".join(num(med(t, s, key)) for s in steps) + (f"{num(med(t, 'size1'), 11)}{num(med(t, 'size2'))}" if sizes else "") + ("  (floor)" if t in floors else ""))
        if key != "rss":
            for w in ("walk1", "walk2"):
                v = [m[w][key] for r in have.values() for m in r if w in m]
                if v:
                    o.append(f"{'stat walk':10}" + "".join(num(statistics.median(v)) if s == "again" else num(None) for s in steps) + f"  (floor, {w[-1]} thread{'s' * (w[-1] != '1')})")
    if "ghost" in have:
        o += ["", "ghost against the best peer of this run", f"{'':10}{'ghost':>9}{'best':>9}  {'peer':10}{'wall':>6}{'CPU':>6}  target"]
        line = lambda what, g, b, peer, ratio, cpu, goal, met: o.append(
            f"{what:10}{num(g)}{num(b)}  {peer or '':10}{'' if ratio is None else f'{ratio:.2f}':>6}{'' if cpu is None else f'{cpu:.2f}':>6}  " + (f"{goal}: {'met' if met else 'MISSED'}" if goal else "no target"))
        for s in steps:
            g, (b, peer), gc, bc = med("ghost", s, "wall"), best(s, "wall"), med("ghost", s, "cpu"), best(s, "cpu")[0]
            ratio = g / b if g is not None and b else None
            line(s, g, b, peer, ratio, gc / bc if gc is not None and bc else None, f"{target[s]} of the best peer" if s in target else "", ratio is not None and ratio <= target.get(s, 0))
        for s, what in (("size1", "MiB first"), ("size2", "MiB update")):
            g, (b, peer), goal = med("ghost", s), best(s), target.get(s)
            if g is not None:
                line(what, g, b, peer, g / b if b else None, None, "no larger than the smallest peer" if goal == "best" else f"below {goal} MiB" if goal else "", b is not None and g <= b if goal == "best" else goal and g < goal)
        peak = [x for x in (med("ghost", s, "rss") for s in steps) if x is not None]
        if peak:
            line("peak MiB", max(peak), *best_peak(best, steps), None, None, f"at most {target['rss']} MiB", max(peak) <= target["rss"])
        w = med("ghost", "walk2", "wall")
        if w and mode in ("kernel", "million") and med("ghost", "again", "wall"):
            ratio = med("ghost", "again", "wall") / w
            line("again/walk", med("ghost", "again", "wall"), w, "statwalk 2", ratio, med("ghost", "again", "cpu") / max(med("ghost", "walk2", "cpu"), 1e-9), f"at most {target['walk']} of a parallel stat walk" if "walk" in target else "", ratio <= target.get("walk", 0))
    failed = [f"{t} {s}: " + (m[s].get("stderr", "").strip().splitlines() or ["the restored tree differs from the source" if m[s].get("differs") else "failed"])[-1]
              for t, r in have.items() for m in r for s in m if isinstance(m[s], dict) and (not m[s]["ok"] or m[s].get("differs"))]
    if failed:
        o += ["", "failed:"] + [f"  {f}" for f in dict.fromkeys(failed)]
    return "\n".join(x.rstrip() for x in o) + "\n"


def best_peak(best, steps):
    """The peer that stays the smallest over all its steps is not one peer: the largest of the bests stands for them."""
    return max((b for b in (best(s, "rss") for s in steps) if b[0] is not None), default=(None, None))


# -- the machine -------------------------------------------------------------------------------------------------


def machine(a):
    cpu = next((l.split(":", 1)[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), platform.processor())
    mem = int(next(l for l in open("/proc/meminfo") if l.startswith("MemTotal")).split()[1]) >> 20
    under = subprocess.run(["stat", "-f", "-c", "%T", os.path.dirname(a.image)], capture_output=True, text=True).stdout.strip()
    fs = a.fs if a.fs == "tmpfs" else f"{a.fs} on a loop device"
    return dict(cpu=cpu, cores=len(os.sched_getaffinity(0)), memory_gib=mem, kernel=f"{platform.system()} {platform.release()}", fs=fs, image_on=under, python=platform.python_version())


def version(cmd):
    out = subprocess.run(["bash", "-c", cmd], capture_output=True, text=True).stdout
    m = re.search(r"\d+(\.[\w+-]+)+", out) or re.search(r"\d+", out)
    return m.group(0) if m else out.strip()[:40]


def compile_c():
    """Compiles measure and statwalk into a temporary folder."""
    d = tempfile.mkdtemp(prefix="ghost-bench-bin.")
    atexit.register(shutil.rmtree, d, True)
    for name in ("measure", "statwalk"):
        subprocess.run([os.environ.get("CC", "cc"), "-O2", "-pthread", "-o", f"{d}/{name}", f"{HERE}/{name}.c"], check=True)
    return d


def write_results(a, head, res, text):
    """Writes what was measured so far, and what came of it as a table."""
    os.makedirs(a.out, exist_ok=True)
    base = os.path.join(a.out, a.name)
    with open(base + ".json", "w") as f:
        json.dump(dict(head, runs=res), f, indent=1)
        f.write("\n")
    with open(base + ".txt", "w") as f:
        f.write(text)


def cleanup(a):
    if os.path.ismount(a.work):
        for wait in (0, 1, 5):
            time.sleep(wait)
            if subprocess.run(["umount", a.work], stderr=subprocess.DEVNULL).returncode == 0:
                break
        else:
            sys.exit(f"bench.py: {a.work} cannot be unmounted: something still uses it")
    if os.path.exists(a.image):
        os.unlink(a.image)


def mib(path):
    """What a folder takes on disk, in MiB; a file with several names counts once."""
    seen, s = set(), 0
    for d, _, fs in os.walk(path):
        for f in fs:
            st = os.lstat(os.path.join(d, f))
            if (st.st_dev, st.st_ino) not in seen:
                seen.add((st.st_dev, st.st_ino))
                s += st.st_blocks * 512
    return round(s / 2**20, 2)


def shell(cmd):
    subprocess.run(["bash", "-c", cmd], check=True)


def say(text):
    print(text, file=sys.stderr, flush=True)


def main():
    a = arguments()
    missing = [x for x in ("rsync", "mount" if a.fs == "tmpfs" else f"mkfs.{a.fs}", "mount", os.environ.get("CC", "cc")) if not shutil.which(x)]
    if missing:
        sys.exit(f"bench.py: needs {', '.join(missing)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # kept open, and so locked, to the end: two runs in one place would unmount each other's filesystem
    lock = open(a.work + ".lock", "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(f"bench.py: another run uses {a.work}: give this one its own --work, or wait (timings of two at once mean little)")
    b = Bench(a)
    if not b.tools:
        sys.exit("bench.py: none of the tools is installed")
    atexit.register(cleanup, a)
    if os.getloadavg()[0] > 1:
        say(f"the machine is busy (load {os.getloadavg()[0]:.1f}): compare CPU and ratios, not seconds")
    b.all()
    print(b.text, end="")


if __name__ == "__main__":
    main()
