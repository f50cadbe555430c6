#!/usr/bin/env python3
"""Compares `ghost dup` with fclones, jdupes and rdfind, and `ghost scan` with sha256sum: time, CPU, peak memory, groups.

usage: dup.py kernel DIR [options]    the tree DIR/linux-old (see inputs.py) beside two copies of it with edits
       dup.py trees PATH... [options] trees that are there, such as /usr; nothing in them is changed
       dup.py million [options]       a million small files; ghost alone, for the memory of every command over trees

Each run does, in turns that begin with another one each time:
  ghost cold   `ghost dup --groups` in a new repository: its catalogue is made on the way
  ghost warm   the same again, with nothing changed
  ghost bare   the same without a repository
  as found     `ghost dup --as-found` without a repository: each duplicate as soon as it is known
  first        the same until its first line, cold
  fclones      `fclones group -A -. `, jdupes `-r`, rdfind `-dryrun true`, each as it is without further options
  scan         `ghost scan` into a new repository
  sha256sum    all files, by as many processes as there are cores
  condense     `ghost condense` of the trees into a new snap: file; only with million, or with --steps
  condense all the same into a new gfs: file, with all bytes; as condense
Only with million, or with --steps, also, each after what it needs was made:
  found cold   `ghost dup --as-found` in a new repository
  overlap, overlap ordered    `ghost overlap` of the first folder of the first tree with all trees, as found and in order
  ghosts only  `ghost snapshot --ghosts-only` into a new repository
  gfs push     `ghost gfs push` into a new file
  export, import   `ghost export-desc --all` of what was scanned; `ghost import-desc` of that into a new repository
  verify, verify left   `ghost verify` of the trees after a scan; `--max-age 30d`, when nothing is left
  links, copies   `ghost reconstruct --source` of the united snapshot, by symbolic links, and by copies
  replace links, replace hard, replace copies   the same, also by hard links, over a copy of the trees in which each file has a byte more
  replace and delete   by symbolic links with `--delete`, over such a copy in which each file has a further name
  delete       the same over folders in which there are only further names of all files of the trees

With --against, each step of ghost is done by that program, too, in turns, and the ratio of the two is told.

The page cache is warmed before. All tools must find the same groups: sets of inodes with the same bytes, empty files left
out. Peers that are not installed are left out and named.

Writes NAME.json (every measurement) and NAME.txt (medians, ratios, what became of the targets) to the runs folder.
"""
import argparse, datetime, json, os, random, re, shutil, statistics, subprocess, sys, tempfile, time

import bench, inputs
from bench import say

TARGETS = [
    # step, compared with, at most
    ("ghost cold", "best", 1.0),
    ("ghost warm", "best", 0.1),
    ("scan", "sha256sum", 0.6),
]
RSS_MIB = 150
# For their memory; those in need of what another made stand behind it.
MILLION = ["ghost cold", "ghost warm", "ghost bare", "as found", "found cold", "overlap", "overlap ordered", "scan", "condense", "condense all",
           "ghosts only", "gfs push", "export", "import", "verify", "verify left", "links", "copies", "replace links", "replace hard",
           "replace copies", "replace and delete", "delete"]
# Whether what is rebuilt over has each file with a byte more, and further names.
REBUILDING = {"links": (False, False), "copies": (False, False), "replace links": (True, False), "replace hard": (True, False),
              "replace copies": (True, False), "replace and delete": (True, True), "delete": (False, True)}
COMPARED = ["ghost cold", "ghost warm", "ghost bare", "as found", "first", "fclones", "jdupes", "rdfind", "scan", "sha256sum"]
# Of the program that is compared with.
BEFORE = " before"


def arguments():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("mode", choices=["kernel", "trees", "million"])
    ap.add_argument("paths", nargs="*", help="the folder of the input, or the trees")
    ap.add_argument("--bin", help="a folder with peers that are not in PATH")
    ap.add_argument("--ghost", default="ghost", help="the binary to measure")
    ap.add_argument("--against", help="another binary, of an older state, to compare with")
    ap.add_argument("--steps", help="a,b,c: only these")
    ap.add_argument("--runs", type=int, default=3)
    ap.add_argument("--name", help="of the result files (default: dup, the mode and the date)")
    ap.add_argument("--out", default=os.path.join(bench.HERE, "runs"), help="folder of the result files")
    ap.add_argument("--work", default="/var/tmp/ghost-dup", help="where copies and repositories are made")
    ap.add_argument("--timeout", type=int, default=1800, help="seconds after which a step is given up")
    ap.add_argument("--note", default="", help="a remark kept in the results")
    a = ap.parse_args()
    a.ghost = os.path.abspath(a.ghost) if os.sep in a.ghost else a.ghost
    a.against = a.against and os.path.abspath(a.against)
    a.work = os.path.abspath(a.work)
    a.name = a.name or f"dup-{a.mode}-{datetime.date.today()}"
    a.paths = [os.path.abspath(p) for p in a.paths]
    if bool(a.paths) != (a.mode != "million"):
        ap.error("kernel wants one folder, trees at least one; million makes its own")
    if a.bin:
        os.environ["PATH"] = os.path.abspath(a.bin) + os.pathsep + os.environ["PATH"]
    if a.mode == "million":
        a.steps = a.steps or ",".join(MILLION)
    if a.mode == "kernel" and not os.path.isdir(os.path.join(a.paths[0], "linux-old")):
        ap.error(f"{a.paths[0]} holds no linux-old: make it with `inputs.py kernel {a.paths[0]}`")
    return a


def plant(source, target):
    """The tree, and two copies of it: in the second a line is added to every 50th file, in the third one byte differs in
    every 70th, and every 100th is gone."""
    rng = random.Random(1)
    shutil.rmtree(target, ignore_errors=True)
    os.makedirs(target)
    for copy in ("one", "two", "three"):
        subprocess.run(["cp", "-a", source, os.path.join(target, copy)], check=True)
    for copy, every in (("two", 50), ("three", 70)):
        for number, path in enumerate(files([os.path.join(target, copy)])):
            size = os.path.getsize(path)
            if copy == "two" and number % every == 0:
                with open(path, "ab") as f:
                    f.write(b"one line more\n")
            elif copy == "three" and number % 100 == 7:
                os.remove(path)
            elif copy == "three" and number % every == 0 and size:
                at = rng.randrange(size)
                with open(path, "r+b") as f:
                    f.seek(at)
                    old = f.read(1)
                    f.seek(at)
                    f.write(bytes([old[0] ^ 1]))


def files(trees):
    for tree in trees:
        for folder, names, leaves in os.walk(tree):
            names.sort()
            for leaf in sorted(leaves):
                path = os.path.join(folder, leaf)
                if os.path.isfile(path) and not os.path.islink(path):
                    yield path


def plant_over(source, target, longer, further):
    """Folders as in the source: with each file a byte longer, if asked for, and with a further name of that, or else of the
    file itself, if that is asked for."""
    for folder, _, leaves in os.walk(source):
        here = os.path.join(target, os.path.relpath(folder, source))
        os.makedirs(here, exist_ok=True)
        for leaf in leaves:
            first, here_first = os.path.join(folder, leaf), os.path.join(here, leaf)
            if longer:
                with open(first, "rb") as old, open(here_first, "wb") as new:
                    new.write(old.read() + b"+")
                first = here_first
            if further:
                os.link(first, os.path.join(here, "x-" + leaf))


def inode(path):
    s = os.lstat(path)
    return s.st_dev, s.st_ino


def groups_of(step, out, results):
    """What a tool found, as sets of inodes: the same whatever name of an inode it tells."""
    step = step.removesuffix(BEFORE)
    if step in ("as found", "found cold"):
        by_first = {}
        for g in map(json.loads, open(out)):
            if g["type"] == "duplicate":
                by_first.setdefault(g["first"]["path"], [g["first"]["path"]]).append(g["path"])
        found = by_first.values()
    elif step in ("ghost cold", "ghost warm", "ghost bare"):
        found = [[f["path"] for f in g["files"]] for g in map(json.loads, open(out)) if g["type"] == "duplicates"]
    elif step == "fclones":
        found = [g["files"] for g in json.load(open(out))["groups"]]
    elif step == "jdupes":
        found = [g.splitlines() for g in open(out, errors="surrogateescape").read().split("\n\n")]
    elif step == "rdfind":
        by_id = {}
        for line in open(results, errors="surrogateescape"):
            if not line.startswith("#"):
                part = line.rstrip("\n").split(" ", 7)
                by_id.setdefault(abs(int(part[1])), []).append(part[7])
        found = by_id.values()
    else:
        return None
    sets = (frozenset(inode(p) for p in g if p) for g in found)
    return {g for g in sets if len(g) > 1}


class Dup:
    def __init__(self, a):
        self.a = a
        os.makedirs(a.work, exist_ok=True)
        self.bin = bench.compile_c()
        self.repo, self.out, self.results = (os.path.join(a.work, n) for n in ("repo", "out", "rdfind.txt"))
        self.trees = a.paths
        if a.mode == "kernel":
            self.trees = [os.path.join(a.work, "trees")]
            say("making the copies")
            plant(os.path.join(a.paths[0], "linux-old"), self.trees[0])
        if a.mode == "million":
            self.trees = [os.path.join(a.work, "million")]
            if not os.path.isdir(self.trees[0]):
                say("making a million files")
                inputs.million(self.trees[0])
        self.bundle, self.told, self.rebuilt = (os.path.join(a.work, n) for n in ("united", "all.ghostdesc", "rebuilt"))
        self.steps = self.steps_of(a.ghost, "")
        asked = a.steps.split(",") if a.steps else COMPARED
        unknown = [s for s in asked if s not in self.steps]
        if unknown:
            sys.exit(f"dup.py: no step {unknown[0]!r}; there are {', '.join(self.steps)}")
        if a.against:
            older = {s: step for s, step in self.steps_of(a.against, BEFORE).items() if step[0] == a.against}
            self.steps |= {s + BEFORE: step for s, step in older.items()}
            asked = [each for s in asked for each in ([s, s + BEFORE] if s in older else [s])]
        self.skipped = [s for s in asked if not shutil.which(self.steps[s][0])]
        self.asked = [s for s in asked if s not in self.skipped]
        for s in self.skipped:
            say(f"{s} is left out: no `{os.path.basename(self.steps[s][0])}` to run")
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("GHOST_")}
        self.env["HOME"] = a.work
        self.runs = {s: [] for s in self.asked}
        self.head = dict(name=a.name, mode=a.mode, note=a.note, date=datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
            command=" ".join(re.sub(r"(^|=)[^=]*/", r"\1", x) for x in ["dup.py"] + sys.argv[1:]), skipped=self.skipped,
            cores=os.cpu_count(), kernel=os.uname().release, versions={s: bench.version(self.steps[s][2]) for s in self.asked})

    def bundle_of(self, suffix):
        """Each program reads what it made itself."""
        return self.bundle + suffix.replace(" ", "-")

    def steps_of(self, ghost, suffix):
        """The program of each step, its command, and what tells its version."""
        bundle = self.bundle_of(suffix)
        t = " ".join(f"'{p}'" for p in self.trees)
        g = f"{ghost} --repo {self.repo}"
        steps = {
            "ghost cold": (ghost, f"{g} dup --json {t}", f"{ghost} --version"),
            "ghost warm": (ghost, f"{g} dup --json {t}", f"{ghost} --version"),
            "ghost bare": (ghost, f"cd / && {ghost} dup --json {t}", f"{ghost} --version"),
            "as found": (ghost, f"cd / && {ghost} dup --as-found --json {t}", f"{ghost} --version"),
            "first": (ghost, f"cd / && read -r line < <({ghost} dup --as-found {t} 2> /dev/null)", f"{ghost} --version"),
            "fclones": ("fclones", f"fclones group -A -. -f json {t}", "fclones --version"),
            "jdupes": ("jdupes", f"jdupes -r -q {t}", "jdupes -v | head -1"),
            "rdfind": ("rdfind", f"rdfind -dryrun true -outputname {self.results} {t}", "rdfind --version"),
            "scan": (ghost, f"{g} scan {t}", f"{ghost} --version"),
            "sha256sum": ("sha256sum", f"find {t} -type f -print0 | xargs -0 -P {os.cpu_count()} -n 512 sha256sum", "sha256sum --version | head -1"),
        }
        steps["condense"] = (ghost, f"cd / && {ghost} condense -q {t} snap:{bundle}.gs", f"{ghost} --version")
        steps["condense all"] = (ghost, f"cd / && {ghost} condense -q {t} gfs:{bundle}.gfs", f"{ghost} --version")
        version = f"{ghost} --version"
        one = next((e.path for e in sorted(os.scandir(self.trees[0]), key=lambda e: e.name) if e.is_dir(follow_symlinks=False)), self.trees[0])
        sources = " ".join(f"'--source={p}'" for p in self.trees)
        for step, command in {
            "found cold": f"{g} dup --as-found --json {t}",
            "overlap": f"cd / && {ghost} overlap --as-found -0 '{one}' {t}",
            "overlap ordered": f"cd / && {ghost} overlap --in-order -0 '{one}' {t}",
            "ghosts only": f"{g} snapshot -q --ghosts-only {t}",
            "gfs push": f"cd / && {ghost} gfs push -q '{self.trees[0]}' gfs:{bundle}.gfs",
            "export": f"{g} export-desc -q --all -o {self.told}",
            "import": f"{g} import-desc -q {self.told}",
            "verify": f"{g} verify -q --path {t}",
            "verify left": f"{g} verify -q --max-age 30d --path {t}",
            "links": f"{g} reconstruct -q --symlink {sources} snap:{bundle}.gs {self.rebuilt}",
            "copies": f"{g} reconstruct -q {sources} snap:{bundle}.gs {self.rebuilt}",
            "replace links": f"{g} reconstruct -q --symlink {sources} snap:{bundle}.gs {self.rebuilt}",
            "replace hard": f"{g} reconstruct -q --hardlink {sources} snap:{bundle}.gs {self.rebuilt}",
            "replace copies": f"{g} reconstruct -q {sources} snap:{bundle}.gs {self.rebuilt}",
            "replace and delete": f"{g} reconstruct -q --symlink --delete {sources} snap:{bundle}.gs {self.rebuilt}",
            "delete": f"{g} reconstruct -q --symlink --delete {sources} snap:{bundle}.gs {self.rebuilt}",
        }.items():
            steps[step] = (ghost, command, version)
        return steps

    def fresh(self, ghost):
        shutil.rmtree(self.repo, ignore_errors=True)
        subprocess.run([ghost, "init", "-q", self.repo], check=True, env=self.env)

    def before(self, whole):
        """Makes what a step begins with."""
        step = whole.removesuffix(BEFORE)
        suffix, ghost = whole[len(step):], self.steps[whole][0]
        bundle = self.bundle_of(suffix)
        run = lambda other: subprocess.run(["bash", "-c", self.steps[other + suffix][1]], check=True, env=self.env, stdout=subprocess.DEVNULL)
        if step in ("ghost cold", "found cold", "scan", "ghosts only", "ghost warm", "import", "export", "verify", "verify left") or step in REBUILDING:
            self.fresh(ghost)
        # What changed within the last moments is never trusted: the trees are older than that by now.
        for other in {"ghost warm": ["ghost warm"], "export": ["scan"], "verify": ["scan"], "verify left": ["scan"]}.get(step, []):
            run(other)
        if step == "import" and not os.path.exists(self.told):
            run("scan")
            run("export")
            self.fresh(ghost)
        for end in (".gs", ".gfs"):
            if os.path.exists(bundle + end) and step not in REBUILDING:
                os.remove(bundle + end)
        if step in REBUILDING and not os.path.exists(bundle + ".gs"):
            run("condense")
        shutil.rmtree(self.rebuilt, ignore_errors=True)
        longer, further = REBUILDING.get(step, (False, False))
        if longer or further:
            plant_over(self.trees[0], self.rebuilt, longer, further)

    def once(self, step):
        self.before(step)
        load = os.getloadavg()[0]
        with open(self.out, "wb") as out, tempfile.TemporaryFile() as err, tempfile.TemporaryFile() as took:
            p = subprocess.Popen(["bash", "-c", f'exec "$0" "$@" 3>&{took.fileno()}', f"{self.bin}/measure", "bash", "-o", "pipefail", "-c", self.steps[step][1]],
                                 env=self.env, stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=self.a.work, pass_fds=[took.fileno()])
            try:
                p.wait(self.a.timeout)
            except BaseException:
                p.kill()
                raise
            took.seek(0)
            wall, user, system, rss, status = [float(x) for x in took.read().split() or [self.a.timeout, 0, 0, 0, 124]]
            err.seek(0)
            said = err.read().decode(errors="replace")[-2000:]
        found = groups_of(step, self.out, self.results) if status == 0 else None
        m = dict(wall=wall, user=user, sys=system, cpu=round(user + system, 4), rss=round(rss / 1024, 1), load_before=round(load, 2), status=int(status),
                 groups=len(found) if found is not None else None)
        say(f"    {wall:8.2f} s {m['cpu']:8.2f} cpu {m['rss']:7.0f} MiB   {step}" + (f", {len(found)} groups" if found is not None else ""))
        if status:
            m["stderr"] = said
            say(f"!! status {int(status)}: {said}")
        return m, found

    def all(self):
        say("warming the page cache")
        for tree in self.trees:
            subprocess.run(["bash", "-c", 'find "$0" -type f -print0 | xargs -0 -r cat > /dev/null', tree], stderr=subprocess.DEVNULL)
        subprocess.run(["sync"])
        time.sleep(2)
        self.agree = {}
        for r in range(self.a.runs):
            at = r % len(self.asked)
            say(f"run {r + 1} of {self.a.runs}")
            for step in self.asked[at:] + self.asked[:at]:
                m, found = self.once(step)
                self.runs[step].append(m)
                if found is not None:
                    self.agree[step] = found
            self.store()
        for left in (self.repo, self.rebuilt):
            shutil.rmtree(left, ignore_errors=True)

    def store(self):
        os.makedirs(self.a.out, exist_ok=True)
        base = os.path.join(self.a.out, self.a.name)
        reference = next((self.agree[s] for s in ("ghost cold", "ghost bare", "as found") if s in self.agree), set())
        differ = {s: [len(f - reference), len(reference - f)] for s, f in self.agree.items() if f != reference}
        self.head["groups_differ"] = differ
        with open(base + ".json", "w") as f:
            json.dump(dict(self.head, runs=self.runs), f, indent=1)
            f.write("\n")
        self.text = table(self.head, self.runs, len(reference))
        with open(base + ".txt", "w") as f:
            f.write(self.text)


def table(head, runs, groups):
    med = {s: {k: statistics.median(m[k] for m in r) for k in ("wall", "cpu", "rss")} for s, r in runs.items() if r and all(m["status"] == 0 for m in r)}
    peers = [s for s in ("fclones", "jdupes", "rdfind") if s in med]
    o = [f"{head['name']}: {head['command']}", f"{head['date']}; {head['cores']} cores; kernel {head['kernel']}"]
    o.append("; ".join(f"{s} {v}" for s, v in head["versions"].items()))
    if head["skipped"]:
        o.append(f"not installed, so left out: {', '.join(head['skipped'])}")
    if head["note"]:
        o.append(f"note: {head['note']}")
    o += ["", f"{'':25}{'wall':>9}{'CPU':>9}{'MiB':>9}"]
    o += [f"{s:25}{m['wall']:9.2f}{m['cpu']:9.2f}{m['rss']:9.0f}" for s, m in med.items()]
    o.append("")
    for step, other, most in TARGETS:
        other = min(peers, key=lambda s: med[s]["wall"], default=None) if other == "best" else other
        if step in med and other in med:
            ratio = med[step]["wall"] / med[other]["wall"]
            o.append(f"{step} / {other}: {ratio:.3f}; target at most {most}: {'met' if ratio <= most else 'MISSED'}")
    for step in (s for s in med if s + BEFORE in med):
        o.append(f"{step} / before: {med[step]['wall'] / med[step + BEFORE]['wall']:.3f} of the time, {med[step]['cpu'] / med[step + BEFORE]['cpu']:.3f} of the CPU")
    ours = [s for s in med if not s.endswith(BEFORE) and s not in ("fclones", "jdupes", "rdfind", "sha256sum", "first")]
    if head["mode"] == "million":
        o += [f"{s}: {max(m['rss'] for m in runs[s]):.0f} MiB; target at most {RSS_MIB}: "
              f"{'met' if max(m['rss'] for m in runs[s]) <= RSS_MIB else 'MISSED'}" for s in ours]
    peak = max((med[s]["rss"] for s in ours), default=None)
    if peak is not None:
        o.append(f"peak memory of ghost: {peak:.0f} MiB; target at most {RSS_MIB}: {'met' if peak <= RSS_MIB else 'MISSED'}")
    if head["groups_differ"]:
        o += [f"groups of {s} differ from ghost's {groups}: {more} more, {less} less" for s, (more, less) in head["groups_differ"].items()]
    else:
        o.append(f"all tools that tell groups found the same {groups}")
    o += [f"failed: {s}: status {m['status']}: {(m.get('stderr') or '').strip().splitlines()[-1:]}" for s, r in runs.items() for m in r if m["status"]]
    return "\n".join(x.rstrip() for x in o) + "\n"


def main():
    dup = Dup(arguments())
    dup.all()
    print(dup.text, end="")


if __name__ == "__main__":
    main()
