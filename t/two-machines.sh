#!/bin/bash
# Two machines as network namespaces with a cable between them, an sshd in one of them: prints the session that README.md shows.
# usage: t/two-machines.sh GHOST     as root; GHOST is the binary
set -eu
ghost=$(realpath "$1")
w=$(mktemp -d)
server=gs$$s client=gs$$c
end() {
    [ -f "$w/pid" ] && kill "$(cat "$w/pid")" 2>/dev/null || true
    ip netns del $server 2>/dev/null || true
    ip netns del $client 2>/dev/null || true
    rm -rf "$w"
}
trap end EXIT
ip netns add $server
ip netns add $client
ip link add v$$s netns $server type veth peer name v$$c netns $client
ip -n $server addr add 10.77.0.1/24 dev v$$s
ip -n $client addr add 10.77.0.2/24 dev v$$c
ip -n $server link set v$$s up
ip -n $client link set v$$c up

mkdir -p "$w/bin" "$w/ssh" "$w/srv/desk" "$w/home/desk" /run/sshd
cp "$ghost" "$w/bin/ghost"
export PATH="$w/bin:$PATH" HOME="$w/home" XDG_CONFIG_HOME="$w/home"
for key in host user; do ssh-keygen -q -t ed25519 -N '' -f "$w/ssh/$key"; done
# The key may add, and nothing else.
echo "restrict,command=\"ghost serve --stdio --root $w/srv --append-only\" $(cat "$w/ssh/user.pub")" > "$w/ssh/authorized"
cat > "$w/ssh/server" <<EOF
ListenAddress 10.77.0.1:22
HostKey $w/ssh/host
AuthorizedKeysFile $w/ssh/authorized
PidFile $w/pid
PasswordAuthentication no
UsePAM no
StrictModes no
PermitRootLogin yes
SetEnv PATH=$PATH GHOST_HOST=loom GHOST_USER=ann HOME=$HOME
EOF
cat > "$w/ssh/client" <<EOF
Host loom
HostName 10.77.0.1
IdentityFile $w/ssh/user
IdentitiesOnly yes
UserKnownHostsFile $w/ssh/known
StrictHostKeyChecking accept-new
LogLevel ERROR
EOF
ip netns exec $server "$(command -v sshd || echo /usr/sbin/sshd)" -f "$w/ssh/server" -E "$w/ssh/log"
until grep -q "Server listening" "$w/ssh/log"; do sleep 0.05; done
export GHOST_SSH_COMMAND="ssh -F $w/ssh/client" GHOST_HOST=desk GHOST_USER=ann

cat > "$w/session" <<'EOF'
ghost snapshot -q --init .
ghost remote add backup loom:desk
ghost push backup
echo butter >> shopping.txt; ghost snapshot -q .; ghost push backup
ghost push backup :main
cd ..; ghost clone -q loom:desk laptop; cat laptop/shopping.txt
cd laptop; echo eggs >> shopping.txt; ghost snapshot -q .; ghost push -q; cd ../desk
ghost pull backup
ghost cat ssh://loom/desk:main~1:shopping.txt
cd ..; ghost clone --lazy loom:desk thin; du -sk thin/.ghost/data | cut -f1; ghost -q --repo thin cat main:photos/sea.jpg | cmp - desk/photos/sea.jpg
cd desk; printf '#!/bin/sh\ndate +%%F > "$GHOST_DIR/../dumped.txt"\n' > .ghost/hooks/pre-snapshot; chmod +x .ghost/hooks/pre-snapshot
ghost snapshot -q . && ghost push backup && ghost ls main | grep dumped
EOF
cd "$w/home/desk"
"$w/bin/ghost" -q init "$w/srv/desk"
printf 'milk\nbread\n' > shopping.txt
mkdir photos && head -c 300000 /dev/urandom > photos/sea.jpg
{
    while IFS= read -r line; do
        printf 'printf "$ %%s\\n" %q\n%s\n' "$line" "$line"
    done < "$w/session"
} > "$w/script"
ip netns exec $client bash -c "set +e; . $w/script" 2>&1 | sed "s#$w/##g"
