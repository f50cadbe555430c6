"""Weaves many small changes of Rust functions into one program, which makes those that GHOST_WOVEN asks for.

A function with changes becomes a `match` with one copy of its body for each of them, and the body as it was. So all changes
are built once, and a test of one of them costs what the test costs. This is known as mutant schemata (Untch, Offutt,
Harrold: Mutation analysis using mutant schemata, 1993).

What is to be changed is asked of cargo-mutants. A constant with changes becomes a function of its name, which all that use it
call; a function that returns `impl Iterator` gives a box. What is needed while compiling cannot be woven in.
"""
import json, os, re, shutil, subprocess
from collections import defaultdict

# What a program with changes woven in does at the beginning of each function that has some.
AT = """#![allow(missing_docs, clippy::all)]
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::Once;

static BEGUN: Once = Once::new();
static NOTES: AtomicBool = AtomicBool::new(false);
static CHOSEN: [AtomicU32; FUNCTIONS] = [const { AtomicU32::new(0) }; FUNCTIONS];
static REACHED: [AtomicBool; FUNCTIONS] = [const { AtomicBool::new(false) }; FUNCTIONS];

#[cold]
fn begin() {
    let chosen = std::env::var("GHOST_WOVEN").unwrap_or_default();
    for one in chosen.split_terminator(',') {
        let (function, change) = one.split_once(':').expect("GHOST_WOVEN is FUNCTION:CHANGE,...");
        let function: usize = function.parse().expect("a number");
        CHOSEN[function].store(change.parse().expect("a number"), Relaxed);
    }
    NOTES.store(std::env::var_os("GHOST_WOVEN_REACHED").is_some(), Relaxed);
}

#[cold]
fn note(function: usize) {
    if !REACHED[function].swap(true, Relaxed) {
        let path = std::env::var_os("GHOST_WOVEN_REACHED").unwrap_or_default();
        if let Ok(mut file) = std::fs::OpenOptions::new().create(true).append(true).open(path) {
            let _ = file.write_all(format!("{function}\\n").as_bytes());
        }
    }
}

pub fn at(function: usize) -> u32 {
    BEGUN.call_once(begin);
    if NOTES.load(Relaxed) {
        note(function);
    }
    CHOSEN[function].load(Relaxed)
}
"""


def offsets(text):
    """The place in the text where each line begins."""
    starts = [0]
    for line in text.split("\n"):
        starts.append(starts[-1] + len(line) + 1)
    return starts


def place(starts, at):
    return starts[at["line"] - 1] + at["column"] - 1


CONSTANT = re.compile(r"(?P<head>(?:pub(?:\([^)]*\))? )?)const (?P<name>[A-Z0-9_]+): (?P<type>\w+) = (?P<value>[^;]*);")
SKIPPED = re.compile(r'//[^\n]*|/\*.*?\*/|r(#*)".*?"\1|"(?:\\.|[^"\\])*"|\'(?:\\.[^\']*|[^\'\\])\'', re.S)


def body_of(text, start, end):
    """Where the body of a function that stands at start..end begins: behind its first brace that is in no parenthesis."""
    depth, i = 0, start
    while i < end:
        skipped = SKIPPED.match(text, i)
        if skipped:
            i = skipped.end()
            continue
        c = text[i]
        if c == "{" and depth == 0:
            return i + 1
        depth += (c in "([") - (c in ")]")
        i += 1
    raise ValueError(f"no body in {text[start:end]!r}")


def sources(folder):
    listed = subprocess.run(["git", "ls-files", "-z", folder], check=True, capture_output=True, text=True).stdout
    return [path for path in listed.split("\0") if path.endswith(".rs")]


def called(text, names):
    """The text with constants of these names called as functions, but in comments, strings and `use`."""
    either = re.compile(rf"\buse\s[^;]*;|{SKIPPED.pattern}|(?<!const )(?<!fn )\b(?P<name>{'|'.join(names)})\b(?!\()", re.S)
    return either.sub(lambda found: found[0] + "()" if found["name"] else found[0], text)


class Tree:
    """A copy of the sources, the working directory, in which changes are woven."""

    def __init__(self, root, package, crate, listed):
        self.root, self.crate, self.lib = root, crate, f"{crate}/src/lib.rs"
        arguments = ["cargo", "mutants", "--package", package, "--list", "--json"]
        for name in listed:
            arguments += ["--file", name]
        out = subprocess.run(arguments, check=True, capture_output=True, text=True).stdout
        # Fields that are taken from literals with `..` are built otherwise in each case.
        self.changes = [c for c in json.loads(out) if c["genre"] != "StructField"]
        self.changes.sort(key=lambda change: change["name"])
        self.originals = {path: open(path).read() for path in sources(f"{crate}/src")}
        self.texts = {path: self.originals[path] for path in {change["file"] for change in self.changes}}
        self.functions()
        self.constants()
        # Numbers of changes that do not compile, and of those that cannot be woven in, with the reason.
        self.unviable, self.apart = set(), {n: "not in a function" for n in self.of if self.of[n] is None}
        self.constant, self.unwished = set(), set()

    def narrow(self, is_wished):
        """Weaves only changes with such names."""
        self.unwished.update(n for n, change in enumerate(self.changes, 1) if not is_wished(change["name"]))

    def functions(self):
        """Finds the outermost function that each change, numbered from one, is in."""
        spans = defaultdict(set)
        self.starts = {path: offsets(text) for path, text in self.texts.items()}
        for change in self.changes:
            if change["function"]:
                starts, span = self.starts[change["file"]], change["function"]["span"]
                spans[change["file"]].add((place(starts, span["start"]), place(starts, span["end"])))
        outer, self.list = {}, []
        for path in sorted(spans):
            end = -1
            for span in sorted(spans[path], key=lambda span: (span[0], -span[1])):
                if span[0] >= end:
                    self.list.append((path, *span))
                    end = span[1]
                outer[path, *span] = len(self.list) - 1
        self.of, self.within = {}, defaultdict(list)
        for number, change in enumerate(self.changes, 1):
            self.of[number] = None
            if change["function"]:
                starts, span = self.starts[change["file"]], change["function"]["span"]
                function = outer[change["file"], place(starts, span["start"]), place(starts, span["end"])]
                self.of[number] = function
                self.within[function].append(number)

    def constants(self):
        """Finds the constants that changes are in, and numbers them like functions."""
        self.of_constant, self.homes = {}, {}
        for number, change in enumerate(self.changes, 1):
            if change["function"]:
                continue
            path = change["file"]
            at = place(self.starts[path], change["span"]["start"])
            found = [c for c in CONSTANT.finditer(self.texts[path]) if c.start() < at < c.end()]
            if found:
                span = (path, found[0].start(), found[0].end())
                if span not in self.list:
                    self.list.append(span)
                    name = self.of_constant[len(self.list) - 1] = found[0]["name"]
                    defines = re.compile(rf"\bconst {name}\b")
                    self.homes[name] = {path for path, text in self.originals.items() if defines.search(text)}
                self.of[number] = self.list.index(span)
                self.within[self.of[number]].append(number)

    def calls(self, path, text):
        """The text of a source that calls constants which have become functions."""
        names = []
        for function, name in self.of_constant.items():
            home = self.list[function][0]
            below = path.startswith(home.removesuffix(".rs").removesuffix("/mod") + "/")
            homes = self.homes[name]
            may_be = path == home or path not in homes and (below or len(homes) == 1)
            if may_be and name in text and self.is_woven(function):
                names.append(name)
        return called(text, names) if names else text

    def is_woven(self, function):
        left_out = self.unviable | self.apart.keys() | self.unwished
        return any(n not in left_out for n in self.within[function])

    def woven_constant(self, function):
        """The function that a constant becomes."""
        path, start, end = self.list[function]
        text, starts = self.texts[path], self.starts[path]
        found = CONSTANT.match(text, start)
        out, lines = f"{found['head']}fn {found['name']}() -> {found['type']} {{\nmatch crate::woven::at({function}) {{\n", []
        left_out = self.unviable | self.apart.keys() | self.unwished
        for number in self.within[function]:
            if number not in left_out:
                change = self.changes[number - 1]
                a, b = place(starts, change["span"]["start"]), place(starts, change["span"]["end"])
                first = out.count("\n")
                out += f"{number} => {text[found.start('value'):a]}{change['replacement']}{text[b:found.end('value')]},\n"
                lines.append((first, out.count("\n") - 1, number))
        return out + f"_ => {found['value']}\n}}\n}}", lines

    def woven(self, function):
        """The text of a function with its changes, and which of them are at which of its lines."""
        if not self.is_woven(function):
            path, start, end = self.list[function]
            return self.texts[path][start:end], []
        if function in self.of_constant:
            return self.woven_constant(function)
        path, start, end = self.list[function]
        text, starts = self.texts[path], self.starts[path]
        left_out = self.unviable | self.apart.keys() | self.unwished
        numbers = [n for n in self.within[function] if n not in left_out]
        begin = body_of(text, start, end)
        head = text[start:begin]
        if function not in self.constant:
            head = re.sub(r"\bconst (?=(unsafe )?fn\b)", "", head)
        # A closure is of another type in each copy of the body.
        hidden = re.search(r"-> impl (Iterator<.*>[^{]*?)(?=\s*(where\b|\{))", head, re.S)
        open_, shut = "{", "\n}"
        if hidden:
            bound = "" if "'" in hidden[1].split(">")[-1] else " + '_"
            head = head[: hidden.start()] + f"-> Box<dyn {hidden[1]}{bound}>" + head[hidden.end() :]
            open_, shut = "{ Box::new({", "\n})}"
        out, lines = head + f"\nmatch crate::woven::at({function}) {{\n", []
        for number in numbers:
            change = self.changes[number - 1]
            a, b = place(starts, change["span"]["start"]), place(starts, change["span"]["end"])
            first = out.count("\n")
            out += f"{number} => {open_}" + text[begin:a] + change["replacement"] + text[b : end - 1] + shut + "\n"
            lines.append((first, out.count("\n"), number))
        return out + "_ => " + open_ + text[begin : end - 1] + shut + "\n}\n}", lines

    def write(self):
        """Writes the sources with the changes, and remembers where they are."""
        self.lines = defaultdict(list)
        by_file = defaultdict(list)
        for function, (path, start, end) in enumerate(self.list):
            by_file[path].append((start, end, function))
        for path, functions in by_file.items():
            text, out, at = self.texts[path], "", 0
            for start, end, function in sorted(functions):
                out += text[at:start]
                first = out.count("\n") + 1
                woven, lines = self.woven(function)
                self.lines[path].append((first, first + woven.count("\n"), function, [(first + a, first + b, n) for a, b, n in lines]))
                out, at = out + woven, end
            self.put(path, self.calls(path, out + text[at:]))
        for path, text in self.originals.items():
            if path not in by_file and path != self.lib:
                self.put(path, self.calls(path, text))

    def put(self, path, text):
        """Writes a file if it is another, as cargo goes by times."""
        to = f"{self.root}/{path}"
        if not os.path.exists(to) or open(to, "rb").read() != text.encode():
            os.makedirs(os.path.dirname(to), exist_ok=True)
            open(to, "w").write(text)

    def copy(self, edits):
        """Copies what git knows but for the sources with changes; `edits` are functions of the text of some files."""
        listed = subprocess.run(["git", "ls-files", "-z"], check=True, capture_output=True).stdout.decode().split("\0")[:-1]
        for folder, _, names in os.walk(self.root):
            for name in names:
                path = os.path.relpath(os.path.join(folder, name), self.root)
                if path not in listed and path != f"{self.crate}/src/woven.rs":
                    os.remove(os.path.join(folder, name))
        for path in listed:
            to = f"{self.root}/{path}"
            if path in self.originals or path in edits:
                continue
            if os.path.islink(path) or not os.path.exists(to) or open(to, "rb").read() != open(path, "rb").read():
                os.makedirs(os.path.dirname(to), exist_ok=True)
                if os.path.lexists(to):
                    os.remove(to)
                shutil.copy(path, to, follow_symlinks=False)
        for path, edit in edits.items():
            self.put(path, edit(open(path).read()))

    def build(self, cargo, edits, say):
        """Builds, leaving out what does not compile; gives what cargo said of the programs it made."""
        edits = dict(edits)
        edits[self.lib] = lambda text: text.replace("\npub mod ", "\npub mod woven;\npub mod ", 1)
        edits["Cargo.toml"] = lambda text: re.sub(r'= "(deny|warn)"', '= "allow"', text)
        self.copy(edits)
        self.put(f"{self.crate}/src/woven.rs", AT.replace("FUNCTIONS", str(len(self.list))))
        while True:
            self.write()
            done = subprocess.run([*cargo, "--message-format=json"], cwd=self.root, capture_output=True, text=True)
            messages = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
            if done.returncode == 0:
                return messages
            errors = [m["message"] for m in messages if m.get("reason") == "compiler-message" and m["message"]["level"] == "error"]
            before = len(self.unviable), len(self.apart), len(self.constant)
            for error in errors:
                self.blame(error)
            after = len(self.unviable), len(self.apart), len(self.constant)
            if before == after:
                raise SystemExit("the woven sources do not build:\n" + "\n".join(e["rendered"] or "" for e in errors[:5]) + done.stderr[-2000:])
            say(f"{after[0]} changes do not compile, {after[1]} cannot be woven in")

    def blame(self, error):
        """Leaves out the changes that an error of the compiler is about."""
        code = (error["code"] or {}).get("code")
        for function, name in self.of_constant.items():
            is_misused = code in ("E0015", "E0164", "E0435", "E0532") or "fn item" in error["rendered"]
            if is_misused and self.is_woven(function) and re.search(rf"\b{name}\b", error["rendered"]):
                self.leave_out(function, "a constant that is needed while compiling")
                return
        named = re.search(r"cannot call non-const .*?`([^`]*)`", error["message"])
        if named:
            name = re.sub(r"::<.*?>|<.*?>", "", named[1]).split("::")[-1]
            for function, (path, start, end) in enumerate(self.list):
                if function in self.of_constant:
                    continue
                head = self.texts[path][start : body_of(self.texts[path], start, end)]
                if re.search(rf"\bconst (unsafe )?fn {name}\b", head):
                    self.leave_out(function, "evaluated while compiling")
            return
        for span in error["spans"]:
            while span["expansion"] and "span" in span["expansion"] and not span["file_name"] in self.lines:
                span = span["expansion"]["span"]
            for first, last, function, lines in self.lines.get(span["file_name"], []):
                if not (span["is_primary"] and first <= span["line_start"] <= last):
                    continue
                guilty = [n for a, b, n in lines if a <= span["line_start"] <= b]
                if function in self.of_constant:
                    self.leave_out(function, "a constant that is needed while compiling")
                    continue
                path, start, end = self.list[function]
                # A closure is of another type in each copy of the body: that is nobody's fault.
                if not guilty or re.search(r"->.*\bimpl\b", self.texts[path][start : body_of(self.texts[path], start, end)], re.S):
                    self.leave_out(function, "returns `impl Trait`")
                else:
                    self.unviable.update(guilty)

    def leave_out(self, function, why):
        self.constant.add(function)
        for number in self.within[function]:
            self.apart.setdefault(number, why)
