#!/usr/bin/env python3
"""Compares ghost with others over the real sshd on loopback: time, and bytes on the wire.

usage: remote.py DIR [options]

DIR is where `inputs.py kernel` put linux-old and linux-new. An sshd of its own is started on a free port; between ssh and it
stands a relay that counts bytes, and with --latency MS holds each of them back so long in each direction. Then all of it runs
in a network namespace of its own. Steps:
  local          the first snapshot into a repository of this machine (ghost alone: what `first` is compared with)
  first          the whole of linux-old into an empty repository at the other end
  nothing        the same again, with nothing new
  update         the source is turned into linux-new; what is new goes to the other end
  fetch          all that is at the other end into a new repository here (ghost and git)
  restore        the newest state from the other end into an empty folder; compared with the source afterwards. ghost reads it
                 straight from the URL, with no repository of its own
  local-restore  the same from the repository of this machine (ghost alone)
  apart-restore  `restore` with a processor for each end, as two machines have: sshd and what it starts on one, all else on another,
                 without the relay (ghost alone)
  apart-local    `local-restore` on that other processor alone
  ssh            `ssh HOST true`: what every other step pays at least
  pipe           the data files of the first snapshot through ssh and the relay into nothing: what the way alone costs

For git and ghost a step is the snapshot or commit here and the push; the push alone is measured, too (first-push,
update-push). Bytes on the wire are those of the relay, so with what ssh and a push of nothing send; they are compared with the
bytes that the data files here grew by.

Runs of the tools are interleaved; peers may run less often (--peer-runs). With --fs tmpfs no disk decides, and no sync costs
anything; that needs root, for the mount, and room for three copies of the tree. Writes NAME.json (every measurement, commands, versions, machine) and NAME.txt. What a run with
latency costs beside one without is told where --beside names the NAME.json of that one.

usage for all of it:
  remote.py DIR --ghost GHOST --fs tmpfs --peer-runs 1 --name remote && \\
    remote.py DIR --ghost GHOST --fs tmpfs --latency 40 --tools ghost --name remote-40ms --beside runs/remote.json
"""
import argparse, datetime, json, os, platform, select, shutil, signal, socket, statistics, subprocess, sys, tempfile, threading, time

HERE = os.path.dirname(os.path.abspath(__file__))
TOOLS = ["ghost", "git", "rsync", "borg", "bupstash", "restic"]
STEPS = ["first", "nothing", "update", "fetch", "restore"]
# first: of the local first snapshot; nothing: seconds beside ssh's own start; restore: of the local one; wire: of the
# new data as stored; latency: of the update push without.
TARGET = dict(first=1.2, nothing=0.05, restore=1.5, wire=1.03, latency=1.5, round_trips=3)
BELOW = ("round trips of a push of nothing", "update / that of the best peer")


class Relay(threading.Thread):
    """Hands bytes on between a port and sshd, counts them, and holds them back for `delay` seconds."""

    def __init__(self, target, delay):
        super().__init__(daemon=True)
        self.target, self.delay, self.up, self.down = target, delay, 0, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    def run(self):
        while True:
            client, _ = self.listener.accept()
            server = socket.create_connection(self.target)
            for s in (client, server):
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for a, b, name in ((client, server, "up"), (server, client, "down")):
                threading.Thread(target=self.pump, args=(a, b, name), daemon=True).start()

    def pump(self, a, b, name):
        waiting, ended = [], False
        while waiting or not ended:
            timeout = max(0, waiting[0][0] - time.monotonic()) if waiting else None
            ready = [] if ended else select.select([a], [], [], timeout)[0]
            if ended and waiting:
                time.sleep(timeout)
            if ready:
                try:
                    data = a.recv(1 << 18)
                except OSError:
                    data = b""
                ended = not data
                setattr(self, name, getattr(self, name) + len(data))
                if data:
                    waiting.append((time.monotonic() + self.delay, data))
            try:
                while waiting and waiting[0][0] <= time.monotonic():
                    b.sendall(waiting.pop(0)[1])
            except OSError:
                ended, waiting = True, []
        try:
            b.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class Sshd:
    """An sshd of the current user, with keys of its own."""

    def __init__(self, folder, path):
        self.folder = folder
        for key in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{folder}/{key}"], check=True)
        shutil.copy(f"{folder}/user.pub", f"{folder}/authorized")
        with socket.create_server(("127.0.0.1", 0)) as s:
            self.port = s.getsockname()[1]
        sftp = next((p for p in ("/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server") if os.path.exists(p)), "internal-sftp")
        with open(f"{folder}/config", "w") as f:
            f.write(f"ListenAddress 127.0.0.1:{self.port}\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\n"
                    f"PidFile none\nPasswordAuthentication no\nUsePAM no\nStrictModes no\nPermitRootLogin yes\n"
                    f"SetEnv PATH={path} BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes\nSubsystem sftp {sftp}\n")
        os.makedirs("/run/sshd", exist_ok=True)
        self.process = subprocess.Popen([shutil.which("sshd") or "/usr/sbin/sshd", "-D", "-e", "-f", f"{folder}/config"],
                                        stderr=open(f"{folder}/log", "w"))
        while "Server listening" not in open(f"{folder}/log").read():
            if self.process.poll() is not None:
                sys.exit("sshd ended: " + open(f"{folder}/log").read())
            time.sleep(0.02)


def arguments():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("dir")
    ap.add_argument("--ghost", default="ghost", help="the binary to measure")
    ap.add_argument("--tools", default=",".join(TOOLS))
    ap.add_argument("--runs", type=int, default=3)
    ap.add_argument("--peer-runs", type=int, help="of the others (default: as many)")
    ap.add_argument("--fs", choices=["tmpfs"], help="mount one on the folder of --work; else it is taken as it is")
    ap.add_argument("--latency", type=float, default=0, help="milliseconds that are added in each direction")
    ap.add_argument("--beside", help="results of a run without latency, to compare with")
    ap.add_argument("--name", help="of the result files (default: remote and the date)")
    ap.add_argument("--out", default=os.path.join(HERE, "runs"))
    ap.add_argument("--work", default="/tmp/ghost-remote-bench", help="an empty folder on the disk to measure")
    a = ap.parse_args()
    if a.latency and "GHOST_REMOTE_BENCH_NETNS" not in os.environ:
        # A namespace of its own: nothing else of the machine is held back, and nothing of it disturbs.
        os.environ["GHOST_REMOTE_BENCH_NETNS"] = "1"
        inner = ["sh", "-c", 'ip link set lo up && exec "$@"', "sh", sys.executable] + sys.argv
        os.execvp("unshare", ["unshare", "-n"] + inner)
    a.ghost = os.path.abspath(shutil.which(a.ghost) or a.ghost)
    a.name = a.name or f"remote{f'-{a.latency:g}ms' if a.latency else ''}-{datetime.date.today()}"
    return a


def commands(tool, ghost, w, port):
    """Each step of a tool as shell commands; a list is timed part by part: what is named, and what is `-` beside it."""
    src, there, here, out = f"{w}/src", f"{w}/there", f"{w}/here", f"{w}/out"
    host = f"ssh://127.0.0.1:{port}"
    if tool == "ghost":
        snap, push = f"{ghost} -q --repo {here} snapshot {src}", f"{ghost} -q --repo {here} push"
        return dict(init=f"{ghost} init {here} && {ghost} init {there} && {ghost} --repo {here} remote add origin {host}{there}",
                    first=[("snapshot", snap), ("push", push)], nothing=[("push", push)], update=[("snapshot", snap), ("push", push)],
                    fetch=[("clone", f"{ghost} -q clone --bare {host}{there} {w}/fetched")],
                    restore=[("reconstruct", f"{ghost} -q reconstruct {host}{there}:main {out}")],
                    **{"told": f"{ghost} --json --repo {here} push", "local-restore": f"{ghost} -q --repo {here} reconstruct main {w}/local"})
    if tool == "git":
        git = f"git --git-dir={here} --work-tree={src}"
        # -f: what the tree's own .gitignore leaves out is kept by the others, too.
        snap, push = f"{git} add -A -f . && {git} commit -q --allow-empty -m x", f"{git} push -q origin HEAD:main"
        return dict(init=f"git init -q --bare {there} && git init -q --bare {here} && git --git-dir={here} config core.bare false && "
                         f"git --git-dir={here} config gc.auto 0 && "
                         f"git --git-dir={here} remote add origin {host}{there}",
                    first=[("snapshot", f"cd {src} && {snap}"), ("push", push)], nothing=[("push", push)],
                    update=[("snapshot", f"cd {src} && {snap}"), ("push", push)],
                    fetch=[("clone", f"git clone -q --bare {host}{there} {w}/fetched")],
                    restore=[("clone", f"git clone -q -b main {host}{there} {out}")])
    if tool == "rsync":
        rsync = 'rsync -a --delete -e "$SSH"'
        put = f"{rsync} {src}/ 127.0.0.1:{there}/"
        return dict(init="true", first=[("push", put)], nothing=[("push", put)], update=[("push", put)],
                    restore=[("clone", f"{rsync} 127.0.0.1:{there}/ {out}/")])
    if tool == "borg":
        put = f"cd {src} && borg create -C zstd,3 ::{{now:%s.%f}} ."
        return dict(init="borg init -e none", first=[("push", put)], nothing=[("push", put)], update=[("push", put)],
                    restore=[("clone", f"mkdir -p {out} && cd {out} && borg extract ::$(borg list --last 1 --short)")],
                    env=dict(BORG_REPO=f"{host}{there}", BORG_RSH="$SSH", BORG_BASE_DIR=f"{w}/borg"))
    if tool == "bupstash":
        put = f"bupstash put --no-progress -q name=t {src}"
        find = "id=$(bupstash list --format=jsonl1 name=t | tail -1 | sed -E 's/.*\"id\":\"([0-9a-f]+)\".*/\\1/')"
        return dict(init=f"bupstash new-key -o {w}/key && bupstash init", first=[("push", put)], nothing=[("push", put)],
                    update=[("push", put)], restore=[("clone", f"mkdir -p {out} && bupstash restore -q --into {out} {find}")],
                    # No BUPSTASH_REPOSITORY: it would be used in place of the command, with a plain ssh of its own.
                    env=dict(BUPSTASH_KEY=f"{w}/key", BUPSTASH_SEND_LOG=f"{w}/log",
                             BUPSTASH_QUERY_CACHE=f"{w}/query", BUPSTASH_REPOSITORY_COMMAND=f"$SSH 127.0.0.1 {shutil.which('bupstash')} serve {there}"))
    if tool == "restic":
        put = f"cd {src} && restic backup -q ."
        return dict(init="restic init -q", first=[("push", put)], nothing=[("push", put)], update=[("push", put)],
                    restore=[("clone", f"restic restore -q latest --target {out}")],
                    env=dict(RESTIC_REPOSITORY=f"sftp:127.0.0.1:{there}", RESTIC_PASSWORD="x", RESTIC_CACHE_DIR=f"{w}/cache",
                             RESTIC_SFTP="$SSH"))


def versions(a, tools):
    """What each tool says that it is."""
    words = dict(ghost=[a.ghost, "--version"], ssh=["ssh", "-V"])
    found = {}
    for tool in tools + ["ssh"]:
        said = subprocess.run(words.get(tool, [tool, "version" if tool == "restic" else "--version"]), capture_output=True, text=True)
        found[tool] = (said.stdout + said.stderr).strip().splitlines()[0]
    return found


def timed(command, env):
    begun = time.monotonic()
    done = subprocess.run(["bash", "-c", command], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    took = time.monotonic() - begun
    if done.returncode:
        raise RuntimeError(f"{command}: {done.stderr.strip().splitlines()[-1:] or done.returncode}")
    return took


def one_run(a, tool, sshd, relay, results):
    w = os.path.join(a.work, tool)
    shutil.rmtree(w, ignore_errors=True)
    os.makedirs(w)
    ssh = (f"ssh -F none -p {relay.port} -i {sshd.folder}/user -o IdentitiesOnly=yes -o UserKnownHostsFile={sshd.folder}/known "
           "-o StrictHostKeyChecking=no -o LogLevel=ERROR -o BatchMode=yes")
    env = dict(os.environ, HOME=w, SSH=ssh, GHOST_SSH_COMMAND=ssh, GIT_SSH_COMMAND=ssh, GIT_AUTHOR_NAME="x", GIT_AUTHOR_EMAIL="x@x",
               GIT_COMMITTER_NAME="x", GIT_COMMITTER_EMAIL="x@x", BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK="yes",
               PATH=os.path.dirname(a.ghost) + ":" + os.environ["PATH"])
    steps = commands(tool, a.ghost, w, relay.port)
    env.update({k: v.replace("$SSH", ssh) for k, v in steps.get("env", {}).items()})
    if tool == "restic":
        steps = {k: [(n, c.replace("restic ", "restic -o sftp.command=\"$SSH 127.0.0.1 -s sftp\" ", 1)) for n, c in v] if isinstance(v, list)
                 else v for k, v in steps.items() if k != "env"}
        steps["init"] = steps["init"].replace("restic ", "restic -o sftp.command=\"$SSH 127.0.0.1 -s sftp\" ", 1)
    subprocess.run(["rsync", "-a", f"{a.dir}/linux-old/", f"{w}/src/"], check=True)
    subprocess.run("find " + w + "/src -type f -exec cat {} + > /dev/null", shell=True, check=True)
    timed(steps["init"], env)
    results["commands"][tool] = steps
    if tool == "ghost":
        record(results, tool, "ssh", "", timed(f"{ssh} 127.0.0.1 true", env), 0, 0)
    for step in (s for s in STEPS if s in steps):
        if step == "update":
            subprocess.run(["rsync", "-a", "--delete", f"{a.dir}/linux-new/", f"{w}/src/"], check=True)
        os.sync()
        for part, command in steps[step]:
            up, down = relay.up, relay.down
            took = timed(command, env)
            record(results, tool, step, part, took, relay.up - up, relay.down - down)
            if tool == "ghost" and part == "snapshot" and step == "first":
                record(results, tool, "local", "", took, 0, 0)
        if tool == "ghost" and step == "first":
            pipe = f"{ssh} 127.0.0.1 'cat {w}/there/.ghost/data/*' > /dev/null"
            record(results, tool, "pipe", "", timed(pipe, env), 0, 0)
        if tool == "ghost":
            stored = sum(os.path.getsize(os.path.join(f"{w}/here/.ghost/data", n)) for n in os.listdir(f"{w}/here/.ghost/data"))
            results.setdefault("stored", {}).setdefault(step, []).append(stored)
            if step == "nothing":
                told = subprocess.run(["bash", "-c", steps["told"]], env=env, capture_output=True, text=True, check=True).stdout
                results.setdefault("round_trips", []).append(json.loads(told.splitlines()[-1])["round_trips"])
    if tool == "ghost":
        record(results, tool, "local-restore", "", timed(steps["local-restore"], env), 0, 0)
        shutil.rmtree(f"{w}/local")
        apart(a, w, env, sshd, relay, steps, results)
    out = f"{w}/out"
    diff = subprocess.run(["diff", "-rq", "--no-dereference", "-x", ".git", "-x", ".ghost", f"{w}/src", out], capture_output=True, text=True)
    if diff.stdout:
        raise RuntimeError(f"what {tool} restored differs: {diff.stdout.splitlines()[0]}")
    shutil.rmtree(w, ignore_errors=True)


def apart(a, w, env, sshd, relay, steps, results):
    """The restore once more, with a processor for each end."""
    processors = sorted(os.sched_getaffinity(0))
    if len(processors) < 2 or not shutil.which("taskset"):
        return
    far, near = processors[:2]
    env = {key: value.replace(f"-p {relay.port} ", f"-p {sshd.port} ") for key, value in env.items()}
    [(_, restore)] = steps["restore"]
    restore = restore.replace(f":{relay.port}/", f":{sshd.port}/").replace(f"{w}/out", f"{w}/apart")
    os.sched_setaffinity(sshd.process.pid, {far})
    try:
        for step, command in (("apart-local", steps["local-restore"].replace(f"{w}/local", f"{w}/apart")), ("apart-restore", restore)):
            record(results, "ghost", step, "", timed(f"taskset -c {near} {command}", env), 0, 0)
            diff = subprocess.run(["diff", "-rq", "--no-dereference", f"{w}/src", f"{w}/apart"], capture_output=True, text=True)
            if diff.stdout:
                raise RuntimeError(f"what {step} gave differs: {diff.stdout.splitlines()[0]}")
            shutil.rmtree(f"{w}/apart")
    finally:
        os.sched_setaffinity(sshd.process.pid, set(processors))


def record(results, tool, step, part, seconds, up, down):
    results["measurements"].append(dict(tool=tool, step=step, part=part, seconds=round(seconds, 4), up=up, down=down))


def table(a, results):
    def median(tool, step, part=None, key="seconds"):
        runs = [m for m in results["measurements"] if m["tool"] == tool and m["step"] == step and part in (None, m["part"])]
        if not runs:
            return None
        per = len(runs) // max(1, sum(1 for m in runs if m["part"] == runs[0]["part"]))
        sums = [sum(m[key] for m in runs[i:i + per]) for i in range(0, len(runs), per)]
        return statistics.median(sums)

    peers = f" ({a.peer_runs} of the others)" if a.peer_runs != a.runs else ""
    lines = [f"remote on {results['fs']}, {a.latency:g} ms added in each direction, {a.runs} runs{peers}, medians", ""]
    columns = [("first", None), ("first", "push"), ("nothing", None), ("update", None), ("update", "push"), ("fetch", None), ("restore", None)]
    lines.append(f"{'':10}" + "".join(f"{s + ('-' + p if p else ''):>14}" for s, p in columns) + f"{'MiB up first':>14}{'update':>10}")
    for tool in results["tools"]:
        cells = [median(tool, s, p) for s, p in columns]
        mib = [median(tool, s, "push", "up") for s in ("first", "update")]
        lines.append(f"{tool:10}" + "".join(f"{c:14.2f}" if c is not None else f"{'-':>14}" for c in cells)
                     + "".join(f"{m / 2**20:{n}.1f}" if m is not None else f"{'-':>{n}}" for m, n in zip(mib, (14, 10))))
    ssh, local = median("ghost", "ssh"), median("ghost", "local")

    def verdict(what, value, target, shown=None):
        # A figure that reaches its target, and one that does not, are told apart by a word: nobody has to compare.
        is_met = value <= target if what not in BELOW else value < target
        lines.append(f"{what:36}{shown or f'{value:.3f}':>10}  target {'below ' if what in BELOW else 'at most '}{target:<6g}"
                     f"{'met' if is_met else 'MISSED'}")

    if ssh and local:
        stored = {s: statistics.median(v) for s, v in results["stored"].items()}
        new = max(1, stored["update"] - stored["nothing"])
        lines += ["", f"ssh alone {ssh:.3f} s; local first snapshot {local:.2f} s; local restore {median('ghost', 'local-restore'):.2f} s; "
                      f"{stored['first'] / 2**20:.0f} MiB through ssh and the relay alone {median('ghost', 'pipe'):.2f} s", ""]
        verdict("first push / local first snapshot", median("ghost", "first", "push") / local, TARGET["first"])
        verdict("push of nothing beside ssh, s", median("ghost", "nothing") - ssh, TARGET["nothing"])
        verdict("round trips of a push of nothing", max(results["round_trips"]), TARGET["round_trips"], str(max(results["round_trips"])))
        verdict("wire / stored, first", median("ghost", "first", "push", "up") / stored["first"], TARGET["wire"])
        up = [median("ghost", step, "push", "up") for step in ("update", "nothing")]
        lines.append(f"{'wire / stored, update, with ssh':36}{up[0] / new:10.3f}")
        verdict("wire / stored, update, beside ssh", (up[0] - up[1]) / new, TARGET["wire"])
        verdict("restore / local restore", median("ghost", "restore") / median("ghost", "local-restore"), TARGET["restore"])
        if median("ghost", "apart-local"):
            verdict("the same, a processor for each end", median("ghost", "apart-restore") / median("ghost", "apart-local"), TARGET["restore"])
    best = [median(t, "update") for t in results["tools"] if t != "ghost" and median(t, "update") is not None]
    if best and median("ghost", "update") is not None:
        verdict("update / that of the best peer", median("ghost", "update") / min(best), 1)
    if a.beside:
        without = json.load(open(a.beside))["measurements"]
        without = [m["seconds"] for m in without if (m["tool"], m["step"], m["part"]) == ("ghost", "update", "push")]
        verdict("update push / that without latency", median("ghost", "update", "push") / statistics.median(without), TARGET["latency"])
    for tool, run, problem in results.get("failed", []):
        lines.append(f"run {run} of {tool} failed: {problem}")
    return "\n".join(lines) + "\n"


def main():
    a = arguments()
    a.peer_runs = a.runs if a.peer_runs is None else a.peer_runs
    os.makedirs(a.work, exist_ok=True)
    if a.fs:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=75%", "ghost-remote-bench", a.work], check=True)
    folder = tempfile.mkdtemp(prefix="ghost-sshd-")
    sshd = Sshd(folder, os.path.dirname(a.ghost) + ":" + os.environ["PATH"])
    relay = Relay(("127.0.0.1", sshd.port), a.latency / 1000)
    relay.start()
    have = [t for t in a.tools.split(",") if t == "ghost" or shutil.which(t)]
    fs = subprocess.run(["stat", "-f", "-c", "%T", a.work], capture_output=True, text=True).stdout.strip()
    results = dict(tools=have, missing=[t for t in a.tools.split(",") if t not in have], latency_ms=a.latency, measurements=[],
                   machine=platform.platform(), cpus=os.cpu_count(), fs=fs, date=datetime.datetime.now().isoformat(timespec="seconds"),
                   command=sys.argv, commands={}, versions=versions(a, have))
    try:
        for run in range(a.runs):
            for tool in have[run % len(have):] + have[:run % len(have)]:
                if tool != "ghost" and run >= a.peer_runs:
                    continue
                try:
                    one_run(a, tool, sshd, relay, results)
                except (RuntimeError, OSError) as error:
                    print(f"{tool}: {error}", file=sys.stderr)
                    results.setdefault("failed", []).append([tool, run, str(error)])
                write(a, results, folder)
        print(table(a, results))
    finally:
        sshd.process.send_signal(signal.SIGTERM)
        shutil.rmtree(folder, ignore_errors=True)
        if a.fs:
            subprocess.run(["umount", "-l", a.work], check=False)


def write(a, results, folder):
    """Writes both files, without a word of where things lie on this machine."""
    names = [(a.ghost, "GHOST"), (a.work, "WORK"), (folder, "SSHD"), (os.path.abspath(a.dir), "DIR"), (a.dir, "DIR"),
             (os.path.abspath(a.out), "OUT"), (HERE, "t/perf")]
    names += [(os.path.dirname(shutil.which(tool)) + "/", "") for tool in results["tools"] if shutil.which(tool)]

    def scrubbed(text):
        for path, name in names:
            text = text.replace(path, name)
        return text

    with open(os.path.join(a.out, a.name + ".json"), "w") as f:
        f.write(scrubbed(json.dumps(results, indent=1)))
    with open(os.path.join(a.out, a.name + ".txt"), "w") as f:
        f.write(scrubbed(table(a, results)))


if __name__ == "__main__":
    main()
