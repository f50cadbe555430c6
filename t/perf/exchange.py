#!/usr/bin/env python3
"""What it costs to find out what the other side lacks: bytes and round trips of an update push, by four ways.

usage: exchange.py DIR [--ghost GHOST] [--name NAME]

DIR has two states of a tree, linux-old and linux-new (`inputs.py kernel`) or old and new. One repository gets both, another the
first alone; then the second state is pushed.

  snapshots  what ghost does: the list of refs says which snapshots are held, and who sends compares trees by itself. Counted on the
             wire; the pack itself is left out.
  levels     ask for ids level by level: each directory that is not known leads to the ids in it. Computed from the same ids.
  all        ask for all ids of the new snapshot at once. Computed.
  segments   exchange ids of data files and index segments; what both have need not be looked at, of the rest the index is sent.
             The two repositories have not one file in common, since each wrote its own. Computed from the sizes of the index.
  filter     send a Bloom filter of all ids that are held (10 bits each, 7 hashes). It is built and asked here with the real ids:
             what it wrongly calls held is named in a second answer.

An id takes 33 bytes, an answer a bit. For a push with nothing new the list of refs is enough, whatever follows; `empty` is what
a way sends where it does not look at refs first. Writes NAME.json and NAME.txt.
"""
import argparse, datetime, hashlib, json, os, platform, shutil, subprocess, tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ID_BYTES, FILTER_BITS, HASHES = 33, 10, 7


def run(*words):
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def objects(ghost, repository, *revisions):
    """Id, kind and path of all that snapshots lead to."""
    found = []
    for line in run(ghost, "--repo", repository, "rev-list", "--objects", *revisions).splitlines():
        id, _, rest = line.partition(" ")
        kind, _, path = rest.partition(" ")
        found.append((id, kind, path))
    return found


def push(ghost, source, target):
    """What `ghost push` says of itself, as JSON."""
    said = run(ghost, "--json", "--repo", source, "push", target).splitlines()[-1]
    return json.loads(said)


def levels(new, held):
    """Round trips, ids asked, of a walk that goes into what is not known."""
    by_path = {}
    for id, kind, path in new:
        if kind == "tree":
            by_path.setdefault(path, []).append(id)
    asked, deepest = 1, 1
    for _, _, path in new:
        above = path.rpartition("/")[0]
        if path == "" or any(tree not in held for tree in by_path.get(above, [])):
            asked += 1
            deepest = max(deepest, path.count("/") + 2)
    return deepest, asked


class Bloom:
    """A filter of so many ids."""

    def __init__(self, ids):
        self.size = max(8, len(ids) * FILTER_BITS)
        self.bits = bytearray((self.size + 7) // 8)
        for id in ids:
            for at in self.places(id):
                self.bits[at >> 3] |= 1 << (at & 7)

    def places(self, id):
        digest = hashlib.blake2b(id.encode(), digest_size=16).digest()
        a, b = int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little") | 1
        return [(a + n * b) % self.size for n in range(HASHES)]

    def has(self, id):
        return all(self.bits[at >> 3] >> (at & 7) & 1 for at in self.places(id))


def size(folder):
    return sum(os.path.getsize(os.path.join(folder, name)) for name in os.listdir(folder))


def measure(a, work):
    old, new = (next(os.path.join(a.dir, name) for name in names if os.path.isdir(os.path.join(a.dir, name)))
                for names in (("linux-old", "old"), ("linux-new", "new")))
    source, here, there = (os.path.join(work, name) for name in ("src", "here", "there"))
    run("rsync", "-a", f"{old}/", f"{source}/")
    for repository in (here, there):
        run(a.ghost, "-q", "init", repository)
    run(a.ghost, "-q", "--repo", here, "snapshot", source)
    push(a.ghost, here, there)
    empty = push(a.ghost, here, there)
    held = {id for id, _, _ in objects(a.ghost, there, "main")}
    run("rsync", "-a", "--delete", f"{new}/", f"{source}/")
    run(a.ghost, "-q", "--repo", here, "snapshot", source)
    index = {name: size(f"{path}/.ghost/index") for name, path in (("here", here), ("there", there))}
    update = push(a.ghost, here, there)
    closure = objects(a.ghost, here, "main", "-n", "1")
    lacking = [id for id, _, _ in closure if id not in held]
    depth, asked = levels(closure, held)
    filter = Bloom(held)
    wrong = sum(filter.has(id) for id in lacking)
    beside = {name: said["sent_bytes"] + said["received_bytes"] - said["pack_bytes"] for name, said in (("empty", empty), ("update", update))}
    return dict(
        held=len(held), closure=len(closure), lacking=len(lacking), wrongly_held=wrong, pack_bytes=update["pack_bytes"],
        ways=dict(
            snapshots=dict(update=[beside["update"], update["round_trips"]], empty=[beside["empty"], empty["round_trips"]]),
            levels=dict(update=[asked * ID_BYTES + asked // 8, depth + 1], empty=[ID_BYTES + 1, 1]),
            all=dict(update=[len(closure) * ID_BYTES + len(closure) // 8, 2], empty=[len(closure) * ID_BYTES + len(closure) // 8, 1]),
            segments=dict(update=[index["there"], 2], empty=[index["there"], 2]),
            filter=dict(update=[len(filter.bits) + wrong * ID_BYTES, 3 if wrong else 2], empty=[len(filter.bits), 1])))


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("dir")
    ap.add_argument("--ghost", default="ghost", help="the binary to measure")
    ap.add_argument("--name", default=f"exchange-{datetime.date.today()}", help="of the result files")
    ap.add_argument("--out", default=os.path.join(HERE, "runs"))
    ap.add_argument("--work", help="where repositories are made (default: a new folder)")
    a = ap.parse_args()
    a.ghost = os.path.abspath(shutil.which(a.ghost) or a.ghost)
    work = tempfile.mkdtemp(prefix="ghost-exchange-", dir=a.work)
    try:
        results = measure(a, work)
    finally:
        shutil.rmtree(work)
    results.update(machine=platform.platform(), version=run(a.ghost, "--version").strip(),
                   date=datetime.datetime.now().isoformat(timespec="seconds"))
    lines = [f"{results['closure']} objects of the new snapshot, {results['lacking']} of them not there, {results['held']} there; "
             f"the pack itself: {results['pack_bytes']:,} bytes", "",
             "bytes beside the pack, and round trips", f"{'':12}{'update':>14}{'':>4}{'empty':>14}"]
    for way, cost in results["ways"].items():
        lines.append(f"{way:12}" + "".join(f"{cost[push][0]:>14,}{cost[push][1]:>4}" for push in ("update", "empty")))
    lines.append(f"the filter calls {results['wrongly_held']} of the lacking objects held")
    with open(os.path.join(a.out, a.name + ".json"), "w") as f:
        json.dump(results, f, indent=1)
    with open(os.path.join(a.out, a.name + ".txt"), "w") as f:
        f.write("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
