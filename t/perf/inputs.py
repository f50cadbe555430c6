#!/usr/bin/env python3
"""Makes the inputs of bench.py from Debian's archive and from seeds.

usage: inputs.py kernel DIR [--old VERSION] [--new VERSION]
       inputs.py large DIR
       inputs.py million DIR [--dirs N] [--files N]
       inputs.py huge DIR [--gib N] [--sparse]

kernel   DIR/linux-old and DIR/linux-new, two patch releases of linux-source-6.1 as Debian packages them
         (78,600 files, 1.24 GiB each; times as in the archive)
large    DIR/large-old/disk.img, 4.5 GB: the unpacked contents of a few packages one after the other, a run of zeros
         and some noise; and DIR/large-new/disk.img, the same after 60 inserts, deletes and overwrites (700 kB in all)
million  DIR/d000 to d999 with 1,000 files of 0 to 100 bytes each
huge     DIR/huge.img, 20 GiB, of noise that compresses by half; or with --sparse, mostly holes

What was used (package versions, sizes, SHA-256 of the images) is written to DIR/inputs.json. A package version that
the archive no longer offers is replaced by the nearest one it has, and inputs.json says so; everything else follows
from the seeds, so the same packages give the same bytes.
"""
import argparse, hashlib, json, os, random, shutil, subprocess, sys

KERNEL = ("linux-source-6.1", "6.1.176-1", "6.1.192-2")
# Chosen so that `zstd -3` makes a third of it, as of a disk that is in use: programs, fonts, sound, sources.
PARTS = [
    ("libwine", "8.0~repack-4"),
    ("libllvm15", "1:15.0.6-4+b1"),
    ("noise", 24 << 20),
    ("fonts-noto-cjk", "1:20220127+repack1-1"),
    (KERNEL[0], KERNEL[1]),
    ("zeros", 32 << 20),
    ("golang-1.19-go", "1.19.8-2"),
    ("texlive-fonts-extra", "2022.20230122-4"),
    ("musescore-general-soundfont-lossless", "0.2.1-1"),
]
EDITS, EDIT_BYTES = 60, 700_000


def note(d, key, value):
    """Adds one entry to DIR/inputs.json."""
    path = os.path.join(d, "inputs.json")
    have = json.load(open(path)) if os.path.exists(path) else {}
    have[key] = value
    with open(path, "w") as f:
        json.dump(have, f, indent=1, sort_keys=True)
        f.write("\n")


def offered(package):
    """The versions of a package that the archive has now, newest first."""
    out = subprocess.run(["apt-cache", "madison", package], check=True, capture_output=True, text=True).stdout
    return list(dict.fromkeys(line.split("|")[1].strip() for line in out.splitlines() if "Packages" in line))


def download(package, version, oldest, d):
    """The path of the package file, and the version it really has."""
    have = offered(package)
    if not have:
        sys.exit(f"inputs.py: the archive has no {package}; run `apt-get update` first")
    if version not in have:
        version = have[-1] if oldest else have[0]
    os.makedirs(d, exist_ok=True)
    path = os.path.join(d, f"{package}_{version.replace(':', '%3a')}.deb")
    if not os.path.exists(path):
        tmp = os.path.join(d, "part")
        shutil.rmtree(tmp, ignore_errors=True)
        os.makedirs(tmp)
        subprocess.run(["apt-get", "-qq", "download", f"{package}={version}"], check=True, cwd=tmp, stderr=subprocess.DEVNULL)
        os.rename(os.path.join(tmp, os.listdir(tmp)[0]), path)
        os.rmdir(tmp)
    return path, version


def kernel_tar(deb):
    """A shell pipeline that writes the source tree's tar."""
    return f"dpkg-deb --fsys-tarfile '{deb}' | tar -xOf - --wildcards './usr/src/linux-source-*.tar.xz' | xz -dc"


def kernel(a):
    used = {}
    for which, version in (("old", a.old), ("new", a.new)):
        deb, got = download(KERNEL[0], version, which == "old", os.path.join(a.dir, "dl"))
        out = os.path.join(a.dir, f"linux-{which}")
        if os.path.exists(out):
            sys.exit(f"inputs.py: {out} is already there")
        os.makedirs(out)
        subprocess.run(["bash", "-o", "pipefail", "-c", f"{kernel_tar(deb)} | tar -C '{out}' --strip-components=1 -xf -"], check=True)
        files = [os.path.join(p, f) for p, _, fs in os.walk(out) for f in fs]
        regular = [f for f in files if os.path.isfile(f) and not os.path.islink(f)]
        used[which] = dict(package=KERNEL[0], version=got, asked=version, files=len(regular), bytes=sum(os.path.getsize(f) for f in regular))
    note(a.dir, "kernel", used)


def large(a):
    old, new = (os.path.join(a.dir, f"large-{w}", "disk.img") for w in ("old", "new"))
    for p in (old, new):
        os.makedirs(os.path.dirname(p), exist_ok=True)
    used = []
    with open(old, "wb") as f:
        for name, what in PARTS:
            start = f.tell()
            if name == "zeros":
                f.write(bytes(what))
                version = None
            elif name == "noise":
                f.write(random.Random("noise").randbytes(what))
                version = None
            else:
                deb, version = download(name, what, True, os.path.join(a.dir, "dl"))
                cmd = kernel_tar(deb) if name == KERNEL[0] else f"dpkg-deb --fsys-tarfile '{deb}'"
                f.flush()
                subprocess.run(["bash", "-o", "pipefail", "-c", cmd], check=True, stdout=f)
                f.seek(0, os.SEEK_END)
            used.append(dict(part=name, version=version, bytes=f.tell() - start))
    done = edit(old, new)
    note(a.dir, "large", dict(parts=used, edits=done, old=digest(old), new=digest(new)))


def edit(old, new):
    """Writes NEW: OLD after EDITS edits, a third each inserts, deletes and overwrites. Returns [[kind, offset, length]]."""
    size, r = os.path.getsize(old), random.Random("edits")
    while True:
        lengths = [r.randint(100, 20_000) for _ in range(EDITS)]
        if abs(sum(lengths) - EDIT_BYTES) < EDIT_BYTES // 100:
            break
    slot = size // EDITS    # one edit to each slot, so that none meets another
    edits = [(("insert", "delete", "overwrite")[i % 3], i * slot + r.randrange(slot - 20_000), n) for i, n in enumerate(lengths)]
    with open(old, "rb") as i, open(new, "wb") as o:
        for kind, at, n in edits:
            copy(i, o, at - i.tell())
            if kind != "delete":
                o.write(r.randbytes(n))
            if kind != "insert":
                i.seek(n, os.SEEK_CUR)
        copy(i, o, size - i.tell())
    return [list(e) for e in edits]


def copy(i, o, n):
    while n:
        b = i.read(min(n, 8 << 20))
        o.write(b)
        n -= len(b)


def digest(path):
    h = hashlib.sha256()
    with open(path, "rb") as f:
        while b := f.read(8 << 20):
            h.update(b)
    return dict(bytes=os.path.getsize(path), sha256=h.hexdigest())


def million(d, dirs=1000, files=1000):
    """Small files of 0 to 100 bytes; also called by bench.py, straight into its fresh filesystem."""
    r = random.Random("million")
    for i in range(dirs):
        p = os.path.join(d, f"d{i:03}")
        os.makedirs(p)
        at = os.open(p, os.O_RDONLY | os.O_DIRECTORY)
        for k in range(files):
            f = os.open(f"f{k:03}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=at)
            os.write(f, r.randbytes(r.randint(0, 100)))
            os.close(f)
        os.close(at)


def huge(d, gib=20, sparse=False):
    """One file: each MiB half noise and half a repeat of it, none equal to another; or a MiB of that in every 64."""
    r = random.Random("huge")
    os.makedirs(d, exist_ok=True)
    with open(os.path.join(d, "huge.img"), "wb") as f:
        for i in range(gib << 10):
            if sparse and i % 64:
                f.seek(1 << 20, os.SEEK_CUR)
            else:
                half = r.randbytes(1 << 19)
                f.write(half + half)
        f.truncate(gib << 30)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sub = ap.add_subparsers(dest="what", required=True)
    p = sub.add_parser("kernel"); p.add_argument("dir"); p.add_argument("--old", default=KERNEL[1]); p.add_argument("--new", default=KERNEL[2])
    p = sub.add_parser("large"); p.add_argument("dir")
    p = sub.add_parser("million"); p.add_argument("dir"); p.add_argument("--dirs", type=int, default=1000); p.add_argument("--files", type=int, default=1000)
    p = sub.add_parser("huge"); p.add_argument("dir"); p.add_argument("--gib", type=int, default=20); p.add_argument("--sparse", action="store_true")
    a = ap.parse_args()
    os.makedirs(a.dir, exist_ok=True)
    {"kernel": lambda: kernel(a), "large": lambda: large(a), "million": lambda: million(a.dir, a.dirs, a.files),
     "huge": lambda: huge(a.dir, a.gib, a.sparse)}[a.what]()


if __name__ == "__main__":
    main()
