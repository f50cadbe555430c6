//! t7: the completion scripts at work, in the shells that are installed.

use crate::harness::{World, has, skip};

/// Completes one line in bash as readline would: words broken at colons, the cursor at the end.
const BASH: &str = r#"
source <(ghost completions bash)
complete_line() {
    COMP_LINE="$1" COMP_POINT=${#1} COMPREPLY=()
    COMP_WORDS=()
    local word part
    for word in $1; do
        part="${word%%:*}"
        COMP_WORDS+=("$part")
        [[ "$word" == *:* ]] && COMP_WORDS+=(":" "${word#*:}")
    done
    [[ "$1" == *" " ]] && COMP_WORDS+=("")
    COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
    local function
    function="$(complete -p ghost | sed 's/.*-F \([^ ]*\).*/\1/')"
    "$function" ghost "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}" 2>/dev/null
    echo "<$1>" "${COMPREPLY[@]}"
}
complete_line 'ghost recons'
complete_line 'ghost show --js'
complete_line 'ghost ls ma'
complete_line 'ghost ls main:s'
"#;

fn world() -> World {
    let world = World::with_repository();
    world.write("tree/src/code", "1");
    world.write("tree/other", "1");
    world.ghost(["snapshot", "tree"]).ok();
    world
}

#[test]
fn bash_completes_commands_options_and_revisions() {
    if !has("bash") {
        return skip(module_path!(), "bash");
    }
    let world = world();
    world.write("script", BASH);
    let done = world.shell("bash --norc script").ok();
    let out = done.out();
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[0], "<ghost recons> reconstruct");
    assert_eq!(lines[1], "<ghost show --js> --json");
    assert!(lines[2].contains(" main"), "{out}");
    // Readline keeps what is in front of the colon.
    assert_eq!(lines[3], "<ghost ls main:s> src/");
}

/// A terminal of its own, in which zsh is asked by keys, as people ask it.
const ZSH: &str = r#"
zmodload zsh/zpty
zpty -b shell 'zsh -f -i'
say() { zpty -w shell "$1" }
say 'PS1=; unsetopt zle_bracketed_paste; autoload -Uz compinit && compinit -u -D; source script.zsh; compdef _ghost ghost; zstyle ":completion:*" list-prompt ""'
say 'whole() { zle expand-or-complete; print -r -- "$BUFFER" >> completed; BUFFER=; }; zle -N whole; bindkey "^I" whole'
say 'print ready >> completed'
wait_for() { for i in {1..300}; do [[ -f completed && $(wc -l < completed) -ge $1 ]] && return; zpty -rt shell _ 2>/dev/null; sleep 0.1; done }
wait_for 1
zpty -wn shell $'ghost recons\t'
wait_for 2
zpty -wn shell $'ghost ls main:s\t'
wait_for 3
zpty -d shell
cat completed
"#;

#[test]
fn zsh_completes_commands_and_revisions() {
    if !has("zsh") {
        return skip(module_path!(), "zsh");
    }
    let world = world();
    world.write("script", ZSH);
    let done = world.shell("ghost completions zsh > script.zsh && zsh -f script").ok();
    done.says(&["ghost reconstruct", "ghost ls main:src/"]);
}

#[test]
fn fish_completes_commands_and_revisions() {
    if !has("fish") {
        return skip(module_path!(), "fish");
    }
    let world = world();
    world.shell("ghost completions fish > script.fish").ok();
    let complete = |line: &str| {
        world.write("ask.fish", format!("source script.fish; complete -C '{line}'\n"));
        world.shell("fish --no-config ask.fish").ok().out()
    };
    assert!(complete("ghost recons").starts_with("reconstruct"));
    assert!(complete("ghost ls ma").lines().any(|line| line.starts_with("main")));
    assert!(
        complete("ghost ls main:s")
            .lines()
            .any(|line| line.starts_with("main:src/"))
    );
}
