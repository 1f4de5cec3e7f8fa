#!/bin/sh
# real.sh PLAY: the boot dialogue against this machine's own sh, ssh and sshd (a temporary one on loopback), and as root
# against its sudo and su. No account and no file of the system is changed. The last line is the count.
set -u
play=$1
user=$(id -un)
dir=$(mktemp -d) || exit 1
sshd=
made=
trap '[ -z "$sshd" ] || kill "$sshd"; [ -z "$made" ] || rmdir "$made"; rm -rf "$dir"' EXIT
passed=0
failed=0
skipped=0

# finish [WHY]: with a WHY, the cases of ssh were skipped.
finish() {
	[ -z "${1:-}" ] || { echo "skipped: ssh: $1"; skipped=$((skipped + 1)); }
	echo "$passed passed, $failed failed, $skipped skipped"
	exit $((failed != 0))
}

# ok NAME CODE ARGUMENT...: playing it ends with this code ("up": it boots).
ok() {
	name=$1 code=$2
	shift 2
	if "$play" "$@" -x "$code" </dev/null >"$dir/out" 2>&1; then
		echo "ok - $name"
		passed=$((passed + 1))
	else
		echo "not ok - $name"
		sed 's/^/  /' "$dir/out"
		failed=$((failed + 1))
	fi
}

ok 'local' up -m local
ok 'local, fed' up -m local -f
ok 'program not there' no-program -m ssh -h 127.0.0.1 -g "$dir/nothing"
if [ "$(id -u)" != 0 ]; then
	echo 'skipped: sudo, su: not root'
	skipped=1
else
	if command -v sudo >/dev/null; then
		ok 'sudo from root' up -m sudo -u nobody
		ok 'sudo to nobody known' become-refused -m sudo -u no-such-user-here
	else
		echo 'skipped: sudo: not here'
		skipped=$((skipped + 1))
	fi
	! command -v su >/dev/null || ok 'su to nobody known' become-refused -m su -u no-such-user-here
fi

PATH=$PATH:/usr/sbin
if ! server=$(command -v sshd) || ! command -v ssh-keygen >/dev/null; then
	finish 'no sshd or no ssh-keygen here (Debian: openssh-server)'
fi
for key in host other user stranger; do
	ssh-keygen -q -t ed25519 -N '' -f "$dir/$key" || exit 1
done
printf '%s %s\n' 'restrict' "$(cat "$dir/user.pub")" >"$dir/authorized"
# As root sshd insists on this one; Debian makes it when the service starts.
if [ "$(id -u)" = 0 ] && [ ! -e /run/sshd ]; then
	mkdir /run/sshd && made=/run/sshd
fi

# Somebody may have the port: then another is tried.
try=0
while [ -z "$sshd" ]; do
	port=$((20000 + ($$ + try * 1009) % 20000))
	# SHLVL: bash reads the user's .bashrc when sshd starts it, unless it thinks it is deep in other shells; seconds each, with some.
	printf '%s\n' "Port $port" 'ListenAddress 127.0.0.1' "HostKey $dir/host" "AuthorizedKeysFile $dir/authorized" 'StrictModes no' 'UsePAM no' \
		'PidFile none' 'SetEnv SHLVL=9' 'PasswordAuthentication no' 'KbdInteractiveAuthentication no' 'PermitRootLogin yes' >"$dir/sshd_config"
	"$server" -D -e -f "$dir/sshd_config" 2>"$dir/log" &
	sshd=$!
	i=0
	while ! grep -q 'Server listening' "$dir/log" && [ $i -lt 300 ]; do
		if ! kill -0 $sshd 2>/dev/null; then
			sshd=
			[ $try -lt 9 ] && grep -q 'Address already in use' "$dir/log" && break
			cat "$dir/log"
			finish 'this sshd does not start'
		fi
		sleep 0.1
		i=$((i + 1))
	done
	try=$((try + 1))
done
printf '[127.0.0.1]:%s %s\n' "$port" "$(cut -d' ' -f1,2 "$dir/host.pub")" >"$dir/known"
printf '[127.0.0.1]:%s %s\n' "$port" "$(cut -d' ' -f1,2 "$dir/other.pub")" >"$dir/changed"

: >"$dir/config"
# to CODE KNOWN KEY ARGUMENT...
to() {
	what=$1 code=$2 known=$3 key=$4
	shift 4
	ok "ssh: $what" "$code" -m ssh -h 127.0.0.1 -p "$port" -u "$user" -F "$dir/config" -o "UserKnownHostsFile=$dir/$known" \
		-o GlobalKnownHostsFile=/dev/null -o IdentityAgent=none -i "$dir/$key" "$@"
}
to 'login' up known user
to 'fed' up known user -f
to 'a key that it does not know' auth-refused known stranger
to 'host key changed' hostkey-changed changed user
to 'host key unknown' hostkey-unknown nothing user
to 'host key unknown, taken' up new user -k accept-new
to 'host key not looked at' up changed user -k off
to 'bad option' spawn-failed known user -o NoSuchOption=1
printf 'restrict,command="/bin/sh" %s\n' "$(cat "$dir/user.pub")" >"$dir/authorized"
to 'forced shell: silent, then fed' up known user
printf 'restrict,command="echo go away; exit 3" %s\n' "$(cat "$dir/user.pub")" >"$dir/authorized"
to 'forced command that ends' shell-exited known user
printf 'restrict,command="sleep 60" %s\n' "$(cat "$dir/user.pub")" >"$dir/authorized"
to 'forced command that says nothing' shell-silent known user -T 1000
kill $sshd
wait $sshd 2>/dev/null
sshd=
to 'nothing listens' connection-refused known user
finish
